// A child process: started with its output in a file, watched without blocking, ended by id.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::cli {

class Process {
public:
    struct Options {
        std::vector<std::string> arguments;    // [0] is the program
        std::string output_file;               // stdout and stderr, appended; empty: inherited
        std::vector<std::string> environment;  // "NAME=value", added to ours
    };
    static Result<Process> start(const Options& options);

    Process() = default;
    ~Process();  // kills it when it still runs
    Process(Process&& other) noexcept;
    Process& operator=(Process&& other) noexcept;

    pid_t id() const { return pid_; }
    bool running();  // collects the exit status when it ended
    // Exit code, or 128 + signal; empty while it runs.
    std::optional<int> exit_code();
    void signal(int number);
    // Waits until it ends; empty when it did not in time.
    std::optional<int> wait(Duration patience);

private:
    pid_t pid_ = -1;
    std::optional<int> code_;
};

// Resident memory and processor time of a process, from /proc; zeros when it is gone.
struct Resources {
    std::uint64_t resident_bytes = 0, peak_bytes = 0;
    Duration processor_time{};
};
Resources resources_of(pid_t pid);

}  // namespace gossamer::cli
