#include <doctest/doctest.h>

#include <optional>

#include <cmath>
#include <sstream>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

#include "records/storage/memory_disk.hpp"
#include "records/telemetry/recorder.hpp"
#include "records/telemetry/service_notifier.hpp"
#include "storage/temporary_folder.hpp"

using namespace gossamer;
using namespace gossamer::telemetry;
using namespace gossamer::message;

namespace {

constexpr WallTime kNoon{1'772'366'400'000'000'000};

struct Bench {
    storage::MemoryDisk disk;
    Log log;
    std::vector<std::string> lines;
    Bench() {
        log.add_sink({.form = LogForm::text},
                     [this](std::string_view line) { lines.emplace_back(line); });
    }
    RecordedRun run{
        .name = "demo", .mode = "federated", .me = PeerId::of_number(9), .round_max = 10};
};

// What a recorder of ours leaves in a real folder.
struct Kept : Bench {
    TemporaryFolder folder;
    storage::RealDisk real;
    storage::RunFolder made = *storage::RunFolder::create(real, folder.path, "g");
    std::optional<Recorder> recorder;
    void start() { recorder.emplace(real, log, nullptr, made, run, TelemetryConfig{}, kNoon); }
    nlohmann::json summary() const {
        return nlohmann::json::parse(as_text(*real.read(made.summary(), 1 << 20)));
    }
};

std::vector<nlohmann::json> json_lines(storage::Disk& disk, const std::string& path) {
    auto bytes = disk.read(path, 1 << 20);
    REQUIRE(bytes);
    std::istringstream in{std::string(as_text(*bytes))};
    std::vector<nlohmann::json> out;
    for (std::string line; std::getline(in, line);) out.push_back(nlohmann::json::parse(line));
    return out;
}

void one_round(Recorder& recorder, std::uint64_t round, WallTime wall) {
    recorder.take(RoundFinished{.round = round,
                                .loss = 1.0 / static_cast<double>(round),
                                .accepted = {PeerId::of_number(1), PeerId::of_number(2)},
                                .received_bytes = 800,
                                .elapsed = 2s},
                  wall);
    recorder.take(Evaluated{.round = round,
                            .where = "central",
                            .loss = 0.4,
                            .accuracy = 0.5 + 0.1 * static_cast<double>(round),
                            .sample_count = 100},
                  wall + 1s);
}

}  // namespace

TEST_CASE("a run is recorded in full without any code of the user") {
    TemporaryFolder folder;
    storage::RealDisk disk;
    Bench bench;
    {
        Recorder recorder(disk, bench.log, nullptr,
                          storage::RunFolder::create(disk, folder.path + "/runs", "demo"),
                          bench.run, {}, kNoon);
        recorder.take(RunStarted{.run = "demo", .mode = Mode::federated}, kNoon);
        recorder.take(MemberChanged{.peer = PeerId::of_number(1),
                                    .from = MemberState::dead,
                                    .to = MemberState::alive,
                                    .reason = "said hello"},
                      kNoon);
        one_round(recorder, 1, kNoon + 2s);
        one_round(recorder, 2, kNoon + 4s);
        recorder.on_traffic(1000, 2000, kNoon + 5s);
        recorder.take(RunEnded{.round = 2, .reason = "accuracy reached"}, kNoon + 6s);
        recorder.summary().set("note", std::string("mine"));
        recorder.finish(kNoon + 6s, "finished");
        CHECK(recorder.lost_count() == 0);
    }
    auto run = storage::RunFolder::newest(disk, folder.path + "/runs", "demo");
    REQUIRE(run);
    auto lines = json_lines(disk, run->metrics());
    REQUIRE(lines.size() == 8);
    CHECK(lines[2]["event"] == "round_finished");
    CHECK(lines[2]["metrics"]["round/rx_bytes"] == 800);
    CHECK(lines[1]["metrics"]["peers/alive"] == 1);
    CHECK(lines[6]["metrics"]["net/tx_bytes"] == 1000);
    CHECK(lines[2]["ts"] == "2026-03-01T12:00:02.000000Z");

    auto rounds = storage::read_rounds(run->history());
    REQUIRE(rounds);
    REQUIRE(rounds->size() == 2);
    CHECK((*rounds)[1].loss == 0.5);
    CHECK((*rounds)[1].accuracy == doctest::Approx(0.7));
    CHECK((*rounds)[1].accepted == 2);
    CHECK(storage::read_metrics(run->history(), "accuracy/test")->size() == 2);
    CHECK(storage::read_members(run->history())->at(0).reason == "said hello");
    CHECK(disk.size_of(run->events(kNoon, "localhost")).value_or(0) > 200);

    auto summary = nlohmann::json::parse(as_text(*disk.read(run->summary(), 1 << 20)));
    CHECK(summary["state"] == "finished");
    CHECK(summary["rounds"] == 2);
    CHECK(summary["accuracy"].get<double>() == doctest::Approx(0.7));
    CHECK(summary["reason"] == "accuracy reached");
    CHECK(summary["note"] == "mine");
    CHECK(summary["records_lost"] == 0);
    CHECK(storage::overview(disk, *run).facts.at("seconds") == "6.0");
}

