// Federations and members for tests: seeded, so that every run has the same keys.
#pragma once

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "connection/security/authority.hpp"
#include "connection/security/certificate_builder.hpp"

namespace gossamer::security::test {

inline constexpr WallTime kNow{1'800'000'000'000'000'000};  // 2027-01-15

inline std::array<std::byte, 32> seed_of(unsigned char n) {
    std::array<std::byte, 32> seed;
    seed.fill(std::byte{n});
    return seed;
}

inline Federation federation_of(unsigned char n, const std::string& name = "meadow") {
    return create_federation({.name = name, .now = kNow}, seed_of(n)).value();
}

struct Member {
    IdentityKey key;
    std::vector<Certificate> chain;
};

inline Member member_of(const Federation& f, unsigned char n, Role role = Role::peer,
                        WallTime now = kNow, Duration validity = 7 * kDay) {
    auto key = IdentityKey::from_seed(seed_of(n));
    const std::string pem = make_request(key);
    const auto request = parse_request(as_bytes(pem)).value();
    auto leaf = sign_request(f.issuing_key, f.issuing, request,
                             {.role = role, .now = now, .validity = validity});
    return Member{std::move(key), {leaf.value(), f.issuing}};
}

// The fields sign_request would use; a test spoils one and signs with build_certificate.
inline CertificateFields leaf_fields(const Federation& f, const IdentityKey& key) {
    CertificateFields fields;
    fields.key = key.public_key();
    fields.common_name = key.peer_id().to_string();
    fields.uri =
        CertificateName{f.trust.federation(), CertificateName::Holder{Role::peer, key.peer_id()}}
            .to_uri();
    fields.not_before = kNow + -kBackDating;
    fields.not_after = kNow + 7 * kDay;
    return fields;
}

}  // namespace gossamer::security::test
