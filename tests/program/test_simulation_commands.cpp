// The other commands of gossamer-sim, as their users see them.
#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <ctime>

#include "simulation_command.hpp"

using namespace gossamer::program_test;

TEST_CASE("a run leaves a report page, and its replay has the same trace") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    auto answer = sim(here, "run small.toml --format json");
    REQUIRE_MESSAGE(answer.code == 0, answer.err);
    const auto folder = answer.json()["folder"].get<std::string>();
    CHECK(text_of(here / (folder + "/report.html")).find(answer.json()["trace_hash"]) !=
          std::string::npos);

    for (const char* more : {" --threads 1", "/config.toml --threads 2", "/summary.json --wire"}) {
        const auto again = sim(here, "replay " + folder + more);
        CHECK(again.code == 0);
        CHECK(again.out.find("the same trace") == 0);
    }
}

TEST_CASE("a replay that differs says so") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    REQUIRE(sim(here, "run small.toml").code == 0);
    const auto path = here / "runs/small-1/config.toml";
    auto text = text_of(path);
    const std::string before = "seed = 5";
    REQUIRE(text.find(before) != std::string::npos);
    std::ofstream(path) << text.replace(text.find(before), before.size(), "seed = 6");
    const auto answer = sim(here, "replay runs/small-1 --format json");
    CHECK(answer.code == 1);
    CHECK(answer.json()["same"] == false);
    CHECK(answer.json()["recorded"] != answer.json()["replayed"]);
}

TEST_CASE("what cannot be replayed or compared is named with its reason") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    for (const char* command : {"replay ", "compare "}) {
        CHECK(sim(here, command + std::string("nowhere")).code == 1);
        CHECK(sim(here, command + std::string("nowhere")).err.find("nowhere") != std::string::npos);
    }
    REQUIRE(sim(here, "run small.toml").code == 0);
    const auto summary = here / "runs/small-1/summary.json";
    const auto whole = text_of(summary);
    std::ofstream(summary) << whole.substr(0, whole.size() / 2);
    for (const char* command : {"replay ", "compare "}) {
        const auto answer = sim(here, command + std::string("runs/small-1"));
        CHECK(answer.code == 1);
        CHECK(answer.err.find("summary.json is damaged") != std::string::npos);
    }
    std::filesystem::remove(summary);
    CHECK(sim(here, "replay runs/small-1").err.find("did not end") != std::string::npos);
}

TEST_CASE("records of a simulation agree with its outcome, and say what really was") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    char began[32];
    const std::time_t now = std::time(nullptr);
    std::strftime(began, sizeof began, "%Y-%m-%dT%H:%M:%S", std::gmtime(&now));
    int run = 0;
    for (const std::string mode : {"federated", "gossip"}) {
        CAPTURE(mode);
        const auto command = "run small.toml --set topology.graph=ring --set run.mode=" + mode;
        const auto answer = sim(here, command + " --format json");
        REQUIRE_MESSAGE(answer.code == 0, answer.err);
        const auto told = answer.json();
        const auto folder = here / ("runs/small-" + std::to_string(++run));
        const auto summary = nlohmann::json::parse(text_of(folder + "/summary.json"));
        for (const char* key : {"accuracy", "loss", "rounds", "bytes_sent", "trace_hash"})
            CHECK_MESSAGE(summary[key] == told[key], key);
        CHECK(summary["sent_bytes"] == summary["bytes_sent"]);
        CHECK(summary["started"].get<std::string>() >= began);
        const auto metrics = text_of(folder + "/metrics.jsonl");
        CHECK(metrics.find("\"event\":\"traffic\"") != metrics.npos);
        CHECK(metrics.find("\"mixed\":") == metrics.npos);  // means over peers have no such count
        REQUIRE(sim(here, command + " --threads 1").code == 0);
        const auto again = here / ("runs/small-" + std::to_string(++run));
        CHECK(text_of(again + "/metrics.jsonl") == metrics);
    }
    const auto nowhere = sim(here, "run small.toml --out /proc/nowhere");
    CHECK(nowhere.code == 5);
    CHECK(nowhere.err.find("/proc/nowhere") != std::string::npos);
}

