// Writes and signs one certificate with exactly the fields given. For authority.cpp, which decides
// what may be signed, and for tests, which need certificates nobody should sign.
#pragma once

#include <optional>
#include <string>

#include "connection/security/certificate.hpp"

namespace gossamer::security {

struct CertificateFields {
    CertificateKind kind = CertificateKind::leaf;
    PublicKey key{};
    std::string common_name;
    std::string uri;
    WallTime not_before, not_after;
    bool server_use = true, client_use = true;  // of a leaf
};

// `issuer` is empty for a root. The serial number is a hash of the fields and the issuer, so the
// same request signed at the same time gives the same certificate and no entropy is needed.
Certificate build_certificate(const CertificateFields& fields,
                              const std::optional<Certificate>& issuer,
                              const IdentityKey& issuer_key);

}  // namespace gossamer::security
