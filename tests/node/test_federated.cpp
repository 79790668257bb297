#include <doctest/doctest.h>

#include "node/learning_world.hpp"

using namespace gossamer;
using namespace gossamer::testing;

namespace {

std::vector<float> uninterrupted(const LearningOptions& options) {
    LearningWorld w(options);
    w.start_all();
    REQUIRE(w.run_to_end());
    return w.kept_model(w.aggregator());
}

}  // namespace

TEST_CASE("An aggregator and its clients train to the end, and all have the final model") {
    LearningWorld w({.peers = 5, .aggregator = true, .rounds = 25});
    w.start_all();
    REQUIRE(w.run_to_end());
    const auto model = w.kept_model(w.aggregator()), best = w.best();
    for (std::size_t i = 0; i < model.size(); ++i)
        CHECK(model[i] == doctest::Approx(best[i]).epsilon(0.01));
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(w.final_written(i));
        CHECK(w.kept_model(i) == model);
    }
    const auto rounds = w.noted<message::RoundFinished>(w.aggregator());
    REQUIRE(rounds.size() == 25);
    for (const auto& [at, round] : rounds) CHECK(round.accepted.size() == 5);
}

TEST_CASE("The model does not depend on the network nor on the order of starting") {
    const LearningOptions calm{.peers = 4, .aggregator = true, .rounds = 8};
    const auto model = uninterrupted(calm);
    for (std::uint64_t order = 0; order < 4; ++order) {
        LearningOptions rough = calm;
        rough.network = {.delay = 10ms, .jitter = 3, .stall = 0.1};
        LearningWorld w(rough);
        for (std::size_t i = 0; i < 5; ++i) w.world.start((i + order) % 5);
        REQUIRE(w.run_to_end());
        CHECK(w.kept_model(w.aggregator()) == model);
    }
}

TEST_CASE("An aggregator killed at any moment goes on to the very same model") {
    const LearningOptions options{.peers = 4, .aggregator = true, .rounds = 8};
    const auto model = uninterrupted(options);
    for (int tenth = 1; tenth <= 12; ++tenth) {
        CAPTURE(tenth);
        LearningWorld w(options);
        w.start_all();
        REQUIRE(w.world.run_while([&] { return w.round(w.aggregator()) < 3; }, 60s));
        w.world.run_for(8ms * tenth);
        w.world.kill(w.aggregator());
        w.world.run_for(tenth % 2 == 0 ? 100ms : 2s);
        w.world.start(w.aggregator());
        REQUIRE(w.run_to_end());
        CHECK(w.kept_model(w.aggregator()) == model);
        for (std::size_t i = 0; i < 4; ++i) CHECK(w.kept_model(i) == model);
    }
}

TEST_CASE("A client killed in mid-round and back again does not change the model") {
    const LearningOptions options{.peers = 4, .aggregator = true, .rounds = 8};
    const auto model = uninterrupted(options);
    for (int tenth = 1; tenth <= 6; ++tenth) {  // of 73 ms; at the end the next begins without it
        CAPTURE(tenth);
        LearningWorld w(options);
        w.start_all();
        REQUIRE(w.world.run_while([&] { return w.round(w.aggregator()) < 3; }, 60s));
        w.world.run_for(10ms * tenth);
        w.world.kill(1);
        w.world.run_for(300ms);
        w.world.start(1);
        REQUIRE(w.run_to_end());
        CHECK(w.kept_model(w.aggregator()) == model);
    }
}

TEST_CASE("The aggregator says whom it waits for until enough clients are there") {
    LearningWorld w({.peers = 3, .aggregator = true, .rounds = 3});
    w.world.start(w.aggregator());
    w.world.run_for(2s);
    w.world.start(0);
    w.world.run_for(2s);
    CHECK(!w.noted<message::Waiting>(w.aggregator()).empty());
    CHECK(!w.world.node(w.aggregator()).status(w.world.now()).waiting.empty());
    CHECK(w.round(w.aggregator()) == 0);
    w.world.start(1);
    w.world.start(2);
    CHECK(w.run_to_end());
}
