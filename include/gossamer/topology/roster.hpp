// Who takes part in the mixing, and in what order: the places 0..n-1 of a graph belong to the
// members in PeerId order. Messages name the epoch; a roster never changes within one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "gossamer/base/peer_id.hpp"

namespace gossamer::topology {

struct Roster {
    std::uint64_t epoch = 0;
    std::vector<PeerId> members;  // sorted, distinct
    std::uint64_t digest = 0;     // of both, never 0; worked out once, for rosters are large

    static Roster of(std::uint64_t epoch, std::vector<PeerId> members);  // sorts, drops doubles
    std::size_t size() const { return members.size(); }
    const PeerId& at(std::size_t place) const { return members[place]; }  // place < size()
    std::optional<std::uint32_t> place_of(const PeerId& id) const;
    bool operator==(const Roster&) const = default;
};

}  // namespace gossamer::topology
