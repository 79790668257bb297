// The log: short coloured lines on a terminal, else one structured line an event (logfmt or JSON).
// Events that repeat are collapsed: the first is written, then their number.
//
// Never logged: secrets, and bytes from elsewhere as they are (see harmless()).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "gossamer/base/options.hpp"
#include "records/telemetry/console.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

enum class LogForm : std::uint8_t { text, logfmt, json };

struct LogStyle {
    LogForm form = LogForm::logfmt;
    bool colour = false;
    bool journal_prefix = false;  // "<4>" for journald
    Level least = Level::info;
    std::string who;  // of every structured line: "me=3f2a9c01 run=demo"; logfmt
};
// What the surroundings suggest. `environment` looks a variable up, "" when it is not set:
// NO_COLOR, JOURNAL_STREAM.
LogStyle suitable_style(bool is_terminal,
                        const std::function<std::string(const char*)>& environment);
std::string environment_variable(const char* name);  // of this process
// A value with spaces, quotes or an equals sign is quoted.
std::string logfmt_value(std::string_view value);

std::string format_event(const LogStyle& style, WallTime wall, const Event& event);

class Log {
public:
    using Write = std::function<void(std::string_view line)>;  // without line break
    static constexpr Duration kRepeatWindow = std::chrono::seconds(10);
    static constexpr std::size_t kRepeatsMax = 256;

    void add_sink(LogStyle style, Write write);
    void event(WallTime wall, const Event& event);
    // For what no core told: "listening on 0.0.0.0:7000".
    void say(WallTime wall, Level level, std::string name, std::string text,
             std::vector<Field> fields = {});
    // Writes the numbers of collapsed events whose window is over.
    void flush(WallTime now);

private:
    struct Sink {
        LogStyle style;
        Write write;
    };
    struct Repeat {
        WallTime written;
        std::uint64_t held_back = 0;
        Event event;
    };
    void write(WallTime wall, const Event& event);
    void flush_locked(WallTime now, bool all);
    std::mutex mutex_;
    std::vector<Sink> sinks_;
    std::map<std::string, Repeat> repeats_;
};

}  // namespace gossamer::telemetry
