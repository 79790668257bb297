// The events of a world, in one order that depends on nothing but what happened: by time, then
// receiver, then sender, then the sender's own counter.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <memory>
#include <vector>

#include "connection/wire/frame.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::simulation {

struct EventKey {
    Instant at;
    std::uint32_t receiver = 0, sender = 0;  // places counted from 1; 0 is the world itself
    std::uint64_t counter = 0;               // of the sender
    auto operator<=>(const EventKey&) const = default;
};

// Frames that travel together, and what they weigh on the wire.
struct Packet {
    std::uint64_t bytes = 0;
    bool last = false;     // the sender closed behind it
    bool abrupt = false;   // a reset: no frames, no goodbye
    bool queued = false;   // it waited for the receiver's line already
    bool altered = false;  // on its way: TLS will not open it
    std::vector<wire::Frame> frames;
};

enum class EventKind : std::uint8_t {
    deadline,       // of a node
    job_done,       // a = task
    dial_arrives,   // a = dial: at the place dialled
    dial_result,    // a = dial: back at the dialler
    packet,         // a = channel, b = which end receives
    departed,       // a = channel, b = which end sent, c = bytes: its line took them
    link_deadline,  // a = channel, b = which end
    boot,           // a place starts
    availability,   // what the availability of a place says next
    fault,          // a = index into the plan; b = 1: its end
    echo,           // a = transfer: what was offered is offered again
};

struct Event {
    EventKind kind{};
    std::uint8_t b = 0;
    std::uint32_t life = 0;  // of the receiving place, where it matters
    std::uint64_t a = 0, c = 0;
    std::unique_ptr<Packet> packet;
};

class EventQueue {
public:
    void push(const EventKey& key, Event event) {
        std::uint32_t slot;
        if (free_.empty()) {
            slot = static_cast<std::uint32_t>(events_.size());
            events_.push_back(std::move(event));
        } else {
            slot = free_.back();
            free_.pop_back();
            events_[slot] = std::move(event);
        }
        heap_.push_back({key, slot});
        std::push_heap(heap_.begin(), heap_.end(), later);
        largest_ = std::max(largest_, heap_.size());
    }
    bool empty() const { return heap_.empty(); }
    std::size_t size() const { return heap_.size(); }
    std::size_t largest() const { return largest_; }
    const EventKey& next() const { return heap_.front().key; }
    Event pop(EventKey& key) {
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const Entry entry = heap_.back();
        heap_.pop_back();
        key = entry.key;
        free_.push_back(entry.slot);
        return std::move(events_[entry.slot]);
    }

private:
    struct Entry {
        EventKey key;
        std::uint32_t slot = 0;
    };
    static bool later(const Entry& a, const Entry& b) { return b.key < a.key; }
    std::vector<Entry> heap_;
    std::vector<Event> events_;
    std::vector<std::uint32_t> free_;
    std::size_t largest_ = 0;
};

}  // namespace gossamer::simulation
