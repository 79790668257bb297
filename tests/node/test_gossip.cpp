#include <doctest/doctest.h>

#include <cmath>

#include "node/learning_world.hpp"

using namespace gossamer;
using namespace gossamer::testing;

namespace {

double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
        sum += d * d;
    }
    return std::sqrt(sum / static_cast<double>(a.size()));
}

}  // namespace

TEST_CASE("Eight peers gossip to the end and agree near the best common model") {
    for (auto graph : {topology::GraphKind::one_peer_exponential, topology::GraphKind::ring}) {
        LearningWorld w({.peers = 8, .rounds = 40, .graph = graph});
        w.start_all();
        REQUIRE(w.run_to_end());
        for (std::size_t i = 0; i < 8; ++i) {
            CHECK(w.final_written(i));
            CHECK(distance(w.kept_model(i), w.best()) < 0.15);
            for (const auto& [at, mixed] : w.noted<message::Mixed>(i))
                CHECK(mixed.left_out.empty());
        }
    }
}

TEST_CASE("Peers may start in any order, and say whom they wait for") {
    LearningWorld w({.peers = 4, .rounds = 5});
    for (std::size_t i : {3, 1, 2, 0}) {
        w.world.start(i);
        w.world.run_for(3s);
    }
    CHECK(!w.noted<message::Waiting>(3).empty());
    CHECK(w.run_to_end());
}

TEST_CASE("Who is known from the peer book alone is found, and not counted before") {
    LearningWorld w({.peers = 3, .rounds = 5, .by_book = true});
    w.world.start(2);
    w.world.run_for(5s);
    CHECK(w.noted<message::RunStarted>(2).empty());
    const auto waiting = w.noted<message::Waiting>(2);
    REQUIRE(!waiting.empty());
    CHECK(waiting.back().second.what.find("here: 1") != std::string::npos);
    for (std::size_t i : {0, 1}) w.world.start(i);
    CHECK(w.run_to_end());
}

TEST_CASE("When one is killed the others go on within one detection time, and it catches up") {
    LearningWorld w({.peers = 6, .rounds = 100});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 40; }, 60s));
    w.world.kill(2);
    w.world.run_for(3s);
    REQUIRE(w.round(0) < 100);
    w.world.start(2);
    REQUIRE(w.run_to_end());
    CHECK(!w.noted<message::CaughtUp>(2).empty());
    CHECK(w.final_written(2));
    for (std::size_t i = 0; i < 6; ++i) {
        if (i == 2) continue;
        Duration longest{};
        const auto steps = w.noted<message::Mixed>(i);
        for (std::size_t k = 1; k < steps.size(); ++k)
            longest = std::max(longest, steps[k].first - steps[k - 1].first);
        CHECK(longest < 1500ms);
        CHECK(distance(w.kept_model(i), w.best()) < 0.2);
    }
}

TEST_CASE("A killed peer that never comes back does not keep the others from the end") {
    LearningWorld w({.peers = 5, .rounds = 30});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 10; }, 60s));
    w.world.kill(3);
    CHECK(w.run_to_end());
    for (std::size_t i : {0, 1, 2, 4}) CHECK(w.final_written(i));
}

TEST_CASE("A machine asleep for a while is gone meanwhile, and goes on afterwards") {
    LearningWorld w({.peers = 5, .rounds = 150});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 10; }, 60s));
    w.world.suspend(1, 4s);
    CHECK(w.run_to_end());
    for (std::size_t i = 0; i < 5; ++i) CHECK(w.final_written(i));
    CHECK(w.noted<message::Resumed>(1).size() == 1);
}

TEST_CASE("Who is asked to stop leaves, and the others know it at once") {
    LearningWorld w({.peers = 4, .rounds = 100});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 10; }, 60s));
    w.world.stop(1);
    w.world.run_for(500ms);
    CHECK(!w.world.running(1));
    for (std::size_t i : {0, 2, 3})
        CHECK(w.node(i).membership().state_of(w.world.id(1)) == message::MemberState::left);
    CHECK(w.run_to_end());
}

TEST_CASE("The same seed gives the same run to the last bit, on a network that stalls") {
    auto run = [](std::uint64_t seed) {
        LearningWorld w({.peers = 5, .rounds = 20, .seed = seed, .network = {.stall = 0.05}});
        w.start_all();
        REQUIRE(w.run_to_end());
        std::string digests;
        for (std::size_t i = 0; i < 5; ++i) digests += w.node(i).digest().to_string();
        return digests;
    };
    CHECK(run(3) == run(3));
    CHECK(run(3) != run(4));
}

TEST_CASE("The status of a node shows the run and all members") {
    LearningWorld w({.peers = 4, .rounds = 50});
    w.start_all();
    REQUIRE(w.world.run_while([&] { return w.round(0) < 20; }, 60s));
    const auto status = w.world.node(0).status(w.world.now());
    CHECK(status.mode == message::Mode::gossip);
    CHECK(status.phase == message::Phase::training);
    CHECK(status.round_max >= 50);  // and some steps of averaging at the end
    REQUIRE(status.members.size() == 3);
    for (const auto& member : status.members) {
        CHECK(member.linked);
        CHECK(member.record.state == message::MemberState::alive);
        CHECK(member.silent_for < 400ms);
        CHECK(member.progress.round + 6 >= status.round);  // rides on heartbeats: 250ms old
        CHECK(member.round_trip < 10ms);
    }
}
