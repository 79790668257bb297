// Whole runs in virtual time: what they learn, and that nothing but the scenario decides it.
#include "gossamer/training/make_trainer.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("a federated run learns, and every client hands in every round") {
    const auto o = run(federated_run(8, 5));
    CHECK(o.accuracy > 0.9);
    CHECK(o.rounds == 5);
    CHECK(o.client_updates == 40);
    CHECK(o.reached);
    CHECK(o.model.size() == 64);
}

TEST_CASE("a gossip run learns, and its peers agree") {
    const auto o = run(gossip_run(8, 6));
    CHECK(o.accuracy > 0.9);
    CHECK(o.worst_accuracy > 0.9);
    CHECK(o.client_updates == 48);
    CHECK(o.consensus < 1e-3);
}

TEST_CASE("the same scenario and seed give the same trace on one thread and on two") {
    const std::vector<std::string> rough = {"simulation.loss=0.02",
                                            "simulation.speed_spread=0.5",
                                            "simulation.up=200kB",
                                            "simulation.down=1MB",
                                            "simulation.latency_distribution=exponential",
                                            "simulation.availability=churn",
                                            "simulation.churn_up=20s",
                                            "simulation.churn_down=2s",
                                            "simulation.time_max=200s"};
    for (const auto& text : {federated_run(12, 6), gossip_run(12, 8)}) {
        const auto one = run(text, rough, {.threads = 1}), two = run(text, rough, {.threads = 2});
        CHECK(one.trace_hash == two.trace_hash);
        CHECK(one.model == two.model);
        CHECK(one.events == two.events);
        auto other = rough;
        other.push_back("run.seed=6");
        CHECK(run(text, other).trace_hash != one.trace_hash);
    }
}

TEST_CASE("a killed aggregator goes on from its checkpoint to the very same model") {
    const auto calm = run(federated_run(6, 8), {"simulation.samples_per_second=500"});
    const auto rough =
        run(federated_run(6, 8),
            {"simulation.samples_per_second=500",
             "simulation.faults=2s kill aggregator for 1s,5s kill aggregator for 2s"});
    CHECK(rough.model == calm.model);
    CHECK(rough.rounds == 8);
    CHECK(rough.trace_hash != calm.trace_hash);
}

