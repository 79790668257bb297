// How much memory arriving transfers may hold, for all links of a node together. A grant reserves
// the whole transfer, so what was granted can always be stored and the receiver never has to stop
// reading. Shared by links on several I/O threads.
#pragma once

#include <atomic>
#include <cstdint>

#include "gossamer/base/assert.hpp"

namespace gossamer::link {

class Staging {
public:
    explicit Staging(std::uint64_t bytes_max = 0) : bytes_max_(bytes_max) {}
    void limit(std::uint64_t bytes_max) { bytes_max_ = bytes_max; }  // before it is used

    [[nodiscard]] bool reserve(std::uint64_t bytes) {
        auto used = used_.load(std::memory_order_relaxed);
        do {
            if (bytes > bytes_max_ - used) return false;
        } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
        return true;
    }
    void release(std::uint64_t bytes) {
        const auto before = used_.fetch_sub(bytes, std::memory_order_relaxed);
        GOSSAMER_ASSERT(before >= bytes, "no more is released than was reserved");
    }
    std::uint64_t used_bytes() const { return used_.load(std::memory_order_relaxed); }
    std::uint64_t bytes_max() const { return bytes_max_; }

private:
    std::uint64_t bytes_max_;
    std::atomic<std::uint64_t> used_{0};
};

}  // namespace gossamer::link
