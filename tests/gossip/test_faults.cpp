// Neighbours that are late, silent, wrong, killed or back.
#include <doctest/doctest.h>

#include <limits>

#include "world.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::gossip::testing;

namespace {

Duration longest_pause(World& world, std::size_t node, Instant from) {
    Duration longest{};
    auto last = from;
    for (const auto& [t, m] : world.told<message::Mixed>(node)) {
        if (t.at < from) continue;
        longest = std::max(longest, t.at - last);
        last = t.at;
    }
    return longest;
}

}  // namespace

TEST_CASE("a neighbour whose model does not come is left out and its weight returns to self") {
    auto o = options("ring", 4, 1);
    World world(o);
    for (std::size_t i = 0; i < 4; ++i)
        world.of(i).train = [i](std::span<const float> x, std::uint64_t) {
            return Result<Values>(Values(x.size(), float(1 << i)));
        };
    world.lose_offer = [](std::size_t from, std::size_t to, const message::Manifest&) {
        return from == 1 && to == 0;
    };
    world.start();
    REQUIRE(world.run_to_end());
    auto mixed = world.told<message::Mixed>(0).at(0).second;
    CHECK(mixed.left_out == std::vector<PeerId>{world.id(1)});
    CHECK(mixed.mixed == std::vector<PeerId>{world.id(3)});
    double third = double((1u << 24) / 3) / (1u << 24);
    CHECK(world.model(0)[0] == static_cast<float>((1 - third) * 1 + third * 8));
    CHECK(world.told<message::Mixed>(2).at(0).second.left_out.empty());
}

TEST_CASE("a model with NaN is refused by name and leaves no trace in the others") {
    auto o = options("complete", 4, 3);
    World world(o);
    world.of(2).train = [](std::span<const float> x, std::uint64_t step) {
        Values out(x.begin(), x.end());
        if (step == 2) out[1] = std::numeric_limits<float>::quiet_NaN();
        return Result<Values>(out);
    };
    world.start();
    REQUIRE(world.run_to_end());
    for (std::size_t i : {0, 1, 3}) {
        auto refused = world.told<message::UpdateRefused>(i);
        REQUIRE(!refused.empty());
        CHECK(refused[0].second.peer == world.id(2));
        CHECK(refused[0].second.round == 2);
        CHECK(refused[0].second.error.code == ErrorCode::kUpdateNotFinite);
        for (float v : world.model(i)) CHECK(std::isfinite(v));
        CHECK(world.told<message::Mixed>(i).at(1).second.left_out ==
              std::vector<PeerId>{world.id(2)});
    }
}

TEST_CASE("a peer whose own training fails keeps its weights, says so, and goes on mixing") {
    auto o = options("complete", 3, 4);
    World world(o);
    for (std::size_t i = 0; i < 3; ++i)
        world.of(i).train = [i](std::span<const float> x, std::uint64_t) -> Result<Values> {
            if (i == 1) return fail(ErrorCode::kModelNotFinite, "the loss is NaN");
            Values out(x.begin(), x.end());
            for (auto& v : out) v += 3;
            return out;
        };
    world.start();
    REQUIRE(world.run_to_end());
    REQUIRE(world.told<message::Warning>(1).size() == 1);
    const auto error = world.told<message::Warning>(1)[0].second.error;
    CHECK(error.code == ErrorCode::kModelNotFinite);
    CHECK(error.what.find(world.id(1).short_string()) != std::string::npos);
    CHECK(error.what.find("the loss is NaN; its last good model is mixed on") != std::string::npos);
    CHECK(world.model(1)[0] == doctest::Approx(8));  // 2/3 of 3 a step
    CHECK(world.told<message::Mixed>(1).size() == 4);
}

TEST_CASE("training that fails now and then is told once for each time it begins to") {
    auto o = options("complete", 3, 8);
    World world(o);
    for (std::size_t i = 0; i < 3; ++i)
        world.of(i).train = [i](std::span<const float> x, std::uint64_t step) -> Result<Values> {
            const bool ill = step == 2 || step == 3 || step == 6;
            if (i == 1 && ill) return fail(ErrorCode::kTrainingFailed, "no luck");
            return Values(x.begin(), x.end());
        };
    world.start();
    REQUIRE(world.run_to_end());
    const auto told = world.told<message::Warning>(1);
    REQUIRE(told.size() == 2);
    CHECK(told[0].second.error.what.find("at step 2") != std::string::npos);
    CHECK(told[1].second.error.what.find("at step 6") != std::string::npos);
    CHECK(world.told<message::Warning>(0).empty());
}

