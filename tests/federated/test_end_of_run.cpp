// When a run waits, and when it ends: by accuracy, by whose, and by time.
#include <cmath>
#include <limits>

#include "round_checks.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::federated::testing;
using message::MemberState;

TEST_CASE("a run stops at its target accuracy with the model that reached it") {
    std::optional<Digest256> first;  // however long the evaluations take beside the training
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        auto o = star(3, 0, seed);
        o.run.target_accuracy = 0.75;
        StarWorld world(o);
        world.start();
        world.run();
        REQUIRE(world.finished());
        double reached = 0;
        std::uint64_t round = 0;
        for (const auto& e : world.noticed<message::Evaluated>())
            if (e.where == "central") reached = e.accuracy, round = e.round;
        CHECK(reached >= 0.75);
        CHECK(world.noticed<message::RunEnded>().at(0).round == round);
        CHECK(bits_equal(world.final_models.at(0), world.models.at(round)));
        if (!first) first = world.engine->identity();
        CHECK(world.engine->identity() == *first);
        CHECK(world.accepted.size() == round);  // the round that had begun was not committed
    }
}

TEST_CASE("without test data of its own the aggregator goes by what the clients report") {
    auto o = star(3, 0);
    o.has_test_data = false;
    o.config.client_evaluate_every = 1;
    o.run.target_accuracy = 0.75;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.noticed<message::RunEnded>().at(0).reached);
    for (const auto& e : world.noticed<message::Evaluated>()) CHECK(e.where == "clients");
}

TEST_CASE("an aggregator that finds no test sample goes by the clients' reports too") {
    auto o = star(3, 0);
    o.aggregator_finds_test_data = false;
    o.config.client_evaluate_every = 1;
    o.run.target_accuracy = 0.75;
    o.run.patience = 50;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    const auto ended = world.noticed<message::RunEnded>().at(0);
    CHECK(ended.reached);
    CHECK(ended.reason.find("reached the target") != std::string::npos);
    for (const auto& e : world.noticed<message::Evaluated>()) CHECK(e.where == "clients");
}

TEST_CASE("clients with nothing to test on say no accuracy, rather than zero") {
    auto o = star(3, 2);
    o.clients_have_test_data = false;
    o.config.client_evaluate_every = 1;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    for (const auto& e : world.noticed<message::Evaluated>()) CHECK(e.where == "central");
}

TEST_CASE("a run stops when its wall time is used up") {
    auto o = star(2, 0);
    o.run.wall_time = 10s;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.now.ns > 10'000'000'000);
    CHECK(world.noticed<message::RunEnded>().at(0).reason == "the wall time of 10s is used up");
}

TEST_CASE("the run waits for its peers, says so, and gives up in the end") {
    auto o = star(3, 2);
    o.run.peers = 4;
    o.config.wait_peers = 30s;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.engine->finished());
    auto waits = world.noticed<message::Waiting>();
    REQUIRE_FALSE(waits.empty());
    CHECK(waits.back().what == "4 peers to join, 3 are here");
    CHECK_FALSE(world.noticed<message::RunEnded>().at(0).reached);
}
