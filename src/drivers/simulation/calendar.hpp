// The events of places, by windows: those of one window come out together, whatever came first, and
// are put in order then. A window is as long as the least latency, so nothing that happens in it at
// one place can be felt at another before it is over.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "drivers/simulation/queue.hpp"
#include "gossamer/base/prefetch.hpp"

namespace gossamer::simulation {

struct Item {
    EventKey key;
    Event event;
};

// Items of one window, in no order. The blocks they lie in belong to all windows by turns, so that
// what a calendar holds is what is to come, and not what each window held at its fullest.
class Calendar {
public:
    explicit Calendar(Duration window) : window_(window.count()), near_(kNear), room_(kNear) {}

    bool empty() const { return size_ == 0; }
    std::size_t largest() const { return largest_; }
    // No event comes before this; one may come later. REQUIRES !empty()
    Instant first() const {
        const auto index = first_index();
        return {index * window_};
    }
    Instant end_of(Instant at) const { return {(at.ns / window_ + 1) * window_}; }

    // The time of the first event; slow where windows are full. REQUIRES !empty()
    Instant earliest() const {
        const auto index = first_index();
        if (index >= from_ + kNear) return far_.next().at;
        if (index == cut_) return rest_.next().at;
        Instant least = Instant::never();
        const auto at = slot(index);
        for (const auto& block : near_[at])
            for (const auto* item = block->begin(); item != end_of(at, *block); ++item)
                least = std::min(least, item->key.at);
        return least;
    }

    // REQUIRES that nothing was taken of a later window.
    void push(const EventKey& key, Event event) {
        largest_ = std::max(largest_, ++size_);
        const auto index = key.at.ns / window_;
        if (index < from_ + kNear)
            put(index, {key, std::move(event)});
        else
            far_.push(key, std::move(event));
    }

    // A hint to the processor: an event of then is pushed soon.
    void fetch(Instant at) const {
        const auto index = at.ns / window_;
        if (index < from_ + kNear) prefetch(room_[slot(index)].next, sizeof(Item));
    }

    // Moves out the events of the first window that come before `until`, in no order.
    void take(Instant until, std::vector<Item>& out) {
        const auto index = first_index();
        if (index >= from_ + kNear ||
            (!far_.empty() && far_.next().at.ns / window_ < index + kNear))
            advance(index);
        const auto before = out.size();
        const auto at = slot(index);
        const bool all = until.ns >= (index + 1) * window_;
        auto blocks = std::exchange(near_[at], {});
        const auto room = std::exchange(room_[at], {});
        if (!all && !blocks.empty()) cut_ = index;
        for (auto& block : blocks) {
            const auto* end = block == blocks.back() ? room.next : block->end();
            for (auto* item = block->begin(); item != end; ++item) {
                if (all || item->key.at < until)
                    out.push_back(std::move(*item));
                else
                    rest_.push(item->key, std::move(item->event));
            }
            free_.push_back(std::move(block));
        }
        while (index == cut_ && !rest_.empty() && rest_.next().at < until) {
            auto& item = out.emplace_back();
            item.event = rest_.pop(item.key);
        }
        if (rest_.empty()) {
            cut_ = -1;
            filled_[at / 64] &= ~(std::uint64_t{1} << at % 64);
        }
        size_ -= out.size() - before;
    }

private:
    static constexpr std::int64_t kNear = 4096;  // windows
    using Block = std::array<Item, 16>;
    using Blocks = std::vector<std::unique_ptr<Block>>;
    struct Room {  // in the last block of a window; none: null
        Item *next = nullptr, *end = nullptr;
    };
    static std::size_t slot(std::int64_t index) { return static_cast<std::size_t>(index) % kNear; }

    std::int64_t first_index() const {
        const auto begin = slot(from_);
        for (std::size_t step = 0; step <= kNear / 64; ++step) {
            const std::size_t word = (begin / 64 + step) % (kNear / 64);
            auto bits = filled_[word];
            if (step == 0) bits &= ~std::uint64_t{0} << begin % 64;
            if (step == kNear / 64) bits &= ~(~std::uint64_t{0} << begin % 64);
            if (!bits) continue;
            const auto at = word * 64 + static_cast<std::size_t>(std::countr_zero(bits));
            return from_ + static_cast<std::int64_t>((at + kNear - begin) % kNear);
        }
        return far_.next().at.ns / window_;
    }
    void put(std::int64_t index, Item item) {
        if (index == cut_) return rest_.push(item.key, std::move(item.event));
        const auto at = slot(index);
        auto& room = room_[at];
        if (room.next == room.end) {
            if (free_.empty()) free_.push_back(std::make_unique<Block>());
            room = {free_.back()->begin(), free_.back()->end()};
            near_[at].push_back(std::move(free_.back()));
            free_.pop_back();
        }
        *room.next++ = std::move(item);
        filled_[at / 64] |= std::uint64_t{1} << at % 64;
    }
    const Item* end_of(std::size_t at, const Block& block) const {
        return &block == near_[at].back().get() ? room_[at].next : block.end();
    }
    void advance(std::int64_t index) {
        from_ = index;
        while (!far_.empty() && far_.next().at.ns / window_ < from_ + kNear) {
            Item item;
            item.event = far_.pop(item.key);
            put(item.key.at.ns / window_, std::move(item));
        }
    }

    std::int64_t window_;
    std::vector<Blocks> near_;  // by window, from from_ on
    std::vector<Room> room_;    // of the same
    Blocks free_;
    std::array<std::uint64_t, kNear / 64> filled_{};
    std::int64_t from_ = 0;
    EventQueue far_;
    // Of a window that was taken in part, as while a hundred thousand places start in a second:
    // each start cuts it, so what is left is in order.
    std::int64_t cut_ = -1;
    EventQueue rest_;
    std::size_t size_ = 0, largest_ = 0;
};

}  // namespace gossamer::simulation
