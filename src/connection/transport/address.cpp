#include "connection/transport/address.hpp"

#include <charconv>

namespace gossamer::transport {

Result<HostPort> parse_address(std::string_view text) {
    const auto bad = [&] {
        return fail(ErrorCode::kNetAddress,
                    "\"" + std::string(text.substr(0, 64)) + "\" is not host:port");
    };
    std::string_view host, port;
    if (text.starts_with('[')) {
        const auto end = text.find("]:");
        if (end == std::string_view::npos) return bad();
        host = text.substr(1, end - 1);
        port = text.substr(end + 2);
    } else {
        const auto colon = text.find(':');
        if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos)
            return bad();
        host = text.substr(0, colon);
        port = text.substr(colon + 1);
    }
    HostPort out;
    const auto [rest, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (host.empty() || host.size() > 253 || error != std::errc() || rest != port.end())
        return bad();
    out.host = host;
    return out;
}

}  // namespace gossamer::transport