TEST_CASE("a killed peer stalls nobody longer than its failure is noticed; back, it catches up") {
    for (std::string graph : {"ring", "one-peer-exponential", "complete"}) {
        CAPTURE(graph);
        auto o = options(graph, 8, 300);
        o.gossip.final_averaging_steps = 3;
        o.detection = 400ms;
        World world(o);
        add_each_step(world, 8);
        world.start();
        world.run_until([&] { return world.core(0).progress().round >= 100; });
        auto killed = world.now();
        world.kill(3);
        world.run_until([&] { return world.core(0).progress().round >= 180; });
        CHECK(world.core(5).progress().round >= 170);
        for (std::size_t i : {0, 2, 4, 5, 7})
            CHECK(longest_pause(world, i, killed) <= o.detection + 100ms);
        world.restart(3);
        REQUIRE(world.run_to_end());
        auto caught = world.told<message::CaughtUp>(3);
        REQUIRE(!caught.empty());
        CHECK(caught[0].second.from_round == 0);
        CHECK(caught[0].second.to_round >= 170);
        for (std::size_t i = 0; i < 8; ++i) CHECK(world.core(i).progress().round == 303);
        // Once back, it is heard again and the models agree at the end.
        auto last = world.told<message::Mixed>(4).back().second;
        CHECK(last.left_out.empty());
        if (graph != "ring")
            for (std::size_t i = 1; i < 8; ++i)
                CHECK(world.model(i)[0] == doctest::Approx(world.model(0)[0]).epsilon(1e-4));
    }
}

TEST_CASE("a peer restarted from its checkpoint goes on there when nobody is further") {
    auto o = options("complete", 3, 60);
    o.gossip.checkpoint_every = 5;
    World world(o);
    add_each_step(world, 3);
    world.start();
    world.run_until([&] { return world.core(1).progress().round >= 32; });
    for (std::size_t i : {0, 1, 2}) world.kill(i);
    world.run_for(1s);
    REQUIRE(world.checkpoint_of);
    auto node = world.checkpoint_node;
    auto step = world.checkpoint_of->round;
    CHECK(step == 30);
    for (std::size_t i : {0, 1, 2}) world.restart(i);
    REQUIRE(world.run_to_end());
    auto started = world.told<message::RunStarted>(node);
    CHECK(started.back().second.round == step);
    for (std::size_t i : {0, 1, 2}) {
        CHECK(world.core(i).progress().round == 60);
        if (i != node) {  // the others begin at 0 and are far behind: they take its model
            REQUIRE(!world.told<message::CaughtUp>(i).empty());
            CHECK(world.told<message::CaughtUp>(i)[0].second.to_round >= step);
        }
    }
}

TEST_CASE("a slow peer is waited for once its lateness is known, a silent one only briefly") {
    auto o = options("ring", 4, 60);
    World world(o);
    world.of(2).train_time = [](std::uint64_t) { return 40ms; };  // the others take 10 ms
    world.start();
    REQUIRE(world.run_to_end());
    for (const auto& [t, mixed] : world.told<message::Mixed>()) CHECK(mixed.left_out.empty());

    World silent(o);
    silent.lose_offer = [](std::size_t from, std::size_t, const message::Manifest& m) {
        return from == 2 && m.round > 20;
    };
    silent.start();
    REQUIRE(silent.run_to_end());
    auto at = [&](std::uint64_t step) {
        return silent.told<message::Mixed>(1).at(step - 1).first.at;
    };
    CHECK(at(60) - at(20) < 40 * 200ms);
    CHECK(at(20) - at(10) < 10 * 30ms);
}

TEST_CASE("an unlinked neighbour is not waited for, and is offered the model when it is back") {
    auto o = options("complete", 3, 40);
    World world(o);
    world.start();
    world.run_until([&] { return world.core(0).progress().round >= 10; });
    world.cut(0, 1);
    auto cut = world.now();
    world.run_for(50ms);
    world.join(0, 1);
    REQUIRE(world.run_to_end());
    CHECK(longest_pause(world, 0, cut) < 100ms);
    CHECK(world.told<message::Mixed>(0).back().second.left_out.empty());
}
