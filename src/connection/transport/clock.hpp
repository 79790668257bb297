// The two clocks of a real node, read here and told to sessions.
#pragma once

#include <ctime>

#include "gossamer/base/time.hpp"

namespace gossamer::transport {

inline Instant now() {
    timespec t{};
    clock_gettime(CLOCK_BOOTTIME, &t);
    return {t.tv_sec * 1'000'000'000 + t.tv_nsec};
}
inline WallTime wall_now() {
    timespec t{};
    clock_gettime(CLOCK_REALTIME, &t);
    return {t.tv_sec * 1'000'000'000 + t.tv_nsec};
}

}  // namespace gossamer::transport
