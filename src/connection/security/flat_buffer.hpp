// One flat run of bytes, filled at the end and emptied at the front. Never zero-filled; grows by
// doubling while small, then by quarters; gives its memory back only when told to.
//
// Bulk goes through blocks that a thread lends to one connection after the other: what one has left
// in the core's cache the next writes over. So a link that waits holds no more than what waits.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "gossamer/base/assert.hpp"
#include "gossamer/base/bytes.hpp"

namespace gossamer::security {

class FlatBuffer {
public:
    static constexpr std::size_t kBlockBytes = std::size_t{160} << 10;

    ByteView view() const { return {data_.get() + begin_, end_ - begin_}; }
    std::span<std::byte> bytes() { return {data_.get() + begin_, end_ - begin_}; }
    std::size_t size() const { return end_ - begin_; }
    std::size_t capacity() const { return capacity_; }

    // All free bytes at the end, at least `least`. Valid until the next call that is not const.
    std::span<std::byte> space(std::size_t least) {
        if (begin_ == end_) begin_ = end_ = 0;
        if (capacity_ - end_ < least) make_room(least);
        return {data_.get() + end_, capacity_ - end_};
    }
    void commit(std::size_t count) {
        GOSSAMER_ASSERT(count <= capacity_ - end_, "no more is committed than there was space");
        end_ += count;
    }
    void consume(std::size_t count) {
        GOSSAMER_ASSERT(count <= size(), "no more is consumed than there is");
        begin_ += count;
    }
    void append(ByteView bytes) {
        if (bytes.empty()) return;
        std::memcpy(space(bytes.size()).data(), bytes.data(), bytes.size());
        end_ += bytes.size();
    }
    void release_if_empty() {
        if (begin_ == end_) move_to(nullptr, 0);
    }

    // Into a block of this thread, unless there is more room already.
    void borrow_block() {
        if (capacity_ < kBlockBytes) move_to(lent().take(), kBlockBytes);
    }
    // Out of it again; what is left gets memory of its size. Call before another thread's turn.
    void return_block() {
        if (capacity_ > kBlockBytes) release_if_empty();
        if (capacity_ != kBlockBytes) return;
        const auto left = size();
        auto block = move_to(left == 0 ? nullptr : allocate(left), left);
        lent().give_back(std::move(block));
    }

private:
    using Memory = std::unique_ptr<std::byte[]>;
    static Memory allocate(std::size_t bytes) {
        return std::make_unique_for_overwrite<std::byte[]>(bytes);
    }

    // Two: a connection reads into one and seals into another.
    struct Lent {
        std::array<Memory, 2> idle;
        Memory take() {
            for (auto& block : idle)
                if (block) return std::move(block);
            return allocate(kBlockBytes);
        }
        void give_back(Memory block) {
            for (auto& place : idle)
                if (!place) return void(place = std::move(block));
        }
    };
    static Lent& lent() {
        thread_local Lent blocks;
        return blocks;
    }

    // Gives the memory it had.
    Memory move_to(Memory to, std::size_t capacity) {
        const auto kept = size();
        if (kept != 0) std::memcpy(to.get(), data_.get() + begin_, kept);
        std::swap(data_, to);
        capacity_ = capacity;
        begin_ = 0;
        end_ = kept;
        return to;
    }
    void make_room(std::size_t least) {
        const std::size_t kept = size();
        if (capacity_ - kept >= least && begin_ >= kept) {  // moving is cheap: half is free
            std::memcpy(data_.get(), data_.get() + begin_, kept);
            begin_ = 0;
            end_ = kept;
            return;
        }
        const auto more = capacity_ < kDoublingMax ? capacity_ : capacity_ / 4;
        const std::size_t wanted = std::max(kept + least, capacity_ + more);
        move_to(allocate(wanted), wanted);
    }

    static constexpr std::size_t kDoublingMax = std::size_t{64} << 10;
    Memory data_;
    std::size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace gossamer::security
