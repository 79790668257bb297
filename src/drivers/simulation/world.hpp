// A world of nodes in virtual time: the driver behind Turn that simulates.
//
// It keeps the contract of job/turn.hpp as the daemon does, with the same nodes and the same links;
// only sockets, clocks and threads are replaced. Events come from one queue in one order; jobs are
// computed for real on all cores while virtual time stands still, and end when a device of that
// speed would have ended them. What a place costs while it idles is its node, its links, and
// little else.
//
//   config ── WorldSetup ──> World ── turn ──> node::Node (the cores that ship)
//                              │ frames over handles
//                              └── link::Link on each end of a channel
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "connection/link/link.hpp"
#include "connection/wire/wire.hpp"
#include "drivers/simulation/compute.hpp"
#include "drivers/simulation/faults.hpp"
#include "drivers/simulation/flat_map.hpp"
#include "drivers/simulation/network.hpp"
#include "drivers/simulation/queue.hpp"
#include "drivers/simulation/trace.hpp"
#include "gossamer/node/node.hpp"

namespace gossamer::simulation {

class WirePath;
class WireIdentities;

// Channels by number. A number is never used twice: its upper half counts the uses of a slot.
template <class T>
class ChannelTable {
public:
    T* find(std::uint64_t number) {
        const auto slot = static_cast<std::uint32_t>(number);
        return slot < slots_.size() && slots_[slot].use == number >> 32 ? slots_[slot].item.get()
                                                                        : nullptr;
    }
    std::uint64_t add(std::unique_ptr<T> item) {
        if (free_.empty()) {
            free_.push_back(static_cast<std::uint32_t>(slots_.size()));
            slots_.emplace_back();
        }
        const auto slot = free_.back();
        free_.pop_back();
        slots_[slot].item = std::move(item);
        return static_cast<std::uint64_t>(++slots_[slot].use) << 32 | slot;
    }
    void erase(std::uint64_t number) {
        if (!find(number)) return;
        slots_[static_cast<std::uint32_t>(number)].item.reset();
        free_.push_back(static_cast<std::uint32_t>(number));
    }
    template <class F>
    void each(F&& f) {  // in the order of slots
        for (auto& slot : slots_)
            if (slot.item) f(*slot.item);
    }

private:
    struct Slot {
        std::unique_ptr<T> item;
        std::uint32_t use = 0;
    };
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
};

enum class PlaceState : std::uint8_t {
    off,   // its process does not run
    dark,  // nor does its machine: nothing answers
    running,
    asleep,  // machine or process stand still; links stay
};

// What the world needs to know about one place.
struct PlaceSetup {
    PeerId id;
    Role role = Role::peer;
    std::string address;  // where others dial it
    Duration start_after{};
};

// How places are brought to life and what they compute.
struct Factory {
    std::function<Result<std::unique_ptr<node::Node>>(PlaceIndex, std::uint64_t boot, WallTime)>
        node;
    std::function<Duration(PlaceIndex, const job::Job&)> cost;
    // Bound to the place; called on any thread.
    std::function<Compute::Work(PlaceIndex, job::Job)> work;
    // Work that is done along with others like it, when the first of them is needed; may be empty.
    std::function<bool(const job::Job&)> stacks;
    // A fault of a disk; may be empty.
    std::function<void(PlaceIndex, const Fault&, bool begins)> disk;
};

struct WorldSetup {
    WorldConfig config;
    RunSeed seed;
    link::LinkLimits link;
    std::uint64_t staging_bytes = 512 << 20;
    std::vector<std::uint8_t> codecs;
    std::vector<PlaceSetup> places;
    Factory factory;
    std::vector<Fault> faults;
    unsigned threads = 1;
    // Make the real bytes, and check that they are as many as was counted; null: do not.
    std::shared_ptr<const WireIdentities> wire;
};

struct Counts {
    std::uint64_t events = 0, frames = 0, jobs = 0, train_jobs = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t links = 0;  // that came up
    std::uint64_t restarts = 0;
};

// Who listens to a world: records, invariants, the report.
struct Observer {
    virtual ~Observer() = default;
    virtual void on_notice(Instant now, PlaceIndex place, const message::Notice& notice) = 0;
    virtual void on_busy(PlaceIndex, Instant /*from*/, Instant /*until*/, bool /*training*/) {}
    // Parts of a model are on their way, until they are there.
    virtual void on_send(PlaceIndex, Instant /*from*/, Instant /*until*/) {}
    virtual void on_offer(PlaceIndex, const job::Offer&) {}  // its payload is there
    virtual void on_state(Instant, PlaceIndex, PlaceState) {}
    virtual void on_fault(Instant, const Fault&, bool /*begins*/) {}
};

class World {
public:
    World(WorldSetup setup, Observer& observer);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    static constexpr Instant kBeginning{1'000'000'000};
    static constexpr std::uint64_t kEchoes = std::uint64_t{1} << 62;  // transfers that no core made

    // One event; false when none is left. Errors end the world: a node that cannot be made, bytes
    // that differ from what was counted.
    bool step();
    const std::optional<Error>& failed() const { return failed_; }
    Instant now() const { return now_; }
    Duration elapsed() const { return now_ - kBeginning; }

    std::size_t size() const { return places_.size(); }
    PlaceState state(PlaceIndex p) const { return places_[p].state; }
    bool running(PlaceIndex p) const { return places_[p].node != nullptr; }
    const node::Node& node(PlaceIndex p) const { return *places_[p].node; }
    const PeerId& id(PlaceIndex p) const { return places_[p].setup.id; }
    Role role(PlaceIndex p) const { return places_[p].setup.role; }
    bool linked(PlaceIndex a, PlaceIndex b) const { return places_[a].up.contains(b); }
    bool reachable(PlaceIndex a, PlaceIndex b) const;  // both ways, no barrier
    std::uint64_t sent_bytes(PlaceIndex p) const { return places_[p].sent_bytes; }
    std::size_t task_count(PlaceIndex p) const { return places_[p].tasks.size(); }
    const link::Staging& staging(PlaceIndex p) const { return *places_[p].staging; }
    std::optional<PlaceIndex> place_of(const PeerId& id) const;
    bool ended() const { return ended_count_ == places_.size(); }  // all finished by themselves
    bool has_ended(PlaceIndex p) const { return places_[p].ended; }
    const Counts& counts() const { return counts_; }
    std::size_t queue_largest() const { return queue_.largest(); }
    std::uint64_t trace_hash() const;
    void ask_all_to_stop(const std::string& reason);

    // For tests and campaigns: what faults do.
    void apply(const Fault& fault, bool begins);
    const Network& network() const { return network_; }

private:
    struct Task {
        std::uint64_t number = 0;
        job::JobOrder order;
        std::vector<const void*> inputs;      // until it begins
        std::vector<tensor::Handle> outputs;  // held: addresses must name them until it ends
        bool cancelled = false, begun = false;
        Duration cost{};
        Compute::TicketRef ticket;
    };
    struct Place {
        PlaceSetup setup;
        PlaceState state = PlaceState::off;
        std::unique_ptr<node::Node> node;
        std::uint32_t life = 0;
        bool ended = false, stopping = false, returns = false;  // returns: boots when it is down
        std::uint64_t boots = 0, events_sent = 0, away_count = 0;
        job::TurnIds ids;
        Instant armed = Instant::never(), slept_since;
        std::vector<std::pair<EventKey, Event>> held;  // came while it was asleep
        Instant line_up, line_down;                    // when its lines are free again
        double slower = 1;                             // by a fault
        Duration clock_offset{};
        std::list<Task> tasks;                            // asked for and not answered, in order
        bool at_work[2]{};                                // training, all else
        std::vector<const void*> pending;                 // outputs of tasks that have not ended
        std::vector<job::Offer> promised;                 // their payloads are pending
        FlatMap<PlaceIndex, std::uint64_t> up, greeting;  // channels by the other place
        std::set<std::uint64_t> channels;                 // all that end here
        FlatMap<std::uint64_t, std::uint64_t> offered;    // transfer -> channel
        std::vector<std::uint64_t> starved;               // channels whose grants wait for room
        std::shared_ptr<link::Staging> staging;
        std::uint64_t sent_bytes = 0;
        Trace trace;
    };
    struct End {
        PlaceIndex place = 0;
        std::unique_ptr<link::Link> link;  // of a listener: made with the first packet
        bool up = false, told = false;     // LinkUp was told; its end was
        bool fin_sent = false, gone = false, dirty = false;
        Instant up_since, last_arrival;
        std::uint64_t in_flight = 0, packets = 0;
        Instant armed = Instant::never();
        std::vector<std::unique_ptr<Packet>> held;  // behind a barrier, to the other end
        Instant held_since;
    };
    struct Channel {
        std::uint64_t id = 0;
        std::string address;  // that was dialled
        Duration latency{};
        End end[2];  // 0 dialled
        std::unique_ptr<WirePath> wire;
    };
    struct Dial {
        PlaceIndex from = 0, to = 0;
        std::uint32_t life = 0, life_there = 0;
        std::string address;
        std::optional<PeerId> expected;
        Instant begun;
        std::optional<Error> error;
    };

    // world.cpp: events, turns, lives
    void push(PlaceIndex receiver, PlaceIndex sender, Instant at, Event event);
    void push_world(PlaceIndex receiver, Instant at, Event event);
    void handle(const EventKey& key, Event event);
    template <class Event>
    void turn(PlaceIndex p, Event&& event) {
        auto& place = places_[p];
        if (!place.node) return;
        job::Turn t(now_, wall(place), setup_.seed, place.ids);
        event(*place.node, t);
        carry_out(p, t);
        check_end(p);
    }
    void carry_out(PlaceIndex p, job::Turn& turn);
    void note(PlaceIndex p, const message::Notice& notice);
    void arm(PlaceIndex p);
    void boot(PlaceIndex p);
    void end_life(PlaceIndex p, PlaceState state, bool orderly);
    void check_end(PlaceIndex p);
    void sleep(PlaceIndex p);
    void wake(PlaceIndex p);
    WallTime wall(const Place& place) const;
    void fail_world(Error error);

    // world_faults.cpp
    void next_availability(PlaceIndex p);
    void on_availability(PlaceIndex p, std::uint64_t kind);
    void take_away(PlaceIndex p, const Fault& fault, bool begins);
    void stand_in_the_way(const Fault& fault, bool begins);
    void gone_for_good(PlaceIndex p);
    void reset_links(const Fault& fault);

    // world_mishaps.cpp
    struct Mishap {            // to packets between two groups
        std::uint64_t id = 0;  // of the fault
        FaultKind kind{};
        std::vector<bool> a, b;
        double part = 0;
    };
    void bring(const Fault& fault, bool begins);
    void befall(Channel& channel, std::size_t side, Packet& packet);
    void cut_amid(Channel& channel, std::size_t side, Packet& packet, std::uint64_t after);
    void let_hang(PlaceIndex p, bool begins);
    bool hangs(PlaceIndex p, const Task& task);
    void repeat_offer(PlaceIndex p, const job::Offer& offer);
    void on_echo(PlaceIndex p, std::uint64_t id, std::uint32_t life);

    // world_jobs.cpp
    void start_jobs(PlaceIndex p);
    void begin(PlaceIndex p, Task& task, bool lane);
    void submit(PlaceIndex p, Task& task);
    void cancel(PlaceIndex p, job::JobId id);
    void finish_job(PlaceIndex p, std::uint64_t number);
    void offer_filled(PlaceIndex p);
    void pass_offer(PlaceIndex p, job::Offer offer);

    // world_links.cpp
    void dial(PlaceIndex p, const job::LinkOrder& order);
    void on_dial_arrives(PlaceIndex p, std::uint64_t dial);
    void on_dial_result(PlaceIndex p, std::uint64_t dial);
    void dial_failed(PlaceIndex p, const PeerId& peer, const std::string& address, Error error,
                     bool permanent);
    void open_channel(const Dial& dial);
    link::LinkConfig link_config(const Place& place, bool dialled) const;
    link::Link* link_to(PlaceIndex p, const PeerId& peer);
    void touch(std::uint64_t channel, std::size_t side);
    void settle();
    void process(Channel& channel, std::size_t side);
    void hear(Channel& channel, std::size_t side, link::Event event);
    void retry_grants(PlaceIndex p);
    void on_greeted(Channel& channel, std::size_t side);
    void on_up(Channel& channel, std::size_t side, const link::Up& up);
    void on_closed(Channel& channel, std::size_t side, const link::Closed& closed);
    double up_rate(PlaceIndex p) const;  // bytes per second of its line; 0: no limit
    double down_rate(PlaceIndex p) const;
    void pump(Channel& channel, std::size_t side);
    void send(Channel& channel, std::size_t side, std::unique_ptr<Packet> packet);
    void travel(Channel& channel, std::size_t side, std::unique_ptr<Packet> packet, Instant depart);
    void on_packet(std::uint64_t channel, std::size_t side, std::unique_ptr<Packet> packet,
                   const EventKey& key);
    void cut_off(Channel& channel, std::size_t side, bool told, bool abrupt);
    void break_link(std::uint64_t channel, ErrorCode code);
    void release_held();

    WorldSetup setup_;
    Observer& observer_;
    Network network_;
    Compute compute_;
    EventQueue queue_;
    wire::Scale scale_;
    std::vector<Place> places_;
    std::unordered_map<PeerId, PlaceIndex, PeerIdHash> by_id_;
    std::unordered_map<std::string, PlaceIndex> by_address_;
    ChannelTable<Channel> channels_;
    std::unordered_map<std::uint64_t, Dial> dials_;
    std::vector<std::pair<std::uint64_t, std::uint8_t>> dirty_;
    std::vector<std::function<void()>> soon_;  // before the next event
    std::vector<Mishap> mishaps_;
    std::map<PlaceIndex, std::vector<std::uint64_t>> hanging_;  // tasks that should have ended
    std::map<PlaceIndex, double> echoing_;                      // seconds
    std::map<std::pair<PlaceIndex, std::uint64_t>, job::Offer> echoes_;
    std::uint64_t next_dial_ = 1, next_task_ = 1, world_events_ = 0;
    std::size_t ended_count_ = 0;
    Instant now_ = kBeginning;
    Counts counts_;
    Trace world_trace_;
    std::optional<Error> failed_;
};

}  // namespace gossamer::simulation
