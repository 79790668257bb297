// One flat run of bytes, filled at the end and emptied at the front. Never zero-filled; grows by
// doubling while small, then by quarters; gives its memory back only when told to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "gossamer/base/assert.hpp"
#include "gossamer/base/bytes.hpp"

namespace gossamer::security {

class FlatBuffer {
public:
    ByteView view() const { return {data_.get() + begin_, end_ - begin_}; }
    std::size_t size() const { return end_ - begin_; }
    std::size_t capacity() const { return capacity_; }

    // All free bytes at the end, at least `least`. Valid until the next call of space or release.
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
        if (begin_ != end_) return;
        data_.reset();
        begin_ = end_ = capacity_ = 0;
    }

private:
    void make_room(std::size_t least) {
        const std::size_t kept = size();
        if (capacity_ - kept >= least && begin_ >= kept) {  // moving is cheap: half is free
            std::memcpy(data_.get(), data_.get() + begin_, kept);
        } else {
            const auto more = capacity_ < kDoublingMax ? capacity_ : capacity_ / 4;
            const std::size_t wanted = std::max(kept + least, capacity_ + more);
            auto bigger = std::make_unique_for_overwrite<std::byte[]>(wanted);
            if (kept != 0) std::memcpy(bigger.get(), data_.get() + begin_, kept);
            data_ = std::move(bigger);
            capacity_ = wanted;
        }
        begin_ = 0;
        end_ = kept;
    }

    static constexpr std::size_t kDoublingMax = std::size_t{64} << 10;
    std::unique_ptr<std::byte[]> data_;
    std::size_t begin_ = 0, end_ = 0, capacity_ = 0;
};

}  // namespace gossamer::security
