// Sweeps: what runs, what does not run again, and what the table says.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "simulation_command.hpp"

using namespace gossamer::program_test;

namespace {

long lines_of(const std::string& text) { return std::ranges::count(text, '\n'); }

}  // namespace

TEST_CASE("a sweep runs each point with each seed, and only once") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const std::string command =
        "sweep small.toml --grid training.learning_rate=0.01,0.1 --out s --format json --seeds ";
    auto answer = sim(here, command + "1-2");
    REQUIRE_MESSAGE(answer.code == 0, answer.err);
    auto json = answer.json();
    REQUIRE(json.is_object());
    CHECK(json["done"] == 4);
    REQUIRE(json["points"].size() == 2);
    for (const auto& point : json["points"]) {
        CHECK(point["runs"] == 2);
        CHECK(point["figures"]["accuracy"]["count"] == 2);
        CHECK(point["figures"]["accuracy"].contains("deviation"));
    }
    CHECK(json["points"][0]["values"]["training.learning_rate"] == "0.01");
    CHECK(json["points"][0]["figures"]["loss"]["mean"] !=
          json["points"][1]["figures"]["loss"]["mean"]);
    CHECK(lines_of(text_of(here / "s/runs.csv")) == 5);
    const auto traces = text_of(here / "s/runs.csv");

    answer = sim(here, command + "1-2");
    CHECK(answer.code == 0);
    CHECK(answer.err.find("4 of 4 runs are finished already") != std::string::npos);
    CHECK(text_of(here / "s/runs.csv") == traces);

    answer = sim(here, command + "1-3");  // more seeds: only what is new
    CHECK(answer.err.find("4 of 6 runs are finished already") != std::string::npos);
    CHECK(answer.json()["done"] == 6);

    answer = sim(here, command + "1-2 --set run.rounds=3");  // other settings are other runs
    CHECK(answer.err.find("finished already") == std::string::npos);
    CHECK(answer.json()["points"][0]["figures"]["rounds"]["mean"] == 3);
}

TEST_CASE("a run whose summary is damaged is run again") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const std::string command = "sweep small.toml --seeds 1,4 --out s";
    REQUIRE(sim(here, command).code == 0);
    std::string summary;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(here / "s"))
        if (entry.path().filename() == "summary.json") summary = entry.path().string();
    REQUIRE_FALSE(summary.empty());
    std::ofstream(summary) << "{\"state\": \"fini";
    const auto answer = sim(here, command);
    CHECK(answer.code == 0);
    CHECK(answer.err.find("1 of 2 runs are finished already") != std::string::npos);
    CHECK(answer.out.find("±") != std::string::npos);
}

TEST_CASE("a sweep is refused before anything runs when one of its points cannot be") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const auto refused = [&](const std::string& arguments, const std::string& word) {
        const auto answer = sim(here, "sweep small.toml --out s " + arguments);
        CAPTURE(arguments);
        CAPTURE(answer.err);
        CHECK(answer.code == 2);
        CHECK(answer.err.find(word) != std::string::npos);
        CHECK_FALSE(std::filesystem::exists(here / "s"));
    };
    refused("--grid training.learning_rat=0.1,0.2", "training.learning_rate");
    refused("--grid training.learning_rate=0.1,many", "many");
    refused("--grid run.rounds", "run.rounds");
    refused("--grid run.rounds=1,,2", "empty");
    refused("--grid run.rounds=1 --grid run.rounds=2", "twice");
    refused("--grid run.seed=1,2 --seeds 1-2", "--seeds");
    refused("--seeds 5-1", "5-1");
    refused("--seeds 1-99999", "1-99999");
    CHECK(sim(here, "sweep nothing.toml --out s").code == 2);
}

TEST_CASE("a run that fails is named, and the others are told of") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const auto answer = sim(
        here, "sweep small.toml --grid data.format=synthetic,csv --out s --format json --jobs 1");
    CHECK(answer.code == 5);
    CHECK(answer.json()["failed"] == 1);
    CHECK(answer.err.find("FAILED data.format=csv") != std::string::npos);
}

