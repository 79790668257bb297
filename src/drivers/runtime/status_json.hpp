// What a daemon answers on its control socket, as JSON. Times are in seconds.
#pragma once

#include <string>
#include <string_view>

#include "drivers/runtime/daemon.hpp"

namespace gossamer::runtime {

// Who this daemon is: in front of each answer.
struct Nameplate {
    PeerId self;
    Role role{};
    std::string run, folder, version;
};

// {"command":"status"}: what the node does, its members, its traffic.
std::string status_json(const Nameplate& plate, const node::NodeStatus& status, Traffic traffic,
                        Instant now);
// {"error": {"code", "what", "hint"}}
std::string error_json(const Error& error);
// The value of "command" in a question; empty when it is no such thing.
std::string command_of(std::string_view question);

}  // namespace gossamer::runtime
