// kill -9 of the aggregator at every event, and what it promises: the same bits.
#include <doctest/doctest.h>

#include "star_world.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::federated::testing;

namespace {

WorldOptions options(std::uint64_t seed) {
    WorldOptions o;
    o.clients = 3;
    o.seed = seed;
    o.run.rounds = 3;
    o.run.peers = 3;
    o.run.seed = {5};
    o.config.quorum = 1;
    o.config.client_evaluate_every = 1;
    o.strategy = fed_avg_m(0.9, 0.7);
    return o;
}

Digest256 uninterrupted(std::size_t* events = nullptr) {
    StarWorld world(options(1));
    world.start();
    world.run();
    REQUIRE(world.finished());
    if (events) *events = world.events_run;
    return world.identities.at(3);
}

}  // namespace

TEST_CASE("an aggregator killed at any event ends with the same model") {
    std::size_t events = 0;
    auto expected = uninterrupted(&events);
    REQUIRE(events > 100);
    std::size_t resent = 0;
    for (std::size_t at = 1; at < events; ++at) {
        CAPTURE(at);
        StarWorld world(options(1));
        world.start();
        world.run({}, at);
        world.kill_aggregator(at % 2 == 0);
        world.run({}, at % 7);
        world.restart_aggregator();
        world.run();
        REQUIRE(world.engine->finished());
        REQUIRE(world.identities.count(3) == 1);
        CHECK(world.identities.at(3) == expected);
        resent += world.train_jobs == 9;
        for (const auto& [round, accepted] : world.accepted) CHECK(accepted.size() == 3);
    }
    CHECK(resent * 10 > events * 8);  // clients that have their update do not train again
}

TEST_CASE("an aggregator killed again and again ends with the same model") {
    auto expected = uninterrupted();
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        StarWorld world(options(seed));
        auto draw = stream({seed}, Purpose::scenario, 3, 0);
        world.start();
        for (int kill = 0; kill < 5; ++kill) {
            world.run({}, 20 + draw.below(120));
            world.kill_aggregator(draw.below(2) == 0);
            world.run({}, draw.below(20));
            world.restart_aggregator();
        }
        world.run();
        REQUIRE(world.engine->finished());
        CHECK(world.identities.at(3) == expected);
    }
}

TEST_CASE("a restarted aggregator without a checkpoint of its own run refuses it") {
    StarWorld world(options(1));
    auto other = options(1);
    other.run.seed = {6};
    StarWorld elsewhere(other);
    RoundRecord record;
    record.run = message::run_id("run");
    record.strategy = "fed_avg_m";
    record.seed = {5};
    record.stop = job::StopRule(other.run).save({});
    job::Restored restored;
    auto pool = tensor::BufferPool::create(0);
    restored.model = tensor::Model::of(world.layout, pool->take_floats(40));
    restored.record = save(record);
    CHECK(world.engine->restore(restored));
    auto refused = elsewhere.engine->restore(restored);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().what == "the checkpoint is of another seed");
    restored.record.pop_back();
    CHECK(world.engine->restore(restored).error().code == ErrorCode::kCheckpointFormat);
}

TEST_CASE("a finished run that is started again ends at once") {
    StarWorld world(options(1));
    world.start();
    world.run();
    REQUIRE(world.finished());
    world.kill_aggregator(false);
    world.restart_aggregator();
    CHECK(world.engine->finished());
    CHECK(world.noticed<message::RunEnded>().size() == 2);
    CHECK(world.engine->identity() == world.identities.at(3));
}
