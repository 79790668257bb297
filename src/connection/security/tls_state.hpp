// What the callbacks of OpenSSL need to know about the connection they are called for, and leave
// behind. Shared by tls_context.cpp and tls_engine.cpp alone.
#pragma once

#include <openssl/ssl.h>

#include <optional>

#include "connection/security/tls_context.hpp"
#include "connection/security/tls_records.hpp"

namespace gossamer::security {

struct TlsContext::Shared {
    SSL_CTX* ssl = nullptr;
    AuthenticatedPeer self;
    TrustBundle trust;
    TlsOptions options;
    std::string alpn;  // length byte, then the name

    Shared(AuthenticatedPeer own, TrustBundle bundle, TlsOptions chosen);
    Shared(const Shared&) = delete;
    ~Shared() { SSL_CTX_free(ssl); }
};

// SSL_get_app_data of every connection.
struct HandshakeNotes {
    const TlsContext::Shared& context;
    VerifyPolicy policy;
    std::optional<AuthenticatedPeer> peer;  // whose chain was verified
    std::optional<Error> error;             // why we gave up, when a callback of ours did
    TrafficSecrets secrets;                 // for what comes after the handshake
};

}  // namespace gossamer::security
