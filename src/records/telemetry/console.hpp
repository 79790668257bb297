// The terminal of a program: lines that stay, and under them one status line that is drawn anew.
// Off a terminal there is no status line. Safe to use from several threads.
#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace gossamer::telemetry {

bool is_terminal(int descriptor);              // and one that knows escapes: not TERM=dumb
std::size_t terminal_columns(int descriptor);  // as it is now; 0 = unknown
// As much of the beginning as fits beside the cursor; whole characters. Columns 0: all of it.
std::string_view fitting(std::string_view text, std::size_t columns);

class Console {
public:
    // `write` gets whole pieces of output, in order; a failed write is nobody's business.
    using Write = std::function<void(std::string_view)>;
    // What is wider than the terminal would leave a row behind with every new status.
    using Columns = std::function<std::size_t()>;
    Console(
        Write write, bool is_terminal, Columns columns = [] { return terminal_columns(2); })
        : write_(std::move(write)), is_terminal_(is_terminal), columns_(std::move(columns)) {}
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
    Columns columns_;
    std::string status_;
};

}  // namespace gossamer::telemetry
