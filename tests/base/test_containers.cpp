// The containers of base beside those of the standard library.
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/peer_map.hpp"
#include "gossamer/base/rng.hpp"

using namespace gossamer;

namespace {

// Many ids share their first eight bytes, as somebody who searches for such keys could bring about.
PeerId drawn(RngStream& rng, std::uint64_t of) {
    const auto n = rng.below(of);
    PeerId id = PeerId::of_number(n / 3);
    id.bytes[20] = std::byte(n % 3);
    return id;
}

void same(const PeerMap<std::uint64_t>& ours, const std::map<PeerId, std::uint64_t>& theirs) {
    REQUIRE(ours.size() == theirs.size());
    REQUIRE(ours.empty() == theirs.empty());
    auto expected = theirs.begin();
    for (const auto& [id, value] : ours) {
        REQUIRE(id == expected->first);
        REQUIRE(value == expected->second);
        ++expected;
    }
    REQUIRE(expected == theirs.end());
}

}  // namespace

TEST_CASE("a PeerMap does what std::map does") {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        CAPTURE(seed);
        auto rng = stream(RunSeed{seed}, Purpose::user);
        const std::uint64_t range = seed % 2 ? 60 : 9000;
        PeerMap<std::uint64_t> ours;
        std::map<PeerId, std::uint64_t> theirs;
        for (int i = 0; i < 30000; ++i) {
            const auto id = drawn(rng, range);
            // Grows, then shrinks again: leaves split, and go.
            const bool grows = rng.below(100) < (i < 15000 ? 70u : 25u);
            if (grows) {
                const auto value = rng.below(1000);
                const bool fresh = theirs.try_emplace(id, value).second;
                REQUIRE(ours.try_emplace(id, value).second == fresh);
            } else {
                REQUIRE(ours.erase(id) == theirs.erase(id));
            }
            REQUIRE(ours.contains(id) == theirs.contains(id));
            if (i % 3000 == 0) {
                same(ours, theirs);
                const auto copy = ours;
                same(copy, theirs);
                const auto odd = [](const auto& entry) { return entry.second % 5 == 0; };
                REQUIRE(erase_if(ours, odd) == std::erase_if(theirs, odd));
                same(ours, theirs);
            }
        }
        while (!ours.empty()) {
            theirs.erase(ours.begin()->first);
            ours.erase(ours.begin());
        }
        same(ours, theirs);
        CHECK(ours.begin() == ours.end());
    }
}

TEST_CASE("what a PeerMap holds stays where it is while others come and go") {
    PeerMap<int> map;
    const auto kept = PeerId::of_number(5000);
    const int* where = &(map[kept] = 7);
    for (std::uint64_t n = 0; n < 10000; ++n) map[PeerId::of_number(n)] += 1;
    for (std::uint64_t n = 0; n < 10000; n += 2)
        if (n != 5000) map.erase(PeerId::of_number(n));
    CHECK(where == map.get(kept));
    CHECK(*where == 8);
    CHECK(map.get(PeerId::of_number(2)) == nullptr);
    auto moved = std::move(map);
    CHECK(where == moved.get(kept));
    CHECK(map.empty());  // NOLINT: what was moved from is empty
}

TEST_CASE("a boxed value is copied with what holds it") {
    Boxed<std::map<int, int>> a;
    CHECK_FALSE(a);
    a.made()[1] = 2;
    auto b = a;
    b->at(1) = 3;
    CHECK(a->at(1) == 2);
    a = b;
    CHECK(a->at(1) == 3);
    a.reset();
    CHECK_FALSE(a.has_value());
    CHECK(b.has_value());
    static_assert(sizeof(b) == sizeof(void*));
}