TEST_CASE("compare shows what differs and what came of it") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    REQUIRE(sim(here, "run small.toml").code == 0);
    REQUIRE(sim(here, "run small.toml --set run.rounds=3 --set training.learning_rate=0.1").code ==
            0);
    auto answer = sim(here, "compare runs");
    REQUIRE_MESSAGE(answer.code == 0, answer.err);
    for (const char* word :
         {"runs/small-1", "runs/small-2", "run.rounds", "learning_rate", "accuracy", "finished"})
        CHECK_MESSAGE(answer.out.find(word) != std::string::npos, word);
    answer = sim(here, "compare runs/small-1 runs/small-2 --format json");
    CHECK(answer.json()["differing"] == nlohmann::json({"run.rounds", "training.learning_rate"}));
    CHECK(answer.json()["runs"][1]["figures"]["rounds"] == 3);

    std::ofstream(here / "runs/small-2/summary.json") << "no";
    answer = sim(here, "compare runs");  // the others are compared
    CHECK(answer.code == 5);
    CHECK(answer.out.find("runs/small-1") != std::string::npos);
    std::filesystem::create_directory(here / "empty");
    answer = sim(here, "compare empty nowhere runs/small-1");
    CHECK(answer.code == 5);
    CHECK(answer.err.find("left out: ") != std::string::npos);
    CHECK(answer.err.find("empty holds no run folder") != std::string::npos);
    CHECK(answer.out.find("runs/small-1") != std::string::npos);
}

TEST_CASE("runs are listed by their numbers, so that the tenth is later than the ninth") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    REQUIRE(sim(here, "run small.toml").code == 0);
    for (const char* number : {"10", "9", "2"})
        std::filesystem::copy(here / "runs/small-1", here / ("runs/small-" + std::string(number)),
                              std::filesystem::copy_options::recursive);
    const auto json = sim(here, "compare runs --format json").json();
    REQUIRE(json["runs"].size() == 4);
    CHECK(json["runs"][1]["folder"] == "runs/small-2");
    CHECK(json["runs"][3]["folder"] == "runs/small-10");
}

TEST_CASE("a run that misses its target, or is cut off, ends with exit code 4") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const auto missed = sim(here,
                            "run small.toml --set run.target_accuracy=1 --set "
                            "training.learning_rate=0.00001");
    CHECK(missed.code == 4);
    CHECK(missed.out.find("the accuracy missed the target of 1") != std::string::npos);
    CHECK(sim(here, "run small.toml --set simulation.time_max=1s").code == 4);
    CHECK(sim(here, "run small.toml --set 'simulation.faults=[\"0s kill all,aggregator\"]'").code ==
          4);
}

TEST_CASE("what a scenario names and nobody knows is a mistake in the scenario") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    for (const std::string set :
         {"federated.codec=zip", "federated.strategy=fed_best", "model.name=huge"}) {
        const auto answer = sim(here, "run small.toml --set " + set);
        CAPTURE(set);
        CAPTURE(answer.err);
        CHECK(answer.code == 2);
        CHECK(answer.err.find(set.substr(set.find('=') + 1)) != std::string::npos);
    }
}

TEST_CASE("export refuses addresses that cannot be, and a folder that holds keys") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const auto refused = [&](const std::string& arguments, const std::string& word) {
        const auto answer = sim(here, "export small.toml " + arguments);
        CAPTURE(answer.err);
        CHECK(answer.code == 2);
        CHECK(answer.err.find(word) != std::string::npos);
    };
    refused("--out a --set run.mode=gossip --address host:7000", "two daemons would listen");
    refused("--out a --address host", "names no port");
    refused("--out a --set run.mode=gossip --port 65534", "ports");
    refused("--out a --set simulation.compute=cost", "simulation.compute");
    CHECK_FALSE(std::filesystem::exists(here / "a/federation"));
    REQUIRE(sim(here, "export small.toml --out a").code == 0);
    refused("--out a", "exists already");
    CHECK(text_of(here / "a/peer-3/config.toml").find("part = 3") != std::string::npos);
    CHECK(text_of(here / "a/scenario.toml").find("ids = [") != std::string::npos);
}

TEST_CASE("an export names files by their full path, and says whom its keys are for") {
    const Folder here;
    std::string rows;
    for (int i = 0; i < 200; ++i)
        rows += std::to_string(i % 7) + "," + std::to_string(i % 5) + "," + std::to_string(i % 2) +
                "\n";
    std::filesystem::create_directory(here / "data");
    here.write("data/train.csv", rows);
    here.write("small.toml", kSmallRun);
    const std::string data =
        " --set data.format=csv --set data.train=train.csv "
        "--set data.least_samples=1 --set data.folder=";
    REQUIRE(sim(here, "export small.toml --out fleet" + data + "./data").code == 0);
    const auto folder = "folder = \"" + here.path.string() + "/data\"";
    CHECK(text_of(here / "fleet/peer-0/config.toml").find(folder) != std::string::npos);
    CHECK(text_of(here / "fleet/aggregator/config.toml").find(folder) != std::string::npos);
    const auto readme = text_of(here / "fleet/README.txt");
    CHECK(readme.find("full path") != std::string::npos);
    CHECK(readme.find("made on one machine") != std::string::npos);
    CHECK(sim(here, "run fleet/scenario.toml").code == 0);
    CHECK(sim(here, "run fleet/scenario.toml --set data.folder=").code == 2);
    std::filesystem::copy(here / "data/train.csv", here / "train.csv");
    REQUIRE(sim(here, "export small.toml --out second" + data).code == 0);
    CHECK(text_of(here / "second/peer-0/config.toml")
              .find("folder = \"" + here.path.string() + "/") != std::string::npos);
}

