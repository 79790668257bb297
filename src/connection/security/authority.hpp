// The authority of a federation: who belongs to it, and as what.
//
// Two keys. The root key stays offline (a safe, a USB stick) and signs only issuing certificates;
// the issuing key is online with the operator and signs the short-lived certificates of peers. A
// lost issuing key costs one visit to the root, not a new federation. A peer makes its own key and
// sends a request (PKCS#10, RFC 2986); no private key ever travels.
//
// Room kept for online invites: an enrolment service will call sign_request with the request that
// came over a channel-bound TLS connection; nothing here knows how a request arrived.
#pragma once

#include <string>

#include "connection/security/trust_bundle.hpp"

namespace gossamer::security {

constexpr Duration kBackDating = 10min;  // forgives clocks that are behind
constexpr Duration kDay = 24h;

struct FederationOptions {
    std::string name;  // 1..64 printable ASCII characters
    WallTime now;
    Duration root_validity = 3653 * kDay;    // 10 years
    Duration issuing_validity = 731 * kDay;  // 2 years
};

struct Federation {
    IdentityKey root_key;     // offline
    IdentityKey issuing_key;  // online
    Certificate root, issuing;
    TrustBundle trust;
};

// New keys from the system's entropy. Errors: kUsage (name, validity).
Result<Federation> create_federation(const FederationOptions& options);
// The same keys and certificates for the same seed: for tests and simulated worlds only.
Result<Federation> create_federation(const FederationOptions& options,
                                     std::span<const std::byte, 32> seed);

struct IssuingOptions {
    WallTime now;
    Duration validity = 731 * kDay;
};
// A certificate for a new issuing key, never outliving the root. Errors: kTlsExpired,
// kTlsKeyMismatch, kTlsCertificateForm.
Result<Certificate> sign_issuing(const IdentityKey& root_key, const Certificate& root,
                                 const PublicKey& issuing_key, const IssuingOptions& options);

// A request whose own signature was checked: its sender holds the key.
struct CertificateRequest {
    PublicKey key;
    PeerId peer;
};
std::string make_request(const IdentityKey& key);               // PEM
Result<CertificateRequest> parse_request(ByteView pem_or_der);  // errors: kRequestForm

struct LeafOptions {
    Role role = Role::peer;
    WallTime now;
    Duration validity = 7 * kDay;  // 1 minute .. 400 days
};
// Errors: kUsage (validity), kTlsKeyMismatch (issuing key and certificate), kTlsExpired or
// kTlsNotYetValid (issuing certificate, which the new one may not outlive).
Result<Certificate> sign_request(const IdentityKey& issuing_key, const Certificate& issuing,
                                 const CertificateRequest& request, const LeafOptions& options);

}  // namespace gossamer::security
