// Whole simulations that train on a card: the emulated one, found as a real one is.
#include "gossamer/training/make_trainer.hpp"
#include "tests/simulation/scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("the loader finds the plugin beside the program") {
    CHECK(training::device_line() == "emulation on the processor, 8 GiB");
}

TEST_CASE("a simulation on the card learns, says where, and is the same on any number of threads") {
    for (const auto& text : {federated_run(6, 3), gossip_run(6, 3)}) {
        const std::vector<std::string> card = {"training.device=cuda",
                                               "simulation.speed_spread=0.5"};
        CHECK(load(text, card)->learning().remark() ==
              "trains on emulation on the processor, up to 6 peers side by side");
        const auto one = run(text, card, {.threads = 1}), two = run(text, card, {.threads = 2});
        CHECK(one.accuracy > 0.9);
        CHECK(one.client_updates == 18);
        CHECK(one.trace_hash == two.trace_hash);
        CHECK(one.model == two.model);
        const auto processor = run(text, {"simulation.speed_spread=0.5"});
        CHECK(one.accuracy == doctest::Approx(processor.accuracy).epsilon(0.01));
    }
}

TEST_CASE("a simulation on the card goes on through churn and losses") {
    const auto text = federated_run(8, 4);
    const std::vector<std::string> rough = {
        "training.device=cuda",     "simulation.loss=0.02",          "simulation.speed_spread=0.5",
        "federated.codec=f16",      "simulation.availability=churn", "simulation.churn_up=20s",
        "simulation.churn_down=2s", "simulation.time_max=200s"};
    const auto one = run(text, rough, {.threads = 1}), two = run(text, rough, {.threads = 2});
    CHECK(one.rounds == 4);
    CHECK(one.trace_hash == two.trace_hash);
    CHECK(one.model == two.model);
    CHECK(one.broken.empty());
}

TEST_CASE("the peers of a round are trained side by side, no more") {
    CHECK(load(federated_run(8, 2),
               {"training.device=cuda", "federated.fraction=0.25", "federated.over_provision=1"})
              ->learning()
              .remark()
              .find("up to 2 peers") != std::string::npos);
}
