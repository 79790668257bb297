// Clients that do what no peer of ours does: talk without TLS, show certificates nobody should
// have, break off half way, send frames that are too large. All their waits end after seconds.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/world.hpp"
#include "connection/security/authority.hpp"
#include "connection/security/certificate_builder.hpp"
#include "connection/wire/wire.hpp"

namespace gossamer::system_test {

unsigned port_of(const cli::Daemon& daemon);

class TcpClient {
public:
    explicit TcpClient(unsigned port);  // connected, or closed() at once
    ~TcpClient();
    TcpClient(const TcpClient&) = delete;
    TcpClient& operator=(const TcpClient&) = delete;

    int socket() const { return socket_; }
    void say(ByteView bytes);
    bool closed();  // by the other side, as far as is known now; drops what arrived

private:
    int socket_;
};

// Who somebody claims to be.
struct Claim {
    security::IdentityKey key;
    std::vector<security::Certificate> chain;
};

// The authority of a federation, able to sign what it should not.
class Forger {
public:
    explicit Forger(const std::string& federation_folder);
    explicit Forger(security::Federation other);  // keys and certificates of another federation

    // As `gossamer identity sign` makes it, with the fields that `spoil` then changes.
    template <class Spoil>
    Claim claim(Spoil spoil, Role role = Role::peer) const {
        auto key = security::IdentityKey::generate();
        auto fields = honest_fields(key, role);
        spoil(fields);
        auto leaf = security::build_certificate(fields, issuing_, issuing_key_);
        return {std::move(key), {leaf, issuing_}};
    }
    Claim honest(Role role = Role::peer) const {
        return claim([](auto&) {}, role);
    }
    const security::TrustBundle& trust() const { return trust_; }

private:
    security::CertificateFields honest_fields(const security::IdentityKey& key, Role role) const;
    security::IdentityKey issuing_key_;
    security::Certificate issuing_;
    security::TrustBundle trust_;
};

WallTime wall_now();
// As `gossamer identity create` and `sign` leave it; an old folder is replaced.
void write_identity(const std::string& folder, const Claim& claim,
                    const security::TrustBundle& trust);

// A TLS client that checks nothing. Blocking, with a limit of some seconds a call.
class TlsClient {
public:
    TlsClient(unsigned port, const Claim* claim);  // null: shows no certificate
    ~TlsClient();

    bool handshake_done() const { return done_; }
    bool say(ByteView bytes);
    bool say(const wire::Frame& frame);
    // The next frame with a table; empty when the other side closed or said nothing in time.
    std::optional<wire::Frame> hear();
    // Sends Hello with this role and hears Welcome.
    bool greet(const security::TrustBundle& trust, Role role = Role::peer);
    TcpClient& tcp() { return tcp_; }

private:
    bool read(std::span<std::byte> out);
    struct Ssl;
    TcpClient tcp_;
    std::unique_ptr<Ssl> ssl_;
    bool done_ = false;
};

}  // namespace gossamer::system_test
