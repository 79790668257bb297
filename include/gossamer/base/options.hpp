// Option tables: each room declares its own configuration keys next to the struct they fill, with
// unit, default and reason. `config` merges the tables into one TOML schema for peers, aggregator
// and simulations; nobody registers itself, assembly lists the tables.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer {

using OptionValue = std::variant<bool, std::int64_t, double, std::string, Duration,
                                 std::vector<std::string>, std::vector<double>>;

enum class OptionKind : std::uint8_t {
    boolean,
    integer,
    real,
    text,
    duration,  // "5s", "250ms", "2h"
    bytes,     // "64MiB", "1.5GB" -> integer
    text_list,
    real_list,
    choice,  // text out of `choices`
};

struct Option {
    std::string key;  // "gossip.local_steps": section, dot, name
    OptionKind kind = OptionKind::text;
    OptionValue fallback;  // the default
    std::string unit;      // "steps", "s", "" when none
    std::string reason;    // one sentence: what it does, when to change it, what it costs
    std::vector<std::string> choices;
    double least = -1e300, most = 1e300;  // bounds of numbers, inclusive; durations in seconds
};
using OptionTable = std::vector<Option>;

// Looks one option up; the tables were checked, so the type is right. Implemented by `config`.
class OptionSource {
public:
    virtual ~OptionSource() = default;
    virtual const OptionValue& get(std::string_view key) const = 0;

    bool flag(std::string_view key) const { return std::get<bool>(get(key)); }
    std::int64_t integer(std::string_view key) const { return std::get<std::int64_t>(get(key)); }
    double real(std::string_view key) const { return std::get<double>(get(key)); }
    const std::string& text(std::string_view key) const { return std::get<std::string>(get(key)); }
    Duration duration(std::string_view key) const { return std::get<Duration>(get(key)); }
    const std::vector<std::string>& text_list(std::string_view key) const {
        return std::get<std::vector<std::string>>(get(key));
    }
    const std::vector<double>& real_list(std::string_view key) const {
        return std::get<std::vector<double>>(get(key));
    }
};

// "5s", "250ms", "1.5h", "2d"; "64MiB", "1.5GB", "512". Plain numbers need a unit for durations.
Result<Duration> parse_duration(std::string_view text);
Result<std::int64_t> parse_bytes(std::string_view text);
std::string format_duration(Duration d);       // "1.5s", "250ms", "2h"
std::string format_bytes(std::int64_t bytes);  // "1.6 MB", "64 MiB" when it is a round power

}  // namespace gossamer
