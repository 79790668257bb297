// The three profiles of membership and their times. Everything else is derived from what the links
// show: see detector.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/base/peer_id.hpp"

namespace gossamer::membership {

enum class Profile : std::uint8_t { local = 0, lan = 1, wan = 2 };
std::string_view to_string(Profile profile);

struct Timings {
    Duration heartbeat_every;         // on every link, jittered by a tenth
    Duration limit_floor, limit_cap;  // bounds of the silence after which a member is suspected
    Duration suspicion;               // from suspect to dead, unless it shows up
    Duration dial_stagger;            // the larger PeerId lets the smaller one dial first
    Duration back_off_first, back_off_cap;  // between dials: doubles, jittered by a half
};
const Timings& timings(Profile profile);

// An address to dial from the start; whoever answers becomes a member.
struct Seed {
    std::string address;             // host:port
    std::optional<PeerId> expected;  // who must answer there
    bool operator==(const Seed&) const = default;
};
// "host:port" or "id@host:port", the id in 64 hex digits.
Result<Seed> parse_seed(std::string_view text);

struct MembershipConfig {
    Profile profile = Profile::lan;
    std::vector<Seed> seeds;
    std::uint32_t mesh_max = 64;  // up to here everybody links with everybody
    // A run of more members than a mesh holds: a member knows those it was told of beforehand, the
    // aggregators, and whoever links with it, and is told of nobody else; so that an idle client
    // stays small among a hundred thousand.
    bool local_view = false;
};

// Shared by the nodes of a simulation that have the same.
using MembershipConfigRef = std::shared_ptr<const MembershipConfig>;

OptionTable membership_options();
Result<MembershipConfig> membership_config(const OptionSource& source);

}  // namespace gossamer::membership
