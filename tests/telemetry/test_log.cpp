#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "records/telemetry/log.hpp"
#include "records/telemetry/progress.hpp"

using namespace gossamer;
using namespace gossamer::telemetry;
using namespace gossamer::message;

namespace {

constexpr WallTime kNoon{1'772'366'400'123'456'000};  // 2026-03-01T12:00:00.123456Z

LogStyle style(LogForm form) { return {.form = form, .least = Level::debug}; }

}  // namespace

TEST_CASE("a structured line has time, level, event, fields and a sentence") {
    auto event = describe(Evaluated{
        .round = 7, .where = "local", .loss = 0.5, .accuracy = 0.875, .sample_count = 100});
    auto plain = style(LogForm::logfmt);
    plain.who = "me=ab run=demo";
    CHECK(format_event(plain, kNoon, event) ==
          "ts=2026-03-01T12:00:00.123456Z level=info event=evaluated me=ab run=demo round=7 "
          "where=local accuracy=0.875 loss=0.5 samples=100 msg=\"round 7: accuracy 0.8750, loss "
          "0.5000 "
          "(local, 100 samples)\"");
    auto json = nlohmann::json::parse(format_event(style(LogForm::json), kNoon, event));
    CHECK(json["accuracy"] == 0.875);
    CHECK(json["event"] == "evaluated");
}

TEST_CASE(
    "no key comes twice in a line, and a dial that came to nothing is no link that went down") {
    auto plain = style(LogForm::logfmt);
    plain.who = "me=ab run=demo";
    const auto started =
        format_event(plain, kNoon, describe(RunStarted{"demo", Mode::gossip, 0, ""}));
    CHECK(started.find("run=demo") == started.rfind("run=demo"));
    const Error refused{ErrorCode::kNetRefused, "h:1: Connection refused", {}};
    CHECK(describe(LinkChanged{PeerId{}, "h:1", false, refused})
              .text.starts_with("no link: h:1: NET-02"));
    const auto down = describe(LinkChanged{PeerId::of_number(3), "", false, refused});
    CHECK(down.text.starts_with("link down: "));
}

TEST_CASE("journald gets its level prefixes, a terminal its colours, NO_COLOR none") {
    auto with = [](std::string name, std::string value) {
        return [=](const char* asked) { return asked == name ? value : std::string{}; };
    };
    auto warning = describe(Warning{Error{ErrorCode::kDiskFull, "no room", "free some"}});
    auto journal = suitable_style(false, with("JOURNAL_STREAM", "8:1"));
    CHECK(journal.form == LogForm::logfmt);
    CHECK(format_event(journal, kNoon, warning).starts_with("<4>ts="));
    auto terminal = suitable_style(true, with("", ""));
    CHECK(terminal.form == LogForm::text);
    CHECK(format_event(terminal, kNoon, warning).find("\x1b[33m") != std::string::npos);
    auto plain = suitable_style(true, with("NO_COLOR", "1"));
    CHECK(format_event(plain, kNoon, warning).find('\x1b') == std::string::npos);
    CHECK_FALSE(suitable_style(false, with("", "")).journal_prefix);
}

TEST_CASE("remote text cannot steer the terminal, forge a line or break the encoding") {
    CHECK(harmless("a\x1b[2Jb\nc\x7f") == "a\\x1b[2Jb\\x0ac\\x7f");
    CHECK(harmless("grün \xff\xc0\xaf €") == "grün \\xff\\xc0\\xaf €");
    CHECK(harmless("\xe2\x80\xaeneves") == "\\xe2\\x80\\xaeneves");
    CHECK(harmless("\xc2\x9b") == "\\xc2\\x9b");
    CHECK(harmless("\xe2\x82") == "\\xe2\\x82");
    CHECK(harmless(std::string(5000, 'x')).size() < 1100);
    auto event = describe(UpdateRefused{
        PeerId::of_number(1), 3, {ErrorCode::kUpdateNotFinite, "x\nlevel=error", "\r"}});
    for (auto form : {LogForm::text, LogForm::logfmt, LogForm::json}) {
        auto line = format_event(style(form), kNoon, event);
        CHECK(line.find('\n') == std::string::npos);
        CHECK(line.find('\r') == std::string::npos);
    }
}

TEST_CASE("events that repeat are written once, then their number") {
    Log log;
    std::vector<std::string> lines;
    log.add_sink(style(LogForm::text), [&](std::string_view line) { lines.emplace_back(line); });
    LinkChanged down{.address = "host:1", .error = {ErrorCode::kNetRefused, "refused", {}}};
    for (int i = 0; i < 12; ++i) log.event(kNoon + i * 500ms, describe(down));
    CHECK(lines.size() == 1);
    down.address = "host:2";
    log.event(kNoon + 7s, describe(down));
    CHECK(lines.size() == 2);
    log.flush(kNoon + 11s);
    REQUIRE(lines.size() == 3);
    CHECK(lines[2].find("host:1") != std::string::npos);
    CHECK(lines[2].find("(11 more in 11s)") != std::string::npos);
    log.flush(kNoon + 60s);
    log.flush(kNoon + 120s);
    CHECK(lines.size() == 3);
    log.event(kNoon + 121s, describe(down));
    CHECK(lines.size() == 4);
    for (int i = 0; i < 3; ++i) log.say(kNoon + 122s, Level::info, "hello", "once each");
    CHECK(lines.size() == 7);
}

