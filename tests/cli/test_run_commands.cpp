#include <doctest/doctest.h>

#include <cmath>

#include "cli/table.hpp"
#include "records/storage/history.hpp"
#include "records/storage/run_folder.hpp"
#include "records/telemetry/recorder.hpp"
#include "tests/cli/command.hpp"

using namespace gossamer;
using namespace gossamer::cli_test;
namespace fs = std::filesystem;

namespace {

constexpr WallTime kStart{1'600'000'000'000'000'000};  // 2020-09-13 12:26:40 UTC

// What a daemon's records leave of a run with these notices, up to `state`; empty = it was killed.
std::string record_run(const std::string& root, const std::string& name, const std::string& mode,
                       const std::vector<message::Notice>& notices, const std::string& state) {
    storage::RealDisk disk;
    auto folder = storage::RunFolder::create(disk, root, name).value();
    telemetry::Log log;
    {
        telemetry::Recorder recorder(disk, log, nullptr, folder,
                                     {.name = name, .mode = mode, .round_max = 2, .host = "here"},
                                     {.progress = "off"}, kStart);
        auto wall = kStart;
        for (const auto& notice : notices) recorder.take(notice, wall = wall + 1s);
        recorder.on_traffic(5'000'000, 3'000, wall);
        if (state.empty())
            recorder.flush(wall + 20s);
        else
            recorder.finish(wall, state);
    }
    return folder.path();
}

std::vector<message::Notice> two_rounds() {
    message::RoundFinished first;
    first.round = 1;
    first.accepted = {PeerId{}};
    first.loss = 1.5;
    first.received_bytes = 2048;
    first.elapsed = 2500ms;
    auto second = first;
    second.round = 2;
    second.refused = 1;
    return {first,
            message::Evaluated{.round = 1, .where = "central", .loss = 1.0, .accuracy = 0.5},
            message::MemberChanged{.to = message::MemberState::dead,
                                   .reason = "gone \x1b]0;title\x07 away"},
            second,
            message::Evaluated{.round = 2, .where = "central", .loss = 0.5, .accuracy = 0.75},
            message::RunEnded{.round = 2, .reason = "2 rounds are complete"}};
}

}  // namespace

TEST_CASE("run list shows each run once, oldest first, with its result") {
    const Folder f;
    const auto root = f / "runs";
    for (int i = 0; i < 10; ++i) record_run(root, "hay", "federated", two_rounds(), "finished");
    record_run(root, "broken", "gossip", {}, "");
    fs::create_directory(root + "/notes");  // not a run
    const auto answer = as_json({"run", "list", "--folder", root});
    REQUIRE(answer.code == 0);
    const auto runs = answer.json();
    REQUIRE(runs.size() == 11);
    CHECK(runs[0]["name"] == "broken-1");
    CHECK(runs[0]["state"] == "running");
    CHECK(runs[0]["broken_off"] == true);
    CHECK(runs[2]["name"] == "hay-2");
    CHECK(runs[10]["name"] == "hay-10");
    CHECK(runs[10]["state"] == "finished");
    CHECK(runs[10]["accuracy"] == 0.75);
    CHECK(runs[10]["sent_bytes"] == 5'000'000);

    const auto text = gossamer_command({"run", "list", "--folder", root}).out;
    CHECK(text.find("hay-10    finished") != std::string::npos);
    CHECK(text.find("broken off ") != std::string::npos);
    CHECK(text.find("0.7500") != std::string::npos);
    CHECK(text.find("2020-09-13 12:26:40") != std::string::npos);

    const auto nowhere = as_json({"run", "list", "--folder", f / "nowhere"});
    CHECK(nowhere.code == 1);
    CHECK(nowhere.error_code() == "DSK-06");
}

TEST_CASE("run show tells rounds, accuracy, bytes and the members' story, harmlessly") {
    const Folder f;
    const auto root = f / "runs";
    const auto path = record_run(root, "hay", "federated", two_rounds(), "finished");
    const auto answer = as_json({"run", "show", path});
    REQUIRE(answer.code == 0);
    const auto run = answer.json();
    CHECK(run["state"] == "finished");
    CHECK(run["reason"] == "2 rounds are complete");
    REQUIRE(run["rounds_recorded"].size() == 2);
    const auto second = run["rounds_recorded"][1];
    CHECK(second["round"] == 2);
    CHECK(second["accuracy"] == 0.75);
    CHECK(second["refused"] == 1);
    CHECK(second["received_bytes"] == 2048);
    CHECK(second["seconds"] == 2.5);
    CHECK(second["distance"].is_null());
    REQUIRE(run["member_events"].size() == 1);
    CHECK(run["member_events"][0]["to"] == "dead");
    CHECK(run["final_model"].is_null());

    const auto text = gossamer_command({"run", "show", path});
    for (const auto& out : {text.out, answer.out}) {
        CHECK(out.find('\x1b') == std::string::npos);
        CHECK(out.find('\x07') == std::string::npos);
        CHECK(out.find("\\u001b") == std::string::npos);
    }
    CHECK(text.out.find("ended       2 rounds are complete") != std::string::npos);
    CHECK(text.out.find("traffic     5 MB sent, 3 kB received") != std::string::npos);
    const auto last = gossamer_command({"run", "show", path, "--rounds", "1"}).out;
    CHECK(last.find("The last 1 of 2 rounds") != std::string::npos);
}

TEST_CASE("a run is found by folder, by name, and by the name of its kind") {
    const Folder f;
    const auto root = f / "runs";
    record_run(root, "hay", "gossip", {}, "finished");
    record_run(root, "hay", "gossip", {}, "stopped");
    const auto state = [&](const std::string& run) {
        return as_json({"run", "show", run, "--folder", root}).json()["state"];
    };
    CHECK(state(root + "/hay-1") == "finished");
    CHECK(state("hay-1") == "finished");
    CHECK(state("hay") == "stopped");  // the newest
    for (const auto& none : {std::string("straw"), f / "straw"}) {
        const auto answer = as_json({"run", "show", none, "--folder", root});
        CHECK(answer.code == 1);
        CHECK(answer.error_code() == "DSK-06");
    }
}

TEST_CASE("a run without its history is shown in part, and says so") {
    const Folder f;
    const auto path = record_run(f / "runs", "hay", "gossip", two_rounds(), "finished");
    for (const auto* end : {"", "-wal", "-shm"}) fs::remove(path + "/history.sqlite" + end);
    const auto gone = as_json({"run", "show", path});
    CHECK(gone.code == 5);
    CHECK(gone.json()["history_missing"].is_string());
    std::ofstream(path + "/history.sqlite") << "this is no database, and is long enough to tell";
    CHECK(as_json({"run", "show", path}).code == 5);
    std::ofstream(path + "/summary.json") << "{";
    CHECK(as_json({"run", "show", path}).json()["state"] == "unknown");
}

TEST_CASE("times and tables read at a glance") {
    CHECK(cli::short_time(0.0015) == "1.5ms");
    CHECK(cli::short_time(0.2) == "200ms");
    CHECK(cli::short_time(59.94) == "59.9s");
    CHECK(cli::short_time(59.96) == "1m00s");
    CHECK(cli::short_time(245) == "4m05s");
    CHECK(cli::short_time(7800) == "2h10m");
    CHECK(cli::short_time(3 * 86400 + 4 * 3600) == "3d04h");
    CHECK(cli::short_time(std::nan("")) == "-");
    CHECK(cli::short_time(1e300) != "");
    CHECK(cli::text_table({{"a", "b", "c"}, {"long", "", "x"}, {"\xc3\xa9"}}) ==
          "  a     b  c\n  long     x\n  \xc3\xa9\n");
}

TEST_CASE("run show --html writes a page into the run's folder, or where it is told") {
    const Folder f;
    const auto path = record_run(f / "runs", "hay", "federated", two_rounds(), "finished");
    const auto answer = as_json({"run", "show", path, "--html"});
    REQUIRE(answer.code == 0);
    CHECK(answer.json()["report"] == path + "/report.html");
    std::stringstream page;
    page << std::ifstream(path + "/report.html").rdbuf();
    CHECK(page.str().find("<h1>hay-1</h1>") != std::string::npos);
    CHECK(page.str().find("\"accuracy\":[{\"name\":\"test\",\"round\":[1,2]") != std::string::npos);
    CHECK(page.str().find("gone \\\\x1b]0;title") != std::string::npos);
    CHECK(fs::exists(path + "/summary.json"));

    const auto other = gossamer_command({"run", "show", path, "--output", f / "page.html"});
    CHECK(other.code == 0);
    CHECK(other.out == (f / "page.html") + "\n");
    CHECK(fs::file_size(f / "page.html") == page.str().size());

    const auto nowhere = as_json({"run", "show", path, "--output", f / "no/such/page.html"});
    CHECK(nowhere.code != 0);
    CHECK(nowhere.error_code().substr(0, 4) == "DSK-");

    fs::remove(path + "/metrics.jsonl");
    const auto part = as_json({"run", "show", path, "--html"});
    CHECK(part.code == static_cast<int>(program::ExitCode::partial));
    CHECK(part.json()["notes"].size() == 1);
}
