#include "gossamer/tensor/sum.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/exact_sum.hpp"
#include "learning/tensor/hold.hpp"

namespace gossamer::tensor {

Buffer Sum::Parts::lend(BufferPool& pool) {
    {
        Hold hold(busy_);
        if (!idle_.empty()) {
            auto part = std::move(idle_.back());
            idle_.pop_back();
            return part;
        }
    }
    auto part = pool.take(count_ * sizeof(std::int64_t));
    std::ranges::fill(part.words(), 0);
    return part;
}

void Sum::Parts::give_back(Buffer part) {
    Hold hold(busy_);
    idle_.push_back(std::move(part));
}

std::span<const std::int64_t> Sum::Parts::total() {
    Hold hold(busy_);
    GOSSAMER_ASSERT(!idle_.empty(), "a sum is read after something was added to it");
    while (idle_.size() > 1) {
        exact_merge(idle_.front().words(), std::as_const(idle_.back()).words());
        idle_.pop_back();
    }
    return std::as_const(idle_.front()).words();
}

}  // namespace gossamer::tensor
