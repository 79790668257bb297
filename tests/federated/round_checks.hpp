// What several tests of rounds ask of a star world.
#pragma once

#include <algorithm>
#include <bit>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "star_world.hpp"

namespace gossamer::federated::testing {

inline WorldOptions star(std::size_t clients, std::uint64_t rounds, std::uint64_t seed = 1) {
    WorldOptions o;
    o.clients = clients;
    o.seed = seed;
    o.run.rounds = rounds;
    o.run.peers = clients;
    o.run.seed = {11};
    return o;
}

inline bool bits_equal(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](float x, float y) {
               return std::bit_cast<std::uint32_t>(x) == std::bit_cast<std::uint32_t>(y);
           });
}

inline void check_every_round_follows_from_its_accepted_set(const StarWorld& world) {
    for (const auto& [round, accepted] : world.accepted) {
        INFO("round " << round << ", schedule " << world.options.seed);
        CHECK(bits_equal(world.models.at(round), expected_next(world, round)));
    }
}

inline std::size_t count_sent(const StarWorld& world, const std::string& what) {
    return static_cast<std::size_t>(std::ranges::count(world.sent, what));
}

}  // namespace gossamer::federated::testing
