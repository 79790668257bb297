// Certificates of a federation (X.509, RFC 5280), in the one form that is accepted:
//
//   root     self-signed, offline key,        URI gossamer://<federation>
//   issuing  signed by a root, pathlen 0,     URI gossamer://<federation>
//   leaf     signed by an issuing key,        URI gossamer://<federation>/<role>/<peer id>
//
// All keys and signatures are Ed25519, no certificate is longer than 2 KiB, and a presented chain
// is always {leaf, issuing}. The federation id is BLAKE2b-128 of the first root's public key.
// Nothing here decides about trust: that is verify.hpp.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connection/security/identity.hpp"
#include "gossamer/base/time.hpp"

typedef struct x509_st X509;

namespace gossamer::security {

constexpr std::size_t kCertificateBytesMax = 2048;  // DER
constexpr std::size_t kPemFileBytesMax = 64 * 1024;

struct FederationId {
    std::array<std::byte, 16> bytes{};
    auto operator<=>(const FederationId&) const = default;
    std::string to_string() const;                                    // 32 hex digits
    static std::optional<FederationId> parse(std::string_view text);  // lower case only
};
FederationId federation_id_of(const PublicKey& root_key);

// gossamer://<federation>[/<role>/<peer id>]
struct CertificateName {
    struct Holder {
        Role role;
        PeerId peer;
        bool operator==(const Holder&) const = default;
    };
    FederationId federation;
    std::optional<Holder> holder;  // of a leaf

    std::string to_uri() const;
    static std::optional<CertificateName> parse(std::string_view uri);
    bool operator==(const CertificateName&) const = default;
};

enum class CertificateKind : std::uint8_t { root, issuing, leaf };

// What a certificate says, for people and for checks. It proves nothing.
struct CertificateInfo {
    CertificateKind kind;
    CertificateName name;
    std::string common_name;  // the federation's name, or the peer id
    PublicKey key;
    WallTime not_before, not_after;
    std::string serial;  // hex
    std::size_t size_bytes;
    bool signs_and_authenticates;  // key usage as kind needs: CA, or serverAuth and clientAuth
};

// An immutable parsed certificate; copies share it. Reading one is safe with hostile bytes.
class Certificate {
public:
    // Errors: kKeyFormat when it cannot be parsed at all.
    static Result<Certificate> from_der(ByteView der);
    // All CERTIFICATE blocks in order, at least one and at most `count_max`; other text is ignored.
    static Result<std::vector<Certificate>> from_pem(ByteView pem, std::size_t count_max);
    static Certificate adopt(X509* certificate);  // takes the reference; for this room

    Bytes to_der() const;
    std::string to_pem() const;
    // Errors: kTlsCertificateForm, with what is not as it must be.
    Result<CertificateInfo> describe() const;

    X509* get() const { return handle_.get(); }

private:
    std::shared_ptr<X509> handle_;
};

std::string to_pem(const std::vector<Certificate>& chain);
std::string format_wall_time(WallTime t);  // "2026-11-21 14:03:00 UTC"

}  // namespace gossamer::security
