// This program again, as a child: in a process group of its own, so that Ctrl-C reaches it through
// its parent alone, and ended by the system when the parent is.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "gossamer/base/result.hpp"

namespace gossamer::program {

class ChildProcess {
public:
    // `arguments` without the program's name; what it prints goes to `output_file`.
    static Result<ChildProcess> start(const std::vector<std::string>& arguments,
                                      const std::string& output_file);
    ChildProcess() = default;
    ~ChildProcess();  // kills it when it still runs
    ChildProcess(ChildProcess&& other) noexcept;
    ChildProcess& operator=(ChildProcess&& other) noexcept;

    // Exit code, or 128 + signal; empty while it runs.
    std::optional<int> exit_code();
    void signal(int number);

private:
    pid_t pid_ = -1;
    std::optional<int> code_;
};

}  // namespace gossamer::program