TEST_CASE("clients' accuracies stand in until there are our own, and are no best of those") {
    Kept kept;
    kept.start();
    auto& recorder = *kept.recorder;
    recorder.take(Evaluated{.round = 1, .where = "clients", .loss = 0.2, .accuracy = 0.97}, kNoon);
    recorder.flush(kNoon + 1h);
    CHECK(kept.summary()["accuracy"].get<double>() == 0.97);
    recorder.take(Evaluated{.round = 2, .where = "central", .loss = 0.5, .accuracy = 0.8}, kNoon);
    recorder.take(Evaluated{.round = 2, .where = "clients", .loss = 0.2, .accuracy = 0.98}, kNoon);
    recorder.finish(kNoon + 1h, "finished");
    const auto last = kept.summary();
    CHECK(last["accuracy"].get<double>() == 0.8);
    CHECK(last["best_accuracy"].get<double>() == 0.8);
    CHECK(last["loss"].get<double>() == 0.5);
}

TEST_CASE("traffic is recorded with each round, and else once a minute") {
    Kept kept;
    kept.start();
    auto& recorder = *kept.recorder;
    const auto count = [&] {
        recorder.flush(kNoon);
        std::size_t lines = 0;
        for (const auto& line : json_lines(kept.real, kept.made.metrics()))
            lines += line["event"] == "traffic";
        return lines;
    };
    std::uint64_t bytes = 0;
    for (int s = 0; s < 180; ++s) recorder.on_traffic(++bytes, 0, kNoon + s * 1s);
    CHECK(count() == 3);
    one_round(recorder, 1, kNoon + 180s);
    recorder.on_traffic(++bytes, 0, kNoon + 180s);
    recorder.on_traffic(++bytes, 0, kNoon + 181s);
    recorder.finish(kNoon + 182s, "finished");  // and the last of them at the end
    CHECK(count() == 5);
    CHECK(json_lines(kept.real, kept.made.metrics()).back()["sent_bytes"] == bytes);
}

TEST_CASE("a driver may know some figures of the summary better, and when it really was") {
    Kept kept;
    kept.run.clock = [] { return kNoon + 24h; };
    kept.start();
    auto& recorder = *kept.recorder;
    recorder.take(Evaluated{.round = 1, .where = "central", .loss = 0.5, .accuracy = 0}, kNoon);
    recorder.finish(kNoon + 1h, "finished", [](Summary& s) { s.set("loss", 0.25); });
    const auto last = kept.summary();
    CHECK(last["loss"].get<double>() == 0.25);
    CHECK(last["updated"] == "2026-03-02T12:00:00.000000Z");
    CHECK(last["seconds"].get<double>() == 0);
}

