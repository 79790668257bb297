// Maps of a place: what they hold, however many there are.
#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <random>

#include "drivers/simulation/flat_map.hpp"

using namespace gossamer::simulation;

namespace {

using Map = FlatMap<std::uint64_t, std::unique_ptr<int>>;
using Reference = std::map<std::uint64_t, int>;

void check_same(const Map& map, const Reference& reference) {
    REQUIRE(map.size() == reference.size());
    CHECK(map.empty() == reference.empty());
    auto it = map.begin();
    for (const auto& [key, value] : reference) {
        REQUIRE(it != map.end());
        const auto& [its, held] = *it;
        REQUIRE(its == key);
        REQUIRE(*held == value);
        const auto* found = map.find(key);
        REQUIRE(found);
        REQUIRE(**found == value);
        ++it;
    }
    CHECK(it == map.end());
}

}  // namespace

TEST_CASE("a flat map holds what a map holds, in its order, few and many") {
    for (const std::size_t most : {3u, 600u, 5'000u})
        for (unsigned seed = 1; seed <= 3; ++seed) {
            CAPTURE(most);
            CAPTURE(seed);
            std::mt19937_64 draws(seed);
            Map map;
            Reference reference;
            const auto set = [&](std::uint64_t key, int value) {
                map.set(key, std::make_unique<int>(value));
                reference[key] = value;
            };
            for (std::size_t i = 0; i < most; ++i)  // about the order of their keys
                set(10 * i + draws() % 40, static_cast<int>(i));
            check_same(map, reference);
            for (std::size_t i = 0; i < 2 * most; ++i) {  // anywhere
                const auto key = draws() % (10 * most);
                if (draws() % 2) {
                    set(key, -static_cast<int>(i));
                } else {
                    map.erase(key);
                    reference.erase(key);
                }
                REQUIRE(map.contains(key) == reference.contains(key));
            }
            check_same(map, reference);
            while (!reference.empty()) {  // all go, in any order
                auto it = reference.lower_bound(draws() % (10 * most));
                if (it == reference.end()) it = reference.begin();
                map.erase(it->first);
                reference.erase(it);
                if (reference.size() % 500 == 0) check_same(map, reference);
            }
            CHECK(map.empty());
            CHECK(map.begin() == map.end());
            set(7, 7);
            check_same(map, reference);
            map.clear();
            CHECK(map.empty());
        }
}
