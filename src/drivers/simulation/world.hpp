// A world of nodes in virtual time: the driver behind Turn that simulates.
//
// It keeps the contract of job/turn.hpp as the daemon does, with the same nodes and the same links;
// only sockets, clocks and threads are replaced. Events come by windows as long as the least
// latency: what happens in one at different places cannot be felt elsewhere before it is over, so
// places are turned on all cores, each its own events in their order (lane.hpp). What they send,
// and what observers hear, is put in order when the window ends; so nothing shows how many threads
// there were. World events (faults, starts, ends) end a window and are turned alone. Jobs are
// computed for real, and end when a device of that speed would have ended them. What a place costs
// while it idles is its node, its links, and little else.
//
//   config ── WorldSetup ──> World ── windows ──> Lane ── turn ──> node::Node (the cores that ship)
//                                                  │ frames over handles
//                                                  └── link::Link on each end of a channel
#pragma once

#include "drivers/simulation/lane.hpp"

namespace gossamer::simulation {

class World {
public:
    World(WorldSetup setup, Observer& observer);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    static constexpr Instant kBeginning = gossamer::simulation::kBeginning;

    // One window, or one world event; false when nothing is left until `last`. Errors end the
    // world: a node that cannot be made, bytes that differ from what was counted.
    bool step(Instant last = Instant::never());
    bool run_dry() const { return calendar_.empty() && world_queue_.empty(); }
    const std::optional<Error>& failed() const { return failed_; }
    Instant now() const { return now_; }
    Duration elapsed() const { return now_ - kBeginning; }

    std::size_t size() const { return ground_.places.size(); }
    PlaceState state(PlaceIndex p) const { return place(p).state; }
    bool running(PlaceIndex p) const { return place(p).node != nullptr; }
    const node::Node& node(PlaceIndex p) const { return *place(p).node; }
    PeerId id(PlaceIndex p) const { return ground_.setup.directory.id(p); }
    Role role(PlaceIndex p) const { return ground_.setup.directory.role(p); }
    bool reachable(PlaceIndex a, PlaceIndex b) const;  // both ways, no barrier
    std::size_t task_count(PlaceIndex p) const {
        return place(p).work ? place(p).work->tasks.size() : 0;
    }
    std::size_t hanging_count(PlaceIndex p) const {  // tasks that should have ended
        const auto found = ground_.hanging.find(p);
        return found == ground_.hanging.end() ? 0 : found->second.size();
    }
    // How long what is sent or received now waits for the place's lines.
    Duration line_wait(PlaceIndex p) const {
        return std::max(place(p).line_up, place(p).line_down) - now_;
    }
    const link::Staging& staging(PlaceIndex p) const { return place(p).staging; }
    std::optional<PlaceIndex> place_of(const PeerId& id) const {
        return ground_.setup.directory.place_of(id);
    }
    bool ended() const { return ended_count_ == size(); }  // all finished, or are gone for good
    bool has_ended(PlaceIndex p) const { return place(p).ended; }
    bool has_finished(PlaceIndex p) const { return place(p).finished; }  // by itself
    std::uint32_t life(PlaceIndex p) const { return place(p).life; }     // another after each boot
    std::size_t finished_count() const { return finished_count_; }
    bool linked(PlaceIndex p, PlaceIndex other) const;  // or about to be
    const Counts& counts() const { return counts_; }
    std::size_t queue_largest() const { return calendar_.largest(); }
    std::uint64_t trace_hash() const;
    const Network& network() const { return ground_.network; }

private:
    const Place& place(PlaceIndex p) const { return ground_.places[p]; }
    void push_boot(PlaceIndex p);
    void push_next_boot();
    void turn_window(Instant until);
    void gather();  // what lanes sent and said, in the order of what brought it about
    void hear(Lane::Note& note);

    Ground ground_;
    Observer& observer_;
    Calendar calendar_;
    EventQueue world_queue_;
    std::uint64_t world_events_ = 0;  // numbers given; the first are those of faults, then of boots
    std::uint64_t first_boot_ = 0;
    PlaceIndex next_boot_ = 0;
    std::vector<std::unique_ptr<Lane>> lanes_;
    std::vector<Item> window_;
    std::vector<Item*> order_;
    std::vector<std::span<Item*>> groups_;  // of one place each
    std::vector<Lane::Note*> said_;
    std::size_t ended_count_ = 0, finished_count_ = 0;
    Instant now_ = kBeginning;
    Counts counts_;
    Trace world_trace_;
    std::optional<Error> failed_;
};

}  // namespace gossamer::simulation
