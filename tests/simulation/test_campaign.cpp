// A short fault campaign in each run of the tests; a longer one: gossamer-sim campaign.
#include "drivers/simulation/campaign.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("random worlds with faults of all kinds keep the invariants, end and agree") {
    constexpr std::uint64_t kFrom = 1, kWorlds = 40;
    for (std::uint64_t seed = kFrom; seed < kFrom + kWorlds; ++seed) {
        const auto verdict = try_world(draw_world(seed), seed % 8 == 0);
        INFO("again: gossamer-sim campaign --seeds 1 --from ", seed);
        for (const auto& broken : verdict.broken) FAIL_CHECK(broken);
        CHECK(verdict.events > 0);
    }
}

TEST_CASE("a world drawn twice from one seed is the same") {
    CHECK(draw_world(7).text == draw_world(7).text);
    CHECK(draw_world(7).text != draw_world(8).text);
}
