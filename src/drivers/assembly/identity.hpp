// The identity folder of a daemon: its key, its certificate chain, and the trust bundle.
#pragma once

#include <memory>
#include <string>

#include "connection/security/identity.hpp"
#include "connection/security/tls_context.hpp"
#include "gossamer/base/options.hpp"

namespace gossamer::assembly {

inline constexpr const char *kKeyFile = "key.pem", *kCertificateFile = "certificate.pem",
                            *kTrustFile = "trust.pem";

struct Identity {
    std::shared_ptr<const security::IdentityKey> key;
    security::TlsContext tls;
    const security::AuthenticatedPeer& self() const { return tls.self(); }
};

OptionTable identity_options();

// Errors: kKeyMissing, kKeyPermissions (the key can be read by others), kKeyFormat, and what is
// wrong with the certificate; kTlsRole when it is not of the role needed.
Result<Identity> load_identity(const std::string& folder, Role role, WallTime now);

}  // namespace gossamer::assembly
