// What a program tells its caller: one number a kind of failure, the same in all programs.
#pragma once

#include "gossamer/base/error.hpp"

namespace gossamer::program {

enum class ExitCode : int {
    ok = 0,
    failed = 1,       // the operation failed
    usage = 2,        // command line, configuration, keys or data: starting again does not help
    unreachable = 3,  // cannot reach, or not authorised
    timed_out = 4,    // timed out, or quorum not met
    partial = 5,      // some parts failed
    internal = 70,    // our own fault
};

ExitCode exit_code_of(ErrorCode code);

}  // namespace gossamer::program
