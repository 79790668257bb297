// host:port and [v6]:port.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "gossamer/base/result.hpp"

namespace gossamer::transport {

struct HostPort {
    std::string host;  // without brackets
    std::uint16_t port = 0;
};
// Errors: kNetAddress.
Result<HostPort> parse_address(std::string_view text);

}  // namespace gossamer::transport