TEST_CASE("a gossip step and its evaluation share a row of the history") {
    TemporaryFolder folder;
    storage::RealDisk disk;
    Bench bench;
    bench.run.mode = "gossip";
    auto made = *storage::RunFolder::create(disk, folder.path, "g");
    Recorder recorder(disk, bench.log, nullptr, made, bench.run, {}, kNoon);
    recorder.take(Evaluated{.round = 4, .where = "local", .accuracy = 0.75}, kNoon);
    recorder.take(Mixed{.step = 4,
                        .distance = 0.125,
                        .mixed = {PeerId::of_number(1)},
                        .left_out = {PeerId::of_number(2)}},
                  kNoon);
    recorder.flush(kNoon);
    auto rounds = storage::read_rounds(made.history());
    REQUIRE(rounds);
    REQUIRE(rounds->size() == 1);
    CHECK(rounds->at(0).accuracy == 0.75);
    CHECK(rounds->at(0).distance == 0.125);
    CHECK(rounds->at(0).late == 1);
    CHECK(std::isnan(rounds->at(0).loss));
}

TEST_CASE("without a folder the run goes on, and the loss is told once") {
    Bench bench;
    bench.disk.read_only = true;
    Recorder recorder(bench.disk, bench.log, nullptr,
                      storage::RunFolder::create(bench.disk, "runs", "demo"), bench.run, {}, kNoon);
    for (std::uint64_t round = 1; round < 5; ++round) one_round(recorder, round, kNoon);
    recorder.finish(kNoon, "finished");
    CHECK(recorder.lost_count() >= 8);
    auto told = std::ranges::count_if(bench.lines, [](const std::string& line) {
        return line.find("DSK-07") != std::string::npos;
    });
    CHECK(told == 1);
    CHECK(bench.lines.size() == 9);
}

TEST_CASE("a disk that fills up loses records, not the run, and takes up again when it can") {
    Bench bench;
    auto made = storage::RunFolder::create(bench.disk, "runs", "demo");
    REQUIRE(made);
    Recorder recorder(bench.disk, bench.log, nullptr, *made, bench.run, {.history = false}, kNoon);
    one_round(recorder, 1, kNoon);
    recorder.flush(kNoon);
    CHECK(recorder.lost_count() == 0);
    bench.disk.room_bytes = 0;
    one_round(recorder, 2, kNoon + 20s);
    recorder.flush(kNoon + 20s);
    auto lost = recorder.lost_count();
    CHECK(lost >= 3);
    bench.disk.room_bytes.reset();
    one_round(recorder, 3, kNoon + 40s);
    recorder.finish(kNoon + 40s, "finished");
    CHECK(recorder.lost_count() == lost);
    CHECK(json_lines(bench.disk, made->metrics()).back()["round"] == 3);
    auto summary = nlohmann::json::parse(as_text(*bench.disk.read(made->summary(), 1 << 20)));
    CHECK(summary["records_lost"] == lost);
    auto told = std::ranges::count_if(bench.lines, [](const std::string& line) {
        return line.find("DSK-07") != std::string::npos;
    });
    CHECK(told == 1);
}

TEST_CASE("systemd is told over its socket when there is one") {
    CHECK_FALSE(ServiceNotifier("").ready());
    CHECK_FALSE(ServiceNotifier("relative").ready());
    CHECK_FALSE(ServiceNotifier("/no/such/socket").ready());
    TemporaryFolder folder;
    auto path = folder.path + "/notify";
    int fd = ::socket(AF_UNIX, SOCK_DGRAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof address.sun_path);
    std::ranges::copy(path, address.sun_path);
    REQUIRE(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    ServiceNotifier notifier(path);
    auto heard = [&] {
        char text[256];
        auto count = ::recv(fd, text, sizeof text, MSG_DONTWAIT);
        return std::string(text, count > 0 ? static_cast<std::size_t>(count) : 0);
    };
    CHECK(notifier.ready());
    CHECK(heard() == "READY=1");
    CHECK(notifier.status("round 3\nREADY=0"));
    CHECK(heard() == "STATUS=round 3\\x0aREADY=0");
    CHECK(notifier.stopping());
    CHECK(heard() == "STOPPING=1");
    ::close(fd);
}