TEST_CASE("the keys of a simulation are listed with kind, default, unit and reason") {
    const Folder here;
    const auto text = sim(here, "keys");
    CHECK(text.code == 0);
    CHECK(text.out.find("simulation.latency = \"20ms\"\n    duration: ") != std::string::npos);
    CHECK(text.out.find("choice: none | aggregator | all") != std::string::npos);
    const auto json = sim(here, "keys --format json").json();
    REQUIRE(json.is_object());
    std::size_t described = 0;
    for (const auto& key : json["keys"]) {
        CHECK(key["key"].get<std::string>().starts_with("simulation."));
        CHECK_FALSE(key["reason"].get<std::string>().empty());
        described += key["key"] == "simulation.samples_per_second" && key["default"] == 10000.0 &&
                     key["unit"] == "samples/s" && key["kind"] == "number";
    }
    CHECK(described == 1);
}

TEST_CASE("Ctrl-C leaves a run folder that can be read, and says how to go on") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    here.write("go.sh", "cd '" + here.path.string() +
                            "'\n'" GOSSAMER_SIM
                            "' run small.toml --set run.rounds=1000000 > out.txt 2> err.txt &\n"
                            "echo $! > pid\nwait $!\necho $? > code\n");
    REQUIRE(std::system(("sh '" + (here / "go.sh") + "' &").c_str()) == 0);
    const auto begun = [&] {
        return !text_of(here / "pid").empty() &&
               std::filesystem::exists(here / "runs/small-1/config.toml");
    };
    for (int look = 0; look < 2000 && !begun(); ++look) ::poll(nullptr, 0, 30);
    REQUIRE(begun());
    ::kill(static_cast<pid_t>(std::stol(text_of(here / "pid"))), SIGINT);
    for (int look = 0; look < 2000 && text_of(here / "code").empty(); ++look)
        ::poll(nullptr, 0, 30);
    CHECK(text_of(here / "code") == "5\n");
    CHECK(text_of(here / "err.txt").find("the same command runs it again") != std::string::npos);
    const auto summary =
        nlohmann::json::parse(text_of(here / "runs/small-1/summary.json"), nullptr, false);
    REQUIRE(summary.is_object());
    CHECK(summary.dump().find("interrupted") != std::string::npos);
    CHECK(text_of(here / "runs/small-1/report.html").find("</html>") != std::string::npos);
    CHECK(sim(here, "compare runs").out.find("small-1") != std::string::npos);
}

TEST_CASE("a peer whose training fails is named with its round and the seed") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    const auto answer = sim(here,
                            "run small.toml --set training.learning_rate=1000 --set "
                            "model.name=mlp-200-200 --threads 1");
    CAPTURE(answer.out);
    CHECK(answer.out.find("failed            peer 0, round 1, seed 5: ") != std::string::npos);
    CHECK(answer.out.find("finite") != std::string::npos);
    // In gossip steps go by; but a run in which nobody could train has not reached its goal.
    const auto gossip =
        sim(here,
            "run small.toml --set run.mode=gossip --set training.learning_rate=1000 "
            "--set model.name=mlp-200-200 --format json");
    CAPTURE(gossip.out);
    CHECK(gossip.code == 4);
    CHECK(gossip.json()["rounds"] >= 2);
    CHECK(gossip.json()["reached"] == false);
    CHECK(gossip.json()["failure_count"] == 4);  // each said so once
    CHECK(gossip.json()["end"].get<std::string>().find("but nobody could train") !=
          std::string::npos);
}

TEST_CASE("--device cuda refuses where there is no card, --device auto says why it is not used") {
    const Folder folder;
    folder.write("small.toml", kSmallRun);
    const auto fallen_back = sim(folder, "run small.toml --device auto");
    CHECK(fallen_back.code == 0);
    CHECK(fallen_back.err.find("trains on") != std::string::npos);
    if (fallen_back.err.find("trains on the processor: GPU-") == std::string::npos) {
        MESSAGE("SKIPPED: there is a card here");
        return;
    }
    const auto refused = sim(folder, "run small.toml --device cuda");
    CHECK(refused.code != 0);
    CHECK(refused.err.starts_with("GPU-"));
    CHECK(sim(folder, "run small.toml --device gpu").code == 2);
}
