// Where clients stand and who is slowest, kept as things change: the same as counted afresh.
#include <doctest/doctest.h>

#include <vector>

#include "gossamer/base/rng.hpp"
#include "protocol/federated/slots.hpp"
#include "protocol/federated/stage_time.hpp"

using namespace gossamer;
using namespace gossamer::federated;

TEST_CASE("stages and limits of a round agree with a fresh count after every change") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        auto draws = stream(RunSeed{seed}, Purpose::scenario, 1);
        Slots slots;
        for (int step = 0; step < 300; ++step) {
            auto& slot = slots[PeerId::of_number(1 + draws.below(12))];
            if (draws.below(2) == 0)
                slots.move(slot, static_cast<Stage>(
                                     draws.below(static_cast<std::uint64_t>(Stage::count_))));
            else
                slots.limit(slot, draws.below(4) == 0
                                      ? Instant::never()
                                      : Instant{static_cast<std::int64_t>(draws.below(5))});
            std::vector<std::size_t> counts(static_cast<std::size_t>(Stage::count_));
            std::size_t outstanding = 0;
            Instant earliest = Instant::never();
            for (const auto& [peer, s] : slots) {
                ++counts[static_cast<std::size_t>(s.stage())];
                outstanding += s.stage() < Stage::adding;
                earliest = std::min(earliest, s.limit());
            }
            for (std::size_t i = 0; i < counts.size(); ++i)
                REQUIRE(slots.count(static_cast<Stage>(i)) == counts[i]);
            REQUIRE(slots.outstanding() == outstanding);
            REQUIRE(slots.earliest_limit() == earliest);
            const Slots copy = slots;  // a value: the copy answers for itself
            REQUIRE(copy.earliest_limit() == earliest);
        }
        slots.clear();
        CHECK(slots.outstanding() == 0);
        CHECK(slots.earliest_limit() == Instant::never());
    }
}

TEST_CASE("the slowest times follow every measurement, also when a client grows faster") {
    SlowestTimes slowest;
    CHECK_FALSE(slowest.known());
    StageTime fast, slow;
    std::uint32_t of_fast = 0, of_slow = 0;
    fast.measured(1s), slowest.update(of_fast, fast, 10);
    slow.measured(9s), slowest.update(of_slow, slow, 1000);
    CHECK(slowest.usual() == slow.usual_most());
    CHECK(slowest.per_sample() == doctest::Approx(seconds(fast.usual_most()) / 10));
    for (int i = 0; i < 100; ++i) slow.measured(100ms), slowest.update(of_slow, slow, 1000);
    CHECK(slow.usual_most() < fast.usual_most());
    CHECK(slowest.usual() == fast.usual_most());
}

TEST_CASE("the slowest of many are what a look at all of them finds") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        auto draws = stream(RunSeed{seed}, Purpose::scenario, 2);
        SlowestTimes slowest;
        struct Client {
            StageTime time;
            std::uint32_t number = 0;
            std::uint64_t samples = 0;
        };
        std::vector<Client> clients(1 + draws.below(30));
        for (int step = 0; step < 2000; ++step) {
            auto& c = clients[draws.below(clients.size())];
            c.samples = 1 + draws.below(100);
            c.time.measured(Duration{1 + static_cast<std::int64_t>(draws.below(1'000'000'000))});
            slowest.update(c.number, c.time, c.samples);
            if (draws.below(4) != 0) continue;
            Duration usual{};
            double per_sample = 0;
            for (const auto& one : clients) {
                if (one.number == 0) continue;
                usual = std::max(usual, one.time.usual_most());
                per_sample = std::max(
                    per_sample, seconds(one.time.usual_most()) / static_cast<double>(one.samples));
            }
            REQUIRE(slowest.usual() == usual);
            REQUIRE(slowest.per_sample() == per_sample);
        }
    }
}
