#include "gossamer/base/options.hpp"

#include <charconv>
#include <cmath>
#include <cstdio>

namespace gossamer {
namespace {

struct Unit {
    std::string_view name;
    double factor;
};
constexpr Unit kTimeUnits[] = {{"ns", 1},   {"us", 1e3},   {"ms", 1e6},   {"s", 1e9},
                               {"m", 60e9}, {"min", 60e9}, {"h", 3600e9}, {"d", 86400e9}};
constexpr Unit kByteUnits[] = {{"", 1},         {"B", 1},        {"kB", 1e3},    {"KB", 1e3},
                               {"MB", 1e6},     {"GB", 1e9},     {"TB", 1e12},   {"KiB", 0x1p10},
                               {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};

// Splits "1.5h" into number and unit.
bool split(std::string_view text, double& number, std::string_view& unit) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || !std::isfinite(number)) return false;
    unit = text.substr(static_cast<std::size_t>(end - text.data()));
    while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
    return true;
}

template <std::size_t N>
bool scale(std::string_view text, const Unit (&units)[N], double& value) {
    std::string_view name;
    double number = 0;
    if (!split(text, number, name)) return false;
    for (const auto& unit : units)
        if (unit.name == name) {
            value = number * unit.factor;
            return std::abs(value) < 9.2e18;
        }
    return false;
}

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.4g", value);
    return text;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    double value = 0;
    if (!scale(text, kTimeUnits, value) || value < 0)
        return fail(ErrorCode::kConfigType, "\"" + std::string(text) + "\" is not a duration",
                    "write a number and a unit: 250ms, 5s, 10min, 2h, 7d");
    return Duration{std::llround(value)};  // 2.3s is not 2.299999999s
}

Result<std::int64_t> parse_bytes(std::string_view text) {
    double value = 0;
    if (!scale(text, kByteUnits, value) || value < 0)
        return fail(ErrorCode::kConfigType, "\"" + std::string(text) + "\" is not a size",
                    "write a number and a unit: 512, 64KiB, 64MiB, 1.5GB");
    return std::llround(value);
}

std::string format_duration(Duration d) {
    double ns = static_cast<double>(d.count()), size = std::abs(ns);
    if (size >= 86400e9) return number(ns / 86400e9) + "d";
    if (size >= 3600e9) return number(ns / 3600e9) + "h";
    if (size >= 100e9) return number(ns / 60e9) + "min";
    if (size >= 1e9) return number(ns / 1e9) + "s";
    if (size >= 1e6) return number(ns / 1e6) + "ms";
    if (size >= 1e3) return number(ns / 1e3) + "us";
    return std::to_string(d.count()) + "ns";
}

std::string format_bytes(std::int64_t bytes) {
    for (const auto* unit : {"TiB", "GiB", "MiB", "KiB"}) {
        std::int64_t factor = 1;
        for (const auto& u : kByteUnits)
            if (u.name == unit) factor = static_cast<std::int64_t>(u.factor);
        if (bytes >= factor && bytes % factor == 0)
            return std::to_string(bytes / factor) + " " + unit;
    }
    double value = static_cast<double>(bytes);
    if (value >= 1e12) return number(value / 1e12) + " TB";
    if (value >= 1e9) return number(value / 1e9) + " GB";
    if (value >= 1e6) return number(value / 1e6) + " MB";
    if (value >= 1e3) return number(value / 1e3) + " kB";
    return std::to_string(bytes) + " B";
}

}  // namespace gossamer
