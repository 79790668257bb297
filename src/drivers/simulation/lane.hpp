// A lane turns places: it carries the events of one place after another to its node and its links,
// and does what they answer. Several lanes run side by side, each on its own places; what leaves a
// place is kept until the window is over. World events are turned by one lane alone.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "connection/wire/wire.hpp"
#include "drivers/simulation/calendar.hpp"
#include "drivers/simulation/place.hpp"

namespace gossamer::simulation {

class Lane {
public:
    Lane(Ground& ground, Observer& observer);
    ~Lane();
    Lane(const Lane&) = delete;
    Lane& operator=(const Lane&) = delete;

    // The events of one place that come before `horizon`, in their order, and what it brings upon
    // itself until then.
    void turn_place(PlaceIndex p, std::span<Item*> items, Instant horizon);
    void turn_world(const EventKey& key, const Event& event);
    // Hints to the processor: what this event will touch. What is to be touched is found by what
    // was fetched before, so they come one after another, some hundred nanoseconds apart.
    static constexpr unsigned kFetches = 2 + node::Node::kFetches;
    void fetch(const Item& item, unsigned which) const;
    // When it goes next, and when it comes back.
    void next_availability(Instant now, PlaceIndex p);
    Instant latest() const { return latest_; }  // time of the latest event so far

    // What came of it, for the world to collect.
    struct Busy {
        Instant from, until;
        bool training = false;
    };
    struct Sent {
        Instant from, until;
    };
    struct Faulted {
        const Fault* fault = nullptr;
        bool begins = false;
    };
    struct Said {
        message::Notice notice;
        Moment moment;
    };
    struct Note {  // for the observer
        EventKey key;
        PlaceIndex place = 0;
        std::variant<Said, Busy, Sent, job::Offer, PlaceState, Faulted, std::function<void()>> what;
    };
    struct WorldEvent {
        Instant at;
        EventKey cause;
        Event event;
    };
    std::vector<Item> sent;
    std::vector<WorldEvent> world_events;
    std::vector<Note> notes;
    Counts counts;
    std::size_t ended_count = 0, finished_count = 0;  // more
    std::optional<std::pair<EventKey, Error>> failed;

private:
    // lane.cpp: events, turns, lives
    void push(PlaceIndex receiver, PlaceIndex sender, Instant at, Event event);
    void push_again(const EventKey& key, Event event);
    void push_world(PlaceIndex receiver, Instant at, Event event);
    void handle(const EventKey& key, Event event);
    template <class Event>
    void turn(PlaceIndex p, Event&& event) {
        auto& place = places_[p];
        if (!place.node) return;
        if (turns_.size() == depth_) turns_.push_back(std::make_unique<job::Turn>(no_turn()));
        auto& t = *turns_[depth_++];
        t.renew(now_, wall(p), setup_.seed, place.ids);
        event(*place.node, t);
        carry_out(p, t);
        --depth_;
        check_end(p);
    }
    job::Turn no_turn() { return {now_, {}, setup_.seed, places_.front().ids}; }
    void carry_out(PlaceIndex p, job::Turn& turn);
    void note(PlaceIndex p, message::Notice notice);
    void tell(PlaceIndex p, decltype(Note::what) what) {
        notes.push_back({key_, p, std::move(what)});
    }
    void withdraw(PlaceIndex p, job::TransferId id);
    void arm(PlaceIndex p);
    void boot(PlaceIndex p);
    void end_life(PlaceIndex p, PlaceState state, bool orderly);
    void check_end(PlaceIndex p);
    void sleep(PlaceIndex p);
    void wake(PlaceIndex p);
    WallTime wall(PlaceIndex p) const;
    void fail_world(Error error);

    // lane_faults.cpp
    void on_availability(PlaceIndex p, std::uint64_t kind);
    void apply(const Fault& fault, bool begins);
    void take_away(PlaceIndex p, const Fault& fault, bool begins);
    void stand_in_the_way(const Fault& fault, bool begins);
    void hold_off(PlaceIndex p, bool power);
    void let_back(PlaceIndex p, bool power);
    void stir(PlaceIndex p);
    void feel_at_last(PlaceIndex p);
    void leave(PlaceIndex p);
    const Fault* under(PlaceIndex p, const Fault& fault, bool begins);
    void gone_for_good(PlaceIndex p);
    void reset_links(const Fault& fault);

