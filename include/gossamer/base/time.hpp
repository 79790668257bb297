// Two times that cannot be mixed up.
//
// Instant counts through suspension (CLOCK_BOOTTIME) and orders events of one node; its zero means
// nothing to others. WallTime is UTC, for certificates and for people; it may jump.
// Protocol rooms are told both by their driver and never read a clock.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <limits>

namespace gossamer {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;  // NOLINT: 5ms, 2s read as what they are, everywhere

struct Instant {
    std::int64_t ns = 0;

    static constexpr Instant never() { return {std::numeric_limits<std::int64_t>::max()}; }
    constexpr bool is_never() const { return *this == never(); }
    constexpr auto operator<=>(const Instant&) const = default;
};
constexpr Instant operator+(Instant t, Duration d) {  // never + d stays never
    return t.is_never() ? t : Instant{t.ns + d.count()};
}
constexpr Instant operator-(Instant t, Duration d) {
    return t.is_never() ? t : Instant{t.ns - d.count()};
}
constexpr Duration operator-(Instant a, Instant b) { return Duration{a.ns - b.ns}; }

struct WallTime {
    std::int64_t ns = 0;  // since 1970-01-01 UTC

    constexpr auto operator<=>(const WallTime&) const = default;
};
constexpr WallTime operator+(WallTime t, Duration d) { return {t.ns + d.count()}; }
constexpr Duration operator-(WallTime a, WallTime b) { return Duration{a.ns - b.ns}; }

constexpr double seconds(Duration d) { return static_cast<double>(d.count()) * 1e-9; }

}  // namespace gossamer
