#include "records/telemetry/console.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

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

bool Console::stderr_is_terminal() { return telemetry::is_terminal(STDERR_FILENO); }

bool is_terminal(int descriptor) {
    const char* kind = std::getenv("TERM");
    return ::isatty(descriptor) == 1 && (!kind || std::string_view(kind) != "dumb");
}

std::size_t terminal_columns(int descriptor) {
    winsize size{};
    return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string_view fitting(std::string_view text, std::size_t columns) {
    if (columns == 0) return text;
    std::size_t count = 0;
    for (std::size_t i = 0; i < text.size(); ++i)  // bytes 10xxxxxx go on with a character
        if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80 && ++count >= columns)
            return text.substr(0, i);
    return text;
}

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
    text = fitting(text, columns_ ? columns_() : 0);
    if (text == status_) return;
    status_ = text;
    write_(std::string(kClearLine) + status_);
}

}  // namespace gossamer::telemetry
