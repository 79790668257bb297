#include "drivers/simulation/directory.hpp"

#include <charconv>

#include "gossamer/base/assert.hpp"

namespace gossamer::simulation {

namespace {
constexpr std::string_view kAggregatorAddress = "aggregator.sim:7000";
constexpr std::string_view kBefore = "peer-", kAfter = ".sim:7000";
}  // namespace

Directory::Directory(PlaceIndex peers, bool aggregator, std::vector<PeerId> ids)
    : peers_(peers), aggregator_(aggregator), ids_(std::move(ids)) {
    GOSSAMER_ASSERT(ids_.empty() || ids_.size() == size(), "an id for each place");
    for (PlaceIndex p = 0; p < ids_.size(); ++p) listed_.emplace_back(ids_[p], p);
    std::ranges::sort(listed_);
}

std::string Directory::address(PlaceIndex place) const {
    if (place >= peers_) return std::string(kAggregatorAddress);
    return std::string(kBefore) + std::to_string(place) + std::string(kAfter);
}

std::optional<PlaceIndex> Directory::place_of(const PeerId& id) const {
    if (ids_.empty()) {
        const auto number = id.number();
        if (!number || *number == 0 || *number > size()) return std::nullopt;
        return static_cast<PlaceIndex>(*number - 1);
    }
    const auto it =
        std::ranges::lower_bound(listed_, id, {}, &std::pair<PeerId, PlaceIndex>::first);
    if (it == listed_.end() || it->first != id) return std::nullopt;
    return it->second;
}

std::optional<PlaceIndex> Directory::place_at(std::string_view address) const {
    if (aggregator_ && address == kAggregatorAddress) return peers_;
    if (!address.starts_with(kBefore) || !address.ends_with(kAfter)) return std::nullopt;
    address.remove_prefix(kBefore.size());
    address.remove_suffix(kAfter.size());
    PlaceIndex place = 0;
    const auto* end = address.data() + address.size();
    const auto read = std::from_chars(address.data(), end, place);
    if (read.ec != std::errc{} || read.ptr != end || place >= peers_) return std::nullopt;
    return place;
}

}  // namespace gossamer::simulation
