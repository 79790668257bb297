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