TEST_CASE("every notice makes a sentence, and only levels asked for are written") {
    Log log;
    std::size_t count = 0, warnings = 0;
    log.add_sink(style(LogForm::logfmt), [&](std::string_view) { ++count; });
    auto quiet = style(LogForm::logfmt);
    quiet.least = Level::warning;
    log.add_sink(quiet, [&](std::string_view) { ++warnings; });
    std::vector<Notice> notices{
        RunStarted{},        RunEnded{},  Waiting{}, MemberChanged{}, LinkChanged{},
        Trained{},           Evaluated{}, Mixed{},   RoundFinished{}, UpdateRefused{},
        CheckpointWritten{}, CaughtUp{},  Resumed{}, Warning{}};
    REQUIRE(notices.size() == std::variant_size_v<Notice>);
    for (const auto& notice : notices) {
        auto event = describe(notice);
        CHECK_FALSE(event.text.empty());
        CHECK(event.name == name_of(notice));
        log.event(kNoon, event);
    }
    CHECK(count == notices.size());
    CHECK(warnings == 4);
}

TEST_CASE("a status is cut to the terminal, by whole characters") {
    CHECK(fitting("abcdef", 0) == "abcdef");
    CHECK(fitting("abcdef", 4) == "abc");
    CHECK(fitting("abc", 4) == "abc");
    CHECK(fitting("\u00e4\u00f6\u00fcxyz", 3) == "\u00e4\u00f6");
    std::string screen;
    Console console([&](std::string_view text) { screen += text; }, true, [] { return 5u; });
    console.status("0123456789");
    CHECK(screen == "\r\x1b[K0123");
}

TEST_CASE("the console keeps its status line below what is written, and has none off a terminal") {
    std::string screen;
    Console terminal([&](std::string_view text) { screen += text; }, true);
    terminal.status("round 1");
    terminal.line("hello");
    terminal.status("");
    CHECK(screen == "\r\x1b[Kround 1\r\x1b[Khello\nround 1\r\x1b[K");
    std::string file;
    Console plain([&](std::string_view text) { file += text; }, false);
    plain.status("round 1");
    plain.line("hello");
    CHECK(file == "hello\n");
}

TEST_CASE(
    "a client's progress is what it trained, and an evaluation that took longer counts no more") {
    RunProgress progress("demo", 0, kNoon);
    progress.take(RunStarted{.run = "demo", .mode = message::Mode::federated}, kNoon);
    progress.take(Trained{.round = 7, .loss = 0.5}, kNoon);
    CHECK(progress.round() == 7);
    progress.take(Evaluated{.round = 44, .where = "local", .accuracy = 0.85}, kNoon);
    progress.take(Evaluated{.round = 40, .where = "local", .accuracy = 0.8}, kNoon);
    CHECK(progress.accuracy() == 0.85);
    progress.take(Evaluated{.round = 45, .where = "local", .accuracy = 0.7}, kNoon);
    CHECK(progress.accuracy() == 0.7);
    CHECK(progress.best_accuracy() == 0.85);
    // In gossip a step is complete when it is mixed.
    RunProgress peer("demo", 50, kNoon);
    peer.take(RunStarted{.run = "demo", .mode = message::Mode::gossip}, kNoon);
    peer.take(Trained{.round = 7, .loss = 0.5}, kNoon);
    CHECK(peer.round() == 0);
}

TEST_CASE("progress tells round, loss, accuracy, peers, bytes and the time left at this pace") {
    RunProgress progress("demo", 50, kNoon);
    progress.take(RunStarted{.run = "demo"}, kNoon);
    CHECK_FALSE(progress.time_left(kNoon));
    progress.take(MemberChanged{.peer = PeerId::of_number(1), .to = MemberState::alive}, kNoon);
    progress.take(MemberChanged{.peer = PeerId::of_number(2), .to = MemberState::dead}, kNoon);
    progress.take(RoundFinished{.round = 10, .loss = 0.5}, kNoon + 20s);
    progress.take(Evaluated{.round = 10, .where = "central", .accuracy = 0.8}, kNoon + 20s);
    progress.take(Evaluated{.round = 10, .where = "clients", .accuracy = 0.1}, kNoon + 20s);
    progress.on_traffic(2'000'000, 1'000'000);
    CHECK(*progress.time_left(kNoon + 20s) == 80s);
    CHECK(progress.line(kNoon + 20s) ==
          "demo  round 10/50  loss 0.500  accuracy 0.800  peers 1/2  sent 2 MB received 1 MB  "
          "80s left");
}
