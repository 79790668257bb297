// The terminal of a program: lines that stay, and under them one status line that is drawn anew.
// Off a terminal there is no status line. Safe to use from several threads.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace gossamer::telemetry {

class Console {
public:
    // `write` gets whole pieces of output, in order; a failed write is nobody's business.
    using Write = std::function<void(std::string_view)>;
    Console(Write write, bool is_terminal) : write_(std::move(write)), is_terminal_(is_terminal) {}
    // Standard error of this process.
    static Write to_stderr();
    static bool stderr_is_terminal();

    void line(std::string_view text);    // without its line break
    void status(std::string_view text);  // one line; "" takes it away
    bool is_terminal() const { return is_terminal_; }

private:
    std::mutex mutex_;
    Write write_;
    bool is_terminal_;
    std::string status_;
};

}  // namespace gossamer::telemetry
