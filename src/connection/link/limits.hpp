// What one link may cost before and after the other side has shown who it is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gossamer/base/time.hpp"

namespace gossamer::link {

inline constexpr Duration kDialDeadline = 10s;  // name and connection, before TLS

struct LinkLimits {
    Duration hello_deadline = 5s;         // from start() to HELLO or WELCOME
    std::size_t offers_max = 64;          // unfinished transfers in each direction
    std::size_t queue_frames_max = 1024;  // round frames waiting to go out; of control ones twice
    std::uint64_t credit_window_bytes = 16ull << 20;  // of one transfer, sent but not acknowledged
    // Sealed, a little less than the largest segment of a loopback (65,483 bytes): one byte more
    // would be a second packet through the kernel and wake the reader a second time.
    std::uint32_t chunk_bytes = 63 * 1024;
    // A transfer is given up when it makes no progress for 16 chunks' worth of the measured rate,
    // within these bounds. Progress is at least 1 KiB a second.
    Duration stall_least = 10s, stall_most = 60s;
    double least_rate = 1024;
    // Control and round frames accepted: a bucket of `burst`, refilled at this rate and by each
    // transfer that ends well.
    double frames_per_second = 2000, frames_burst = 4000, frames_per_transfer = 16;
};

}  // namespace gossamer::link
