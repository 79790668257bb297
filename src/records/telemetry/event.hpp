// An event: what operators and records are told of one notice, as level, sentence, fields and
// metrics. All sinks (log, metrics.jsonl, TensorBoard, history, progress) are fed from it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossamer/message/notice.hpp"

namespace gossamer::telemetry {

enum class Level : std::uint8_t { debug, info, warning, error };
std::string_view to_string(Level level);
bool parse_level(std::string_view text, Level& level);

using FieldValue = std::variant<bool, std::int64_t, double, std::string>;
struct Field {
    std::string key;
    FieldValue value;
};

// Standard names: loss/train, loss/test, loss/clients, accuracy/test, accuracy/clients,
// consensus/distance, round/seconds, round/train_seconds, round/rx_bytes, round/accepted,
// round/late, round/refused, peers/mixed, peers/left_out, peers/alive, peers/suspect, peers/dead,
// net/tx_bytes, net/rx_bytes.
struct Metric {
    std::string name;
    std::uint64_t round = 0;
    double value = 0;
};

struct Event {
    Level level = Level::info;
    std::string name;  // "round_finished"
    std::string text;  // a sentence for people; holds nothing that could be remote control codes
    std::vector<Field> fields;
    std::vector<Metric> metrics;
    // Events of one key say the same thing again: logs collapse them. Empty = never collapsed.
    std::string repeat_key;
};

Event describe(const message::Notice& notice);

// Text from elsewhere made harmless: control characters, broken UTF-8 and direction marks become
// \xNN, and what is too long is cut.
std::string harmless(std::string_view text, std::size_t bytes_max = 1024);
std::string field_text(const FieldValue& value);

// "2026-03-01T12:00:00.123456Z"
std::string rfc3339(WallTime time);

}  // namespace gossamer::telemetry