TEST_CASE("a disk that forgets everything makes the aggregator begin again") {
    auto simulation = make(load(federated_run(4, 6), {"simulation.samples_per_second=200",
                                                      "simulation.faults=8s disk-lost aggregator,"
                                                      "8s kill aggregator for 1s"}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->rounds == 6);
    CHECK(o->client_updates > 4 * 6);  // the first rounds were trained twice
}

TEST_CASE("peers that are killed, sleep or lose their power come back and catch up") {
    for (const char* fault : {"6s kill 2,5 for 3s", "6s power 2,5 for 20s", "6s sleep 2,5 for 20s",
                              "6s freeze 2,5 for 5s", "6s reset 0-7 | 0-7"}) {
        auto simulation =
            make(load(gossip_run(8, 80), {"simulation.samples_per_second=500",
                                          std::string("simulation.faults=[\"") + fault + "\"]"}));
        const auto o = simulation->run();
        REQUIRE(o);
        INFO(std::string(fault));
        CHECK(o->end == "80 rounds are complete");
        CHECK(o->consensus < 0.05);
        for (PlaceIndex p = 0; p < 8; ++p) CHECK(simulation->world().has_ended(p));
    }
}

TEST_CASE("two halves without contact go on, and agree again when they meet") {
    auto simulation =
        make(load(gossip_run(8, 60), {"simulation.samples_per_second=500",
                                      "simulation.faults=5s partition 0-3 | 4-7 for 8s"}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->consensus < 0.05);
    std::size_t left_out = 0;
    for (const auto& [round, row] : simulation->chronicle().rows()) left_out += row.left_out;
    CHECK(left_out > 0);
}

TEST_CASE("a line that is too thin makes rounds longer, not wrong") {
    const auto free = run(federated_run(6, 3)),
               thin = run(federated_run(6, 3), {"simulation.up=2kB", "simulation.down=2kB"});
    CHECK(thin.model == free.model);
    CHECK(thin.virtual_seconds > free.virtual_seconds + 0.5);
    CHECK(thin.bytes_sent >= free.bytes_sent);
}

TEST_CASE("more clients than a mesh holds know the aggregator alone") {
    auto simulation = make(load(federated_run(100, 2), {"federated.fraction=0.2"}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->client_updates == 40);
    CHECK(simulation->world().counts().links == 100);
}

TEST_CASE("training may be replaced by its duration") {
    auto simulation =
        make(load(federated_run(20, 4), {"simulation.compute=cost", "simulation.samples=100",
                                         "simulation.samples_per_second=50"}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->rounds == 4);
    CHECK(o->virtual_seconds > 8);
}

TEST_CASE("impossible worlds are refused before they start, with the figure that decides") {
    const auto refuse = [](const std::string& text, std::vector<std::string> sets) {
        auto scenario = Scenario::load("test.toml", text, std::move(sets), no_extensions());
        REQUIRE_FALSE(scenario);
        return scenario.error().to_string();
    };
    CHECK(refuse(federated_run(3000, 1), {}).find("3000") != std::string::npos);
    CHECK(refuse(gossip_run(8, 1), {"topology.graph=edges", "topology.edges=0-1,2-3"})
              .find("connected") != std::string::npos);
    CHECK(refuse(gossip_run(100, 1), {"simulation.compute=cost", "simulation.parameters=900000000"})
              .find("this machine has") != std::string::npos);
    CHECK(refuse(federated_run(4, 1), {"simulation.peers=2"}).find("run.peers") !=
          std::string::npos);
    CHECK(refuse(federated_run(4, 1) + "latencyy = 3\n", {}).find("latency") != std::string::npos);
}

TEST_CASE("what a world needs in memory follows from who holds models at once") {
    const std::uint64_t model = 4'000, peers = 10'000;
    const auto models = [&](const std::string& text, std::vector<std::string> sets) {
        sets.insert(sets.end(), {"simulation.compute=cost", "simulation.parameters=1000"});
        const auto scenario = load(text, std::move(sets));
        return (scenario->memory_estimate() - scenario->peers() * 16 * 1024) / model;
    };
    const auto clients = federated_run(peers, 3);
    CHECK(models(clients, {"federated.fraction=0.01"}) < 200);
    CHECK(models(clients, {"federated.fraction=0.01", "federated.over_provision=1.5"}) > 150);
    CHECK(models(clients, {"federated.fraction=0.5"}) > 5'000);
    CHECK(models(clients, {"federated.fraction=0.01", "simulation.disks=all"}) > 20'000);
    const auto gossip = gossip_run(100, 30);
    const auto without = models(gossip, {"gossip.checkpoint_every=1"});
    CHECK(without < 110);
    CHECK(models(gossip, {"gossip.checkpoint_every=1", "simulation.disks=all"}) > 8 * without);
    CHECK(models(gossip, {"gossip.checkpoint_every=0", "simulation.disks=all"}) < 4 * without);
}

TEST_CASE("durations that no clock could count are the longest there are, and nothing else") {
    const auto o = run(gossip_run(4, 10),
                       {"simulation.compute=cost", "simulation.samples_per_second=0.001",
                        "simulation.samples=1000000000000", "simulation.speed_spread=3",
                        "simulation.up=1", "simulation.time_max=2min",
                        "simulation.faults=[\"1s slow all by 1e300\",\"1s clock all by -1e300\","
                        "\"1s clock 0 by 1e300\",\"1s echo all by 1e300\"]"});
    CHECK(o.virtual_seconds <= 120);
    CHECK(o.virtual_seconds > 0);
    CHECK_FALSE(o.reached);
    auto late = make(
        load(gossip_run(20, 10), {"simulation.start_spread=11000d", "simulation.time_max=2min"}));
    REQUIRE(late->run());
    for (PlaceIndex p = 0; p < 20; ++p) CHECK(late->world().running(p) == (p == 0));
}

TEST_CASE("real bytes give the same trace as handles, and weigh what was counted") {
    const std::vector<std::string> rough = {
        "simulation.loss=0.02",    "simulation.up=1MB",        "simulation.availability=churn",
        "simulation.churn_up=30s", "simulation.churn_down=2s", "simulation.time_max=120s"};
    for (const auto& text : {federated_run(6, 4), gossip_run(6, 6)})
        for (const auto* codec : {"f32", "f16"}) {
            auto sets = rough;
            sets.push_back(std::string("federated.codec=") + codec);
            sets.push_back(std::string("gossip.codec=") + codec);
            const auto handles = run(text, sets), bytes = run(text, sets, {.wire = true});
            CHECK(bytes.trace_hash == handles.trace_hash);
            CHECK(bytes.bytes_sent == handles.bytes_sent);
            CHECK(bytes.model == handles.model);
        }
}

TEST_CASE("in a large run of a settled roster peers wait for their neighbours, and all take part") {
    auto simulation =
        make(load(gossip_run(80, 10), {"data.synthetic_train=1600", "topology.graph=random-regular",
                                       "simulation.start_spread=3s"}));
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->client_updates >= 80 * 10 - 8);  // who starts last may take a step from a neighbour
    CHECK(simulation->world().counts().links == 80 * 4 / 2);
    CHECK(o->consensus < 0.05);
    CHECK(o->broken.empty());
}

TEST_CASE("training.device decides what happens where there is no card") {
    if (!training::device_line().starts_with("none")) {
        MESSAGE("SKIPPED: there is a card here");
        return;
    }
    const auto text = federated_run(4, 2);
    auto refused = Scenario::load("test.toml", text, {"training.device=cuda"}, no_extensions());
    REQUIRE_FALSE(refused);
    CHECK(refused.error().to_string().starts_with("GPU-"));
    const auto fallen_back = load(text, {"training.device=auto"});
    CHECK(fallen_back->learning().remark().starts_with("trains on the processor: GPU-"));
    CHECK(load(text)->learning().remark().empty());
    CHECK(run(text, {"training.device=auto"}).model == run(text).model);
}
