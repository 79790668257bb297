// The command line of a daemon.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gossamer/base/peer_id.hpp"

namespace gossamer::program {

struct DaemonFlags {
    std::string config;
    std::vector<std::string> sets;
    bool check = false;  // read everything, start nothing
};

// The exit code when there is nothing more to do (--help, --version, a usage error).
std::optional<int> parse_flags(int argc, char** argv, Role role, DaemonFlags& flags);

}  // namespace gossamer::program