TEST_CASE("Ctrl-C ends a sweep and its runs, and the same command goes on") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const std::string command = "sweep small.toml --grid run.rounds=2,1000000 --jobs 1 --out s";
    here.write("go.sh", "cd '" + here.path.string() + "'\n'" GOSSAMER_SIM "' " + command +
                            " > out.txt 2> err.txt &\necho $! > pid\nwait $!\necho $? > code\n");
    REQUIRE(std::system(("sh '" + (here / "go.sh") + "' &").c_str()) == 0);
    const auto folder_of_second = [&] {
        std::error_code none;
        std::size_t folders = 0;
        for (const auto& entry :
             std::filesystem::recursive_directory_iterator(here / "s/runs", none))
            folders += entry.path().filename() == "config.toml";
        return folders == 2;
    };
    for (int look = 0; look < 2000 && !folder_of_second(); ++look) ::poll(nullptr, 0, 30);
    REQUIRE(folder_of_second());
    const auto pid = static_cast<pid_t>(std::stol(text_of(here / "pid")));
    ::kill(pid, SIGINT);
    for (int look = 0; look < 2000 && text_of(here / "code").empty(); ++look)
        ::poll(nullptr, 0, 30);
    CHECK(text_of(here / "code") == "5\n");
    CHECK(text_of(here / "err.txt").find("the same command goes on") != std::string::npos);
    CHECK(text_of(here / "s/runs.csv").find("open") != std::string::npos);
    const auto answer = sim(here, "sweep small.toml --grid run.rounds=2 --jobs 1 --out s");
    CHECK(answer.err.find("1 of 1 runs are finished already") != std::string::npos);
}

TEST_CASE("a sweep among whose runs something broke says so, also when it goes on") {
    const Folder here;
    here.write("drifting.toml", kDriftingRun);
    const std::string command = "sweep drifting.toml --seeds 1-2 --jobs 1 --out s --format json";
    for (const bool again : {false, true}) {
        const auto answer = sim(here, command, GOSSAMER_FAULTY_SIM);
        CAPTURE(again);
        CAPTURE(answer.err);
        CHECK(answer.code == 1);
        CHECK(answer.json()["broken"] == 2);
        CHECK(answer.err.find("BROKEN seed 2: ") != std::string::npos);
        CHECK(answer.err.find("2 runs broke an invariant") != std::string::npos);
        CHECK(text_of(here / "s/runs.csv").find(",broken,") != std::string::npos);
        CHECK((answer.err.find("finished already") != std::string::npos) == again);
    }
    const auto compared = sim(here, "compare s/runs", GOSSAMER_FAULTY_SIM);
    CHECK(compared.code == 1);
    CHECK(compared.out.find("broken") != std::string::npos);
}

TEST_CASE("a seed or a value that is named twice runs once, and there is a last seed") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    auto answer =
        sim(here, "sweep small.toml --seeds 1-2,2,1 --grid run.rounds=2,2 --out s --format json");
    CHECK(answer.json()["runs"] == 2);
    // The same value written in another way is the same run.
    answer = sim(here,
                 "sweep small.toml --grid training.learning_rate=0.1,0.10 --out s "
                 "--format json");
    CHECK(answer.json()["runs"] == 1);
    CHECK(answer.json()["points"].size() == 1);
    answer = sim(here, "sweep small.toml --seeds 18446744073709551615 --out s");
    CHECK(answer.code == 2);
    CHECK(answer.err.find("run.seed") != std::string::npos);
    answer = sim(here, "sweep small.toml --seeds 1-9000,10001-19000 --out s");
    CHECK(answer.code == 2);
    CHECK(answer.err.find("at most 10000 runs") != std::string::npos);
}

TEST_CASE("a sweep leaves alone what lies in its folder") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    here.write("scenario.toml", "mine");
    REQUIRE(sim(here, "sweep small.toml --out .").code == 0);
    CHECK(text_of(here / "scenario.toml") == "mine");
}
