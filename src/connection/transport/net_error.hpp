// From what the system says about a socket to our error codes.
#pragma once

#include <string>
#include <system_error>

#include "gossamer/base/error.hpp"

namespace gossamer::transport {

Error net_error(const std::error_code& code, const std::string& about);

}  // namespace gossamer::transport
