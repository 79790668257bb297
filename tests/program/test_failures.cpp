// How gossamer-sim ends when it cannot do what was asked, or finds that something broke.
#include <doctest/doctest.h>

#include "simulation_command.hpp"

using namespace gossamer::program_test;

namespace {

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a replay that breaks invariants fails, also with the same trace") {
    const Folder here;
    here.write("drifting.toml", kDriftingRun);
    const auto run = sim(here, "run drifting.toml", GOSSAMER_FAULTY_SIM);
    CAPTURE(run.out);
    CAPTURE(run.err);
    REQUIRE(run.code == 1);
    REQUIRE(has(run.out, "BROKEN"));
    const auto again = sim(here, "replay runs/drifting-1", GOSSAMER_FAULTY_SIM);
    CHECK(again.out.starts_with("the same trace"));
    CHECK(has(again.out, "BROKEN"));
    CHECK(again.code == 1);
    const auto json = sim(here, "replay runs/drifting-1 --format json", GOSSAMER_FAULTY_SIM);
    CHECK(json.json()["same"] == true);
    CHECK_FALSE(json.json()["broken_invariants"].empty());
    CHECK(json.code == 1);
}

TEST_CASE("what is thrown is told as our own fault, with code and hint, and ends with 70") {
    const Folder here;
    here.write("throwing.toml", kDriftingRun);
    const auto answer =
        sim(here, "run throwing.toml --set gossip.algorithm=throwing", GOSSAMER_FAULTY_SIM);
    CHECK(answer.code == 70);
    CHECK(answer.err == "INT-01: this algorithm cannot be made; Please report it with the log.\n");
}

TEST_CASE("a folder is no scenario, and does not hide one that ships") {
    const Folder here;
    std::filesystem::create_directory(here / "partition");
    const auto shipped = sim(here, "show partition");
    CHECK(shipped.code == 0);
    CHECK(has(shipped.out, "[simulation]"));
    std::filesystem::create_directory(here / "mine");
    for (const std::string command : {"show", "run", "export --out there"}) {
        const auto answer = sim(here, command + " mine");
        CAPTURE(command);
        CAPTURE(answer.err);
        CHECK(answer.code == 2);
        CHECK(has(answer.err, "USE-01: \"mine\" is neither a file nor a scenario that ships"));
    }
    CHECK(sim(here, "show " + std::string(300, 'x')).code == 2);
}

TEST_CASE("a scenario has at most a mebibyte, and one that cannot be read is named") {
    const Folder here;
    here.write("long.toml", std::string((1 << 20) + 1, '\n'));
    const auto answer = sim(here, "show long.toml");
    CHECK(answer.code == 2);
    CHECK(has(answer.err, "CFG-07: long.toml is longer than 1 MiB"));
    here.write("whole.toml", std::string(1 << 20, '\n'));
    CHECK(sim(here, "show whole.toml").code == 0);
}

TEST_CASE("a word that nobody knows is named, whatever else is missing") {
    const Folder here;
    for (const std::string command : {"run", "replay", "sweep", "export", "show", ""}) {
        const auto answer = sim(here, command + " --nosuch");
        CAPTURE(answer.err);
        CHECK(answer.code == 2);
        CHECK(has(answer.err, "USE-01: "));
        CHECK(has(answer.err, "--nosuch"));
    }
    CHECK(sim(here, "run partition --threads 70000").code == 2);
    CHECK(sim(here, "--version").code == 0);
    CHECK(has(sim(here, "nosuch").err, "nosuch"));
    CHECK(has(sim(here, "run").err, "scenario is required"));
    CHECK(sim(here, "run --help").code == 0);
}

TEST_CASE("an answer that nobody could write down is no success, and no folder is no text") {
    const Folder here;
    CHECK(sim(here, "show night > /dev/full; echo $?").out == "1\n");
    for (const std::string command : {"run night", "sweep night --seeds 1", "export night"}) {
        const auto answer = sim(here, command + " --out ''");
        CAPTURE(command);
        CHECK(answer.code == 2);
        CHECK(has(answer.err, "an empty text names no folder"));
    }
    CHECK(sim(here, "campaign --seeds -1").code == 2);
}

TEST_CASE("what a scenario gets wrong is told with line and column") {
    const Folder here;
    here.write("small.toml", kSmallRun);
    here.write("odd.toml", kDriftingRun);
    const auto place_of = [&](const std::string& file, const std::string& set) {
        return sim(here, "run " + file + " --set " + set).err;
    };
    CHECK(place_of("small.toml", "federated.codec=zip")
              .starts_with("UPD-06: --set: federated.codec: codec \"zip\""));
    CHECK(place_of("odd.toml", "run.rounds=4")
              .starts_with("ALG-01: odd.toml:6:1: gossip.algorithm: "));
    const auto base = place_of("small.toml", "model.base=nope.safetensors");
    CHECK(base.starts_with("MOD-06: --set: model.base: "));
    CHECK(has(base, "nope.safetensors: No such file"));
    const auto layers = place_of("small.toml", "'model.layers=[\"conv 8 3\"]'");
    CHECK(layers.starts_with("MOD-01: --set: model.layers: conv1: "));
    // What could not be told to anybody, and what nothing would ever end.
    CHECK(has(place_of("small.toml", "run.name=" + std::string(200, 'x')),
              "CFG-04: the run and its model cannot be told to others: run name: 200, limit 128"));
    CHECK(has(place_of("small.toml",
                       "run.rounds=0 --set run.target_accuracy=0.5 --set "
                       "federated.evaluate_every=0"),
              "nothing is ever evaluated"));
    const auto graph = place_of("odd.toml", "topology.graph=hypercube --set run.peers=6");
    CHECK(graph.starts_with("TOP-01: --set: topology.graph: hypercube: 6 peers"));
}
