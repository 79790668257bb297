// What one place of a world holds, and what all of them stand on.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/simulation/flat_map.hpp"
#include "drivers/simulation/queue.hpp"
#include "drivers/simulation/trace.hpp"
#include "drivers/simulation/world_setup.hpp"
#include "gossamer/base/boxed.hpp"

namespace gossamer::simulation {

class WirePath;

inline constexpr std::uint64_t kEchoes = std::uint64_t{1} << 62;  // transfers that no core made

// A channel is named by who dialled and its count of dials, so that a name depends on nobody else.
using ChannelId = std::uint64_t;
inline ChannelId channel_id(PlaceIndex dialler, std::uint32_t count) {
    return std::uint64_t{dialler} << 32 | count;
}
inline PlaceIndex dialler_of(ChannelId id) { return static_cast<PlaceIndex>(id >> 32); }

// Packets that wait behind a barrier, to the other end of a channel.
struct HeldBack {
    Instant since;
    std::vector<std::unique_ptr<Packet>> packets;
};

// What the last packet was drawn by, and how many others before it were.
struct Drawn {
    std::uint64_t by = 0, again = 0;
};

// One end of a channel; it belongs to its place, and nothing but packets joins it to the other.
struct End {
    ChannelId id = 0;
    PlaceIndex other = 0;
    std::uint32_t life_there = 0;  // of the other when it was dialled
    bool dialled = false;
    bool up = false, told = false;            // LinkUp was told; its end was
    bool fin_sent = false, fin_came = false;  // that the channel ends, to the other and from it
    bool gone = false;                        // kept until the other's end has come
    bool dirty = false;
    bool unlimited = false;  // neither its line nor the other's has a limit
    Duration latency{};
    Instant up_since, last_arrival;
    std::uint64_t in_flight = 0, packets = 0;
    Instant armed = Instant::never();
    std::optional<link::Link> link;
    Boxed<HeldBack> held;
    Boxed<Drawn> drawn;  // only under mishaps
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
    bool held = false;  // its ticket: until what it reads is made
    Duration cost{};
    Compute::TicketRef ticket;
};

// Jobs and offers of a place, while it has any.
struct Work {
    bool at_work[2]{};                          // training, all else
    std::list<Task> tasks;                      // asked for and not answered, in order
    std::vector<const void*> pending;           // outputs of tasks that have not ended
    std::vector<job::Offer> promised;           // their payloads are pending
    FlatMap<std::uint64_t, ChannelId> offered;  // by transfer
    std::vector<ChannelId> starved;             // whose grants wait for room
    bool done() const {
        return tasks.empty() && promised.empty() && offered.empty() && starved.empty();
    }
};

// What few places have at a time.
struct Passing {
    FlatMap<std::uint64_t, Dial> dials;
    FlatMap<PlaceIndex, End*> greeting;            // by the other
    std::vector<std::pair<EventKey, Event>> held;  // came while it was asleep
    std::vector<const Fault*> under;               // faults in force on it alone, as they began
    // What befell it while it was asleep, and is felt when it wakes.
    std::vector<ChannelId> broken;
    bool told_to_leave = false;
    double slower = 1;  // by a fault
    Duration clock_offset{};
    std::map<std::uint64_t, job::Offer> echoes;  // by transfer
    bool over() const {
        return dials.empty() && greeting.empty() && held.empty() && echoes.empty() &&
               under.empty() && broken.empty() && !told_to_leave && slower == 1 &&
               clock_offset == Duration{};
    }
};

// What most places hold most of the time fits into a few hundred bytes; the rest comes and goes.
struct Place {
    std::unique_ptr<node::Node> node;
    PlaceState state = PlaceState::off;
    // ended: it will not come back, for its run is over (finished) or a fault took it for good.
    bool ended = false, finished = false;
    bool stopping = false;
    bool startable = false;  // jobs may have become so since they were last looked at
    // Reasons why it is not there, each of which ends by itself: what holds its process off, and of
    // that what takes its power; what holds its machine asleep. The first lasts until its start. A
    // scenario of a mebibyte cannot name more faults than these can count.
    std::uint16_t away = 1, dark = 0, slept = 0;
    std::uint32_t life = 0, boots = 0, away_count = 0, dial_count = 0;
    Trace trace;
    Instant armed = Instant::never();
    std::uint64_t events_sent = 0, sent_bytes = 0;
    Instant line_up, line_down;  // when its lines are free again
    job::TurnIds ids;
    std::uint64_t next_task = 1;
    FlatMap<ChannelId, std::unique_ptr<End>> ends;
    FlatMap<PlaceIndex, End*> up;  // by the other
    std::unique_ptr<Work> work;
    std::unique_ptr<Passing> passing;
    link::Staging staging;
    Instant slept_since;

    Work& working() { return made(work); }
    Passing& passed() { return made(passing); }
    End* greeting(PlaceIndex other) const {
        const auto* end = passing ? passing->greeting.find(other) : nullptr;
        return end ? *end : nullptr;
    }
    void tidy() {
        if (work && work->done()) work.reset();
        if (passing && passing->over()) passing.reset();
    }

private:
    template <class T>
    static T& made(std::unique_ptr<T>& what) {
        if (!what) what = std::make_unique<T>();
        return *what;
    }
};

// Unless another has taken its place.
inline void forget(FlatMap<PlaceIndex, End*>& ends, const End& end) {
    const auto* found = ends.find(end.other);
    if (found && *found == &end) ends.erase(end.other);
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
    // The aggregator, and the first peer, are there first.
    Duration start_after(PlaceIndex p) const {
        const auto peers = setup.directory.peers();
        const auto spread = setup.config.start_spread;  // times p it may not fit
        if (p >= peers || peers == 1) return {};
        return spread / peers * p + spread % peers * p / peers;
    }
    std::vector<Mishap> mishaps;
    std::map<PlaceIndex, std::vector<std::uint64_t>> hanging;  // tasks that should have ended
    std::map<PlaceIndex, double> echoing;                      // seconds
    std::map<ChannelId, std::shared_ptr<WirePath>> wires;      // only when bytes are made
};

}  // namespace gossamer::simulation
