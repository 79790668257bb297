#include "cli/table.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace gossamer::cli {

std::string short_time(double seconds) {
    if (!std::isfinite(seconds)) return "-";
    if (seconds < 0) return "-" + short_time(-seconds);
    if (seconds < 0.0095) return fmt::format("{:.1f}ms", seconds * 1e3);
    if (seconds < 0.9995) return fmt::format("{:.0f}ms", seconds * 1e3);
    if (seconds < 59.95) return fmt::format("{:.1f}s", seconds);
    const auto whole = static_cast<std::uint64_t>(std::min(seconds + 0.5, 1e15));
    if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
    if (whole < 48 * 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
    return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

std::string short_number(double value, int decimals) {
    return std::isfinite(value) ? fmt::format("{:.{}f}", value, decimals) : "-";
}

}  // namespace gossamer::cli
