// What one place of a world holds, and what all of them stand on.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "drivers/simulation/flat_map.hpp"
#include "drivers/simulation/queue.hpp"
#include "drivers/simulation/trace.hpp"
#include "drivers/simulation/world_setup.hpp"

namespace gossamer::simulation {

class WirePath;

inline constexpr Instant kBeginning{1'000'000'000};
inline constexpr std::uint64_t kEchoes = std::uint64_t{1} << 62;  // transfers that no core made

// A channel is named by who dialled and its count of dials, so that a name depends on nobody else.
using ChannelId = std::uint64_t;
inline ChannelId channel_id(PlaceIndex dialler, std::uint32_t count) {
    return std::uint64_t{dialler} << 32 | count;
}
inline PlaceIndex dialler_of(ChannelId id) { return static_cast<PlaceIndex>(id >> 32); }

// One end of a channel; it belongs to its place, and nothing but packets joins it to the other.
struct End {
    ChannelId id = 0;
    PlaceIndex other = 0;
    bool dialled = false;
    bool up = false, told = false;            // LinkUp was told; its end was
    bool fin_sent = false, fin_came = false;  // that the channel ends, to the other and from it
    bool gone = false;                        // kept until the other's end has come
    bool dirty = false;
    std::uint32_t life_there = 0;  // of the other when it was dialled
    PeerId peer;                   // there
    Duration latency{};
    bool unlimited = false;  // neither its line nor the other's has a limit
    Instant up_since, last_arrival;
    std::uint64_t in_flight = 0, packets = 0;
    Instant armed = Instant::never();
    std::optional<link::Link> link;
    std::vector<std::unique_ptr<Packet>> held;  // behind a barrier, to the other end
    Instant held_since;
    std::string address;  // that was dialled
};

struct Dial {
    PlaceIndex to = 0;
    std::string address;
    std::optional<PeerId> expected;
};

struct Task {
    std::uint64_t number = 0;
    job::JobOrder order;
    std::vector<const void*> inputs;      // until it begins
    std::vector<tensor::Handle> outputs;  // held: addresses must name them until it ends
    const void* sum = nullptr;            // that it adds to or reads
    bool adds = false;
    bool cancelled = false, begun = false;
    Duration cost{};
    Compute::TicketRef ticket;
};

struct Place {
    PlaceState state = PlaceState::off;
    bool ended = false, stopping = false, returns = false;  // returns: boots when it is down
    bool at_work[2]{};                                      // training, all else
    std::uint32_t life = 0;
    std::unique_ptr<node::Node> node;
    std::uint64_t events_sent = 0;
    job::TurnIds ids;
    Instant armed = Instant::never();
    Trace trace;
    Instant line_up, line_down;  // when its lines are free again
    std::uint64_t sent_bytes = 0;
    FlatMap<ChannelId, std::unique_ptr<End>> ends;
    FlatMap<std::uint64_t, End*> up, greeting;  // by key_of() the other
    FlatMap<std::uint64_t, ChannelId> offered;  // by transfer
    std::vector<ChannelId> starved;             // whose grants wait for room
    std::list<Task> tasks;                      // asked for and not answered, in order
    std::vector<const void*> pending;           // outputs of tasks that have not ended
    std::vector<job::Offer> promised;           // their payloads are pending
    Compute::TicketRef added;                   // the last sum
    FlatMap<std::uint64_t, Dial> dials;
    std::shared_ptr<link::Staging> staging;
    PlaceSetup setup;
    std::uint64_t boots = 0, away_count = 0, next_task = 1;
    std::uint32_t dial_count = 0;
    Instant slept_since;
    std::vector<std::pair<EventKey, Event>> held;  // came while it was asleep
    double slower = 1;                             // by a fault
    Duration clock_offset{};
    std::map<std::uint64_t, job::Offer> echoes;  // by transfer
};

// For look-up in small maps; who is found is compared with whom was looked for.
inline std::uint64_t key_of(const PeerId& id) { return PeerIdHash{}(id); }

inline bool holds(const FlatMap<std::uint64_t, End*>& ends, const PeerId& peer) {
    const auto* end = ends.find(key_of(peer));
    return end && (*end)->peer == peer;
}
// Unless another has taken its place.
inline void forget(FlatMap<std::uint64_t, End*>& ends, const End& end) {
    const auto* found = ends.find(key_of(end.peer));
    if (found && *found == &end) ends.erase(key_of(end.peer));
}

struct Mishap {            // to packets between two groups
    std::uint64_t id = 0;  // of the fault
    FaultKind kind{};
    std::vector<bool> a, b;
    double part = 0;
};

// What all lanes stand on. While a window is open only places change, each by one lane.
struct Ground {
    explicit Ground(WorldSetup s)
        : setup(std::move(s)), network(setup.config.network, setup.seed), compute(setup.threads) {
        for (const auto role : {Role::peer, Role::aggregator})
            link_settings[role] = link::shared(
                {{role, "simulation", setup.codecs, 0, "gossamer"}, setup.link, nullptr});
    }
    WorldSetup setup;
    std::map<Role, std::shared_ptr<const link::LinkSettings>> link_settings;
    Network network;
    Compute compute;
    std::vector<Place> places;
    std::unordered_map<PeerId, PlaceIndex, PeerIdHash> by_id;
    std::unordered_map<std::string, PlaceIndex> by_address;
    std::vector<Mishap> mishaps;
    std::map<PlaceIndex, std::vector<std::uint64_t>> hanging;  // tasks that should have ended
    std::map<PlaceIndex, double> echoing;                      // seconds
    std::map<ChannelId, std::shared_ptr<WirePath>> wires;      // only when bytes are made
};

}  // namespace gossamer::simulation