    // lane_mishaps.cpp
    void bring(const Fault& fault, bool begins);
    void befall(PlaceIndex p, End& end, Packet& packet);
    void cut_amid(PlaceIndex p, End& end, Packet& packet, std::uint64_t after);
    void let_hang(PlaceIndex p, bool begins);
    bool hangs(PlaceIndex p, const Task& task);
    void repeat_offer(PlaceIndex p, const job::Offer& offer);
    void on_echo(PlaceIndex p, std::uint64_t id, std::uint32_t life);

    // lane_jobs.cpp
    void start_jobs(PlaceIndex p);
    void begin(PlaceIndex p, Task& task, bool lane);
    bool waits_for_its_end(const job::Job& job) const;
    void submit(PlaceIndex p, Task& task);
    void add_early(PlaceIndex p, Task& task);
    void cancel(PlaceIndex p, job::JobId id);
    void finish_job(PlaceIndex p, std::uint64_t number);
    void offer_filled(PlaceIndex p);
    void pass_offer(PlaceIndex p, job::Offer offer);

    // lane_links.cpp
    void dial(PlaceIndex p, const job::LinkOrder& order);
    void on_dial_arrives(PlaceIndex p, PlaceIndex from, ChannelId id);
    void on_dial_result(PlaceIndex p, ChannelId id, std::uint32_t life_there, ErrorCode code);
    void dial_failed(PlaceIndex p, const PeerId& peer, const std::string& address, Error error,
                     bool permanent);
    void open_channel(PlaceIndex p, ChannelId id, Dial dial, std::uint32_t life_there);
    End& add_end(PlaceIndex p, ChannelId id, PlaceIndex other);
    link::LinkConfig link_config(PlaceIndex p, bool dialled) const;
    End* find(PlaceIndex p, ChannelId id);
    End* up_to(PlaceIndex p, const PeerId& peer);
    End* up_to(PlaceIndex p, PlaceIndex other);
    link::Link* link_to(PlaceIndex p, const PeerId& peer);
    void touch(PlaceIndex p, End& end);
    void settle();
    void process(PlaceIndex p, End& end);
    void hear(PlaceIndex p, End& end, link::Event event);
    void room_freed(PlaceIndex p);  // in its staging
    void retry_grants(PlaceIndex p);
    void on_greeted(PlaceIndex p, End& end);
    void on_up(PlaceIndex p, End& end, const link::Up& up);
    void on_closed(PlaceIndex p, End& end, const link::Closed& closed);
    // lane_packets.cpp
    double up_rate(PlaceIndex p) const;  // bytes per second of its line; 0: no limit
    double down_rate(PlaceIndex p) const;
    std::unique_ptr<Packet> empty_packet();
    void done_with(std::unique_ptr<Packet> packet);
    void pump(PlaceIndex p, End& end);
    void send(PlaceIndex p, End& end, std::unique_ptr<Packet> packet);
    void travel(PlaceIndex p, End& end, std::unique_ptr<Packet> packet, Instant depart);
    void on_packet(const EventKey& key, Event event);
    void on_stray(PlaceIndex p, const Event& event);
    void cut_off(PlaceIndex p, End& end, bool told, bool abrupt);
    void erase(PlaceIndex p, End& end);
    void break_link(PlaceIndex p, ChannelId id, ErrorCode code);
    void release_held();

    PeerId id(PlaceIndex p) const { return setup_.directory.id(p); }
    Role role(PlaceIndex p) const { return setup_.directory.role(p); }

    Ground& ground_;
    Observer& observer_;
    const WorldSetup& setup_;
    Network& network_;
    Compute& compute_;
    std::vector<Place>& places_;
    Instant now_, horizon_, latest_;
    EventKey key_;  // of the event being turned
    PlaceIndex turning_ = 0;
    bool world_ = false;  // a world event is turned: any place may change
    EventQueue own_;      // what the place brought upon itself in this window
    wire::Scale scale_;
    // Kept for their memory.
    std::vector<std::unique_ptr<job::Turn>> turns_;  // by depth: a turn can bring about another
    std::size_t depth_ = 0;
    std::vector<std::unique_ptr<Packet>> packets_;
    std::vector<std::pair<PlaceIndex, ChannelId>> dirty_, dirty_now_;
    std::vector<std::function<void()>> soon_;  // before the next event
};

}  // namespace gossamer::simulation
