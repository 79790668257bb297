// The real bytes of a channel (--wire): every frame is encoded, sealed by the sender's TLS engine,
// opened by the receiver's, verified and decoded, and goes on as what came out of that. The virtual
// world counts sizes from one table in either mode; here they are checked.
#pragma once

#include <array>
#include <memory>

#include "connection/security/tls_context.hpp"
#include "connection/wire/wire.hpp"
#include "drivers/simulation/queue.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::simulation {

// What the TLS handshake weighs: sent by the dialler, and by the listener. Certificates differ by
// some bytes; WirePath checks that these are as many, but for kHandshakeSlack.
inline constexpr std::array<std::uint64_t, 2> kHandshakeBytes = {1353, 1364};
inline constexpr std::uint64_t kHandshakeSlack = 16;

// What a frame weighs on the wire, TLS records and all.
std::uint64_t wire_bytes(const wire::Frame& frame, wire::Scale& scale);

// One identity for each role, shared by all channels: the bytes are what is checked, not who.
class WireIdentities {
public:
    static Result<WireIdentities> create();
    const security::TlsContext& of(Role role) const { return contexts_[static_cast<int>(role)]; }

private:
    std::vector<security::TlsContext> contexts_;
};

class WirePath {
public:
    // Makes the handshake. Errors: kInternal when it weighs something else than is counted.
    static Result<std::unique_ptr<WirePath>> create(const WireIdentities& identities, Role dialler,
                                                    Role listener);
    ~WirePath();
    // Replaces the packet's frames by what the other end reads. Errors: kInternal when the bytes
    // are not as many as were counted, and whatever TLS and wire have to say.
    Status carry(std::size_t from_side, Packet& packet);

private:
    struct State;
    explicit WirePath(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace gossamer::simulation
