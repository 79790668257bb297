// Decides whether a presented certificate chain belongs to a peer of this federation that may be
// here now. One function, used by the TLS engine for the other side and at start for our own chain.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "connection/security/trust_bundle.hpp"

namespace gossamer::security {

// Sorted, immutable, shared; a change of bans makes a new one.
using BanList = std::vector<PeerId>;

class RoleSet {
public:
    static constexpr RoleSet all() { return RoleSet(0xff); }
    static constexpr RoleSet only(Role role) { return RoleSet(bit(role)); }
    constexpr RoleSet with(Role role) const { return RoleSet(bits_ | bit(role)); }
    constexpr bool contains(Role role) const { return (bits_ & bit(role)) != 0; }

private:
    explicit constexpr RoleSet(unsigned bits) : bits_(bits) {}
    static constexpr unsigned bit(Role role) { return 1u << static_cast<unsigned>(role); }
    unsigned bits_;
};

struct VerifyPolicy {
    WallTime now;  // told, never read from a clock
    std::optional<PeerId> expected_peer;
    RoleSet roles = RoleSet::all();
    std::shared_ptr<const BanList> banned;  // may be null
};

struct AuthenticatedPeer {
    PeerId id;
    Role role = Role::peer;
    FederationId federation;
    PublicKey key{};
    WallTime not_before, not_after;  // of its whole chain, but for the root
    bool operator==(const AuthenticatedPeer&) const = default;
};

// `chain` is what was presented: {leaf, issuing}. Errors, in the order they are looked for:
// kTlsNoCertificate, kTlsCertificateForm, kTlsFederation (names another federation), kTlsUntrusted,
// kTlsNotYetValid, kTlsExpired, kTlsKeyMismatch (named peer id and key), kTlsPeerId (another peer
// than expected), kTlsBanned, kTlsRole.
Result<AuthenticatedPeer> verify_chain(std::span<const Certificate> chain, const TrustBundle& trust,
                                       const VerifyPolicy& policy);

}  // namespace gossamer::security
