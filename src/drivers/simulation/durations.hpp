// Durations worked out of what a scenario says: whatever it says, sums of a few of them still fit.
#pragma once

#include <algorithm>

#include "gossamer/base/time.hpp"

namespace gossamer::simulation {

inline constexpr Duration kLongest = 24h * 365 * 60;  // a fifth of what nanoseconds can count

inline Duration of_nanoseconds(double ns) {
    constexpr auto most = static_cast<double>(kLongest.count());
    return Duration{static_cast<std::int64_t>(std::clamp(ns, -most, most))};
}
inline Duration of_seconds(double s) { return of_nanoseconds(s * 1e9); }
inline Duration times(Duration d, double factor) {
    return of_nanoseconds(static_cast<double>(d.count()) * factor);
}

}  // namespace gossamer::simulation
