#include "records/telemetry/log.hpp"

#include <cstdlib>
#include <ctime>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gossamer::telemetry {
namespace {

std::string_view journal_prefix(Level level) {
    constexpr std::string_view prefixes[] = {"<7>", "<6>", "<4>", "<3>"};
    return prefixes[static_cast<std::size_t>(level)];
}

std::string as_text(const LogStyle& style, WallTime wall, const Event& event) {
    std::time_t clock = wall.ns / 1'000'000'000;
    std::tm local{};
    ::localtime_r(&clock, &local);
    constexpr std::string_view marks[] = {".", " ", "!", "E"};
    constexpr std::string_view colours[] = {"\x1b[2m", "", "\x1b[33m", "\x1b[31m"};
    auto level = static_cast<std::size_t>(event.level);
    auto clock_text = fmt::format("{:02}:{:02}:{:02}", local.tm_hour, local.tm_min, local.tm_sec);
    if (!style.colour) return fmt::format("{} {} {}", clock_text, marks[level], event.text);
    return fmt::format("\x1b[2m{}\x1b[0m {}{} {}\x1b[0m", clock_text, colours[level], marks[level],
                       event.text);
}

std::string as_logfmt(const LogStyle& style, WallTime wall, const Event& event) {
    auto line =
        fmt::format("ts={} level={} event={}", rfc3339(wall), to_string(event.level), event.name);
    if (!style.who.empty()) line += ' ' + style.who;
    const bool said = style.who.find("run=") != std::string::npos;  // no key twice in a line
    for (const auto& field : event.fields)
        if (!said || field.key != "run")
            line += fmt::format(" {}={}", field.key, logfmt_value(field_text(field.value)));
    return line + " msg=" + logfmt_value(event.text);
}

std::string as_json(WallTime wall, const Event& event) {
    nlohmann::ordered_json line{{"ts", rfc3339(wall)},
                                {"level", to_string(event.level)},
                                {"event", event.name},
                                {"msg", event.text}};
    for (const auto& field : event.fields)
        std::visit([&](const auto& value) { line[field.key] = value; }, field.value);
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string logfmt_value(std::string_view value) {
    bool plain = !value.empty() && value.find_first_of(" =\"\\") == std::string_view::npos;
    if (plain) return std::string(value);
    std::string out = "\"";
    for (char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out + '"';
}

std::string environment_variable(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

LogStyle suitable_style(bool is_terminal,
                        const std::function<std::string(const char*)>& environment) {
    LogStyle style;
    style.journal_prefix = !is_terminal && !environment("JOURNAL_STREAM").empty();
    style.form = is_terminal ? LogForm::text : LogForm::logfmt;
    style.colour = is_terminal && environment("NO_COLOR").empty();
    return style;
}

std::string format_event(const LogStyle& style, WallTime wall, const Event& event) {
    std::string prefix(style.journal_prefix ? journal_prefix(event.level) : "");
    switch (style.form) {
        case LogForm::text: return prefix + as_text(style, wall, event);
        case LogForm::json: return prefix + as_json(wall, event);
        case LogForm::logfmt: break;
    }
    return prefix + as_logfmt(style, wall, event);
}

void Log::add_sink(LogStyle style, Write write) {
    std::lock_guard lock(mutex_);
    sinks_.push_back({std::move(style), std::move(write)});
}

void Log::write(WallTime wall, const Event& event) {
    for (const auto& sink : sinks_)
        if (event.level >= sink.style.least) sink.write(format_event(sink.style, wall, event));
}

void Log::event(WallTime wall, const Event& event) {
    std::lock_guard lock(mutex_);
    flush_locked(wall, false);
    if (event.repeat_key.empty()) return write(wall, event);
    auto key = event.name + ' ' + event.repeat_key;
    if (auto known = repeats_.find(key); known != repeats_.end()) {
        ++known->second.held_back;
        known->second.event = event;
        return;
    }
    if (repeats_.size() >= kRepeatsMax) flush_locked(wall, true);
    repeats_.emplace(std::move(key), Repeat{wall, 0, {}});
    write(wall, event);
}

void Log::flush_locked(WallTime now, bool all) {
    for (auto entry = repeats_.begin(); entry != repeats_.end();) {
        auto& repeat = entry->second;
        auto age = now - repeat.written;
        if (!all && age < kRepeatWindow && age >= Duration{}) {
            ++entry;
            continue;
        }
        if (repeat.held_back == 0) {
            entry = repeats_.erase(entry);
            continue;
        }
        auto again = std::move(repeat.event);
        again.text += fmt::format(" ({} more in {})", repeat.held_back, format_duration(age));
        again.fields.push_back({"repeated", static_cast<std::int64_t>(repeat.held_back)});
        write(now, again);
        repeat = Repeat{now, 0, {}};  // still going on: the next number comes a window later
        entry = all ? repeats_.erase(entry) : std::next(entry);
    }
}

void Log::flush(WallTime now) {
    std::lock_guard lock(mutex_);
    flush_locked(now, false);
}

void Log::say(WallTime wall, Level level, std::string name, std::string text,
              std::vector<Field> fields) {
    event(wall, {.level = level,
                 .name = std::move(name),
                 .text = harmless(text, 4096),
                 .fields = std::move(fields)});
}

}  // namespace gossamer::telemetry
