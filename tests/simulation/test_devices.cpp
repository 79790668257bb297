// What a scenario says of its devices: when they are there, how fast they are.
#include <algorithm>
#include <cmath>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("a part of the fleet is asleep at any instant of a day, and each device for that part") {
    constexpr PlaceIndex kPeers = 200;
    constexpr int kDay = 20;  // seconds
    for (const double part : {0.5, 0.2}) {
        CAPTURE(part);
        auto simulation = make(load(
            federated_run(kPeers, 1000),
            {"simulation.compute=cost", "simulation.availability=diurnal", "simulation.day=20s",
             "simulation.asleep_part=" + std::to_string(part), "run.peers=100",
             "simulation.peers=200", "simulation.start_spread=0s", "federated.fraction=0.1"}));
        auto& world = simulation->world();
        std::vector<int> slept(kPeers);
        // Of so many that sleep independently: three deviations, and a little.
        const double most_off = 3.2 * std::sqrt(part * (1 - part) / kPeers);
        for (int second = 0; second < 3 * kDay; ++second) {
            while (world.step(World::kBeginning + second * 1s + 100ms)) continue;
            int asleep = 0;
            for (PlaceIndex p = 0; p < kPeers; ++p) {
                const bool there = world.state(p) == PlaceState::running;
                asleep += !there, slept[p] += !there;
            }
            CAPTURE(second);
            CHECK(std::abs(asleep / double{kPeers} - part) < most_off);
        }
        // Looked at each second, a night is one look longer or shorter than it lasts.
        for (const int looks : slept) CHECK(std::abs(looks - 3 * part * kDay) <= 3);
    }
}

namespace {

// How long each finished round took, in virtual seconds.
std::vector<double> round_seconds(std::vector<std::string> sets) {
    auto simulation = make(load(federated_run(40, 10), std::move(sets)));
    std::vector<double> took;
    simulation->chronicle().also = [&](Instant, PlaceIndex, const message::Notice& notice) {
        if (const auto* n = std::get_if<message::RoundFinished>(&notice))
            took.push_back(seconds(n->elapsed));
    };
    REQUIRE(simulation->run());
    return took;
}

}  // namespace

TEST_CASE("the aggregator is as fast as its own key says, whatever its clients are") {
    // It evaluates 200 samples, three in the time in which it would train one, amid a round.
    const std::vector<std::string> sets = {"simulation.samples_per_second=20",
                                           "federated.fraction=1", "data.synthetic_test=200",
                                           "federated.staging=40"};
    const auto with = [&](const char* set) {
        auto more = sets;
        if (set) more.emplace_back(set);
        return round_seconds(std::move(more));
    };
    const auto fast = with(nullptr), slow = with("simulation.server_samples_per_second=10");
    REQUIRE(fast.size() == 10);
    REQUIRE(slow.size() == 10);
    for (std::size_t round = 1; round < 10; ++round) {
        CHECK(fast[round] == doctest::Approx(50 / 20.0).epsilon(0.1));
        CHECK(slow[round] == doctest::Approx(200 / (3 * 10.0)).epsilon(0.1));
    }
}

TEST_CASE("with stragglers a round of more clients than it wants is a shorter one") {
    const auto total = [](const char* over_provision) {
        double sum = 0;
        for (const double took :
             round_seconds({"simulation.samples_per_second=50", "simulation.slow_part=0.1",
                            "simulation.slow_factor=10", "federated.fraction=0.5",
                            std::string("federated.over_provision=") + over_provision}))
            sum += took;
        return sum;
    };
    // 50 samples: a second, or ten. Of 20 clients two are slow, of 26 twenty are quick ones.
    const auto exact = total("1"), more = total("1.3");
    CHECK(exact > 60);
    CHECK(more < 25);
}
