// What all connections of one node share: its own certificate and key, its trust bundle, and one
// fixed way of speaking TLS. There is no setting that makes it weaker: TLS 1.3 alone (RFC 8446),
// certificates on both sides, Ed25519, X25519, AEAD suites, our ALPN name required, no tickets,
// no resumption, no early data, no renegotiation, no compression.
//
// A renewed certificate or another trust bundle is a new TlsContext; engines keep the one they
// were made with. Immutable, so engines on several threads may share it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "connection/security/verify.hpp"

namespace gossamer::security {

struct TlsOptions {
    std::string protocol = "gossamer/1";  // ALPN; both sides need the same
    // New sending keys after this many bytes: AES-GCM keys wear out after 2^24.5 records
    // (RFC 8446 §5.5), about 380 GB.
    std::uint64_t rekey_bytes = std::uint64_t{64} << 30;
};

// As it lies in an identity folder; all PEM.
struct TlsMaterial {
    ByteView key, chain, trust;
};

class TlsContext {
public:
    // `chain` = {leaf, issuing}; it is checked like any other's, at `now`, so that a daemon with an
    // expired certificate hears it at its start. Errors: verify_chain's, kTlsKeyMismatch.
    static Result<TlsContext> create(const IdentityKey& key, const std::vector<Certificate>& chain,
                                     const TrustBundle& trust, WallTime now,
                                     const TlsOptions& options = {});
    // Also: kKeyFormat, and TrustBundle's.
    static Result<TlsContext> from_pem(const TlsMaterial& material, WallTime now,
                                       const TlsOptions& options = {});

    const AuthenticatedPeer& self() const;  // who we are to others
    const TrustBundle& trust() const;

    struct Shared;
    const std::shared_ptr<const Shared>& shared() const { return shared_; }  // for TlsEngine

private:
    std::shared_ptr<const Shared> shared_;
};

}  // namespace gossamer::security
