// Who is who in a world: role, id and address of each place by its number, and back. The peers come
// first, then the aggregator of a federated run. Worked out, not stored, unless a scenario lists
// the ids of real daemons: a hundred thousand places cost nothing here.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossamer/base/peer_id.hpp"

namespace gossamer::simulation {

using PlaceIndex = std::uint32_t;

class Directory {
public:
    Directory() = default;
    // REQUIRES ids: none, or one for each place.
    Directory(PlaceIndex peers, bool aggregator, std::vector<PeerId> ids = {});

    PlaceIndex peers() const { return peers_; }
    PlaceIndex size() const { return peers_ + aggregator_; }
    Role role(PlaceIndex place) const { return place < peers_ ? Role::peer : Role::aggregator; }
    PeerId id(PlaceIndex place) const {
        return ids_.empty() ? PeerId::of_number(place + 1) : ids_[place];
    }
    std::string address(PlaceIndex place) const;  // "peer-17.sim:7000"

    std::optional<PlaceIndex> place_of(const PeerId& id) const;
    std::optional<PlaceIndex> place_at(std::string_view address) const;

private:
    PlaceIndex peers_ = 0;
    bool aggregator_ = false;
    std::vector<PeerId> ids_;
    std::vector<std::pair<PeerId, PlaceIndex>> listed_;  // in the order of ids
};

}  // namespace gossamer::simulation
