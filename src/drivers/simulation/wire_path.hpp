// The real bytes of a channel (--wire): every frame is encoded, sealed by the sender's TLS engine,
// opened by the receiver's, verified and decoded, and goes on as what came out of that. The
// virtual world counts sizes from one table in either mode; here they are checked.
#pragma once

#include <array>
#include <memory>

#include "drivers/simulation/queue.hpp"
#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::simulation {

// TLS handshake, both tickets of none: what the dialler and the listener send before the first
// frame.
inline constexpr std::array<std::uint64_t, 2> kHandshakeBytes = {1500, 1500};

class WirePath {
public:
    WirePath(const PeerId& dialler, const PeerId& listener);
    ~WirePath();
    // Replaces the packet's frames by what the other end would read. Errors: kInternal when the
    // bytes are not as many as were counted, and whatever TLS and wire have to say.
    Status carry(std::size_t from_side, Packet& packet);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gossamer::simulation
