#include "records/telemetry/console.hpp"

#include <cstdio>

#include <unistd.h>

namespace gossamer::telemetry {
namespace {

constexpr std::string_view kClearLine = "\r\x1b[K";

}  // namespace

Console::Write Console::to_stderr() {
    return [](std::string_view text) {
        while (!text.empty()) {
            auto count = ::write(STDERR_FILENO, text.data(), text.size());
            if (count <= 0) return;  // nobody reads: nothing to be done about it
            text.remove_prefix(static_cast<std::size_t>(count));
        }
    };
}

bool Console::stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

void Console::line(std::string_view text) {
    std::lock_guard lock(mutex_);
    std::string out;
    if (!status_.empty()) out += kClearLine;
    out += text;
    out += '\n';
    out += status_;
    write_(out);
}

void Console::status(std::string_view text) {
    if (!is_terminal_) return;
    std::lock_guard lock(mutex_);
    if (text == status_) return;
    status_ = text;
    write_(std::string(kClearLine) + status_);
}

}  // namespace gossamer::telemetry
