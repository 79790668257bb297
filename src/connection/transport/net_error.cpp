#include "connection/transport/net_error.hpp"

#include <asio/error.hpp>

namespace gossamer::transport {

Error net_error(const std::error_code& code, const std::string& about) {
    namespace e = asio::error;
    const auto kind = [&] {
        if (code == e::connection_refused) return ErrorCode::kNetRefused;
        if (code == e::timed_out) return ErrorCode::kNetTimeout;
        if (code == e::network_unreachable || code == e::host_unreachable ||
            code == e::network_down)
            return ErrorCode::kNetUnreachable;
        if (code == e::connection_reset || code == e::broken_pipe ||
            code == e::connection_aborted || code == e::eof)
            return ErrorCode::kNetReset;
        if (code == e::host_not_found || code == e::host_not_found_try_again ||
            code == e::no_data || code == e::service_not_found)
            return ErrorCode::kNetResolve;
        if (code == e::address_in_use) return ErrorCode::kNetAddressInUse;
        return ErrorCode::kNetOther;
    }();
    return {kind, about + ": " + code.message(), {}};
}

}  // namespace gossamer::transport
