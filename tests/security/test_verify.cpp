#include <doctest/doctest.h>

#include "connection/security/verify.hpp"
#include "forged_certificates.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

ErrorCode refusal(const std::vector<Certificate>& chain, const TrustBundle& trust,
                  VerifyPolicy policy = {.now = kNow}) {
    const auto peer = verify_chain(chain, trust, policy);
    REQUIRE(!peer);
    INFO(peer.error().to_string());
    return peer.error().code;
}

}  // namespace

TEST_CASE("a member's chain is accepted and says who it is") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3, Role::aggregator);
    const auto peer = verify_chain(member.chain, f.trust, {.now = kNow}).value();
    CHECK(peer.id == member.key.peer_id());
    CHECK(peer.role == Role::aggregator);
    CHECK(peer.federation == f.trust.federation());
    CHECK(peer.not_after == kNow + 7 * kDay);
    // Also at its first and last second, and when it is the expected one.
    CHECK(verify_chain(member.chain, f.trust, {.now = kNow + -kBackDating}));
    CHECK(verify_chain(member.chain, f.trust, {.now = kNow + (7 * kDay - 1s)}));
    CHECK(verify_chain(member.chain, f.trust, {.now = kNow, .expected_peer = peer.id}));
}

TEST_CASE("a certificate before and after its time is told apart") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3);
    CHECK(refusal(member.chain, f.trust, {.now = kNow + -kBackDating + -1s}) ==
          ErrorCode::kTlsNotYetValid);
    CHECK(refusal(member.chain, f.trust, {.now = kNow + (7 * kDay + 1s)}) ==
          ErrorCode::kTlsExpired);
}

TEST_CASE("an expired issuing certificate is named as the authority's") {
    auto f =
        create_federation({.name = "meadow", .now = kNow, .issuing_validity = kDay}, seed_of(1))
            .value();
    auto fields = leaf_fields(f, IdentityKey::from_seed(seed_of(3)));
    const auto leaf = build_certificate(fields, f.issuing, f.issuing_key);
    const auto result =
        verify_chain(std::vector{leaf, f.issuing}, f.trust, {.now = kNow + 2 * kDay});
    REQUIRE(!result);
    CHECK(result.error().code == ErrorCode::kTlsExpired);
    CHECK(result.error().what.find("authority") != std::string::npos);
}

TEST_CASE("another federation, and a forged chain that names this one, are told apart") {
    const auto here = federation_of(1), elsewhere = federation_of(2, "hill");
    const auto stranger = member_of(elsewhere, 3);
    CHECK(refusal(stranger.chain, here.trust) == ErrorCode::kTlsFederation);

    const auto key = IdentityKey::from_seed(seed_of(3));
    const auto forged =
        build_certificate(leaf_fields(here, key), elsewhere.issuing, elsewhere.issuing_key);
    CHECK(refusal({forged, elsewhere.issuing}, here.trust) == ErrorCode::kTlsUntrusted);
    // Signed by a stranger, but with the true issuing certificate beside it.
    const auto posing =
        build_certificate(leaf_fields(here, key), here.issuing, elsewhere.issuing_key);
    CHECK(refusal({posing, here.issuing}, here.trust) == ErrorCode::kTlsUntrusted);
}

TEST_CASE("a certificate of this authority that names another federation is refused") {
    const auto f = federation_of(1), other = federation_of(2);
    const auto key = IdentityKey::from_seed(seed_of(3));
    auto fields = leaf_fields(other, key);
    CHECK(refusal({build_certificate(fields, f.issuing, f.issuing_key), f.issuing}, f.trust) ==
          ErrorCode::kTlsFederation);
}

TEST_CASE("the peer id in a certificate must be the hash of its key") {
    const auto f = federation_of(1);
    const auto key = IdentityKey::from_seed(seed_of(3)), other = IdentityKey::from_seed(seed_of(4));
    auto fields = leaf_fields(f, key);
    fields.key = other.public_key();
    CHECK(refusal({build_certificate(fields, f.issuing, f.issuing_key), f.issuing}, f.trust) ==
          ErrorCode::kTlsKeyMismatch);
}

TEST_CASE("another peer than expected, a banned one, and a wrong role have codes of their own") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3);
    const auto id = member.key.peer_id();
    const auto other = IdentityKey::from_seed(seed_of(4)).peer_id();
    CHECK(refusal(member.chain, f.trust, {.now = kNow, .expected_peer = other}) ==
          ErrorCode::kTlsPeerId);
    BanList both{id, other};
    std::sort(both.begin(), both.end());
    CHECK(refusal(member.chain, f.trust,
                  {.now = kNow, .banned = std::make_shared<const BanList>(both)}) ==
          ErrorCode::kTlsBanned);
    CHECK(verify_chain(member.chain, f.trust,
                       {.now = kNow, .banned = std::make_shared<const BanList>(1, other)}));
    CHECK(refusal(member.chain, f.trust, {.now = kNow, .roles = RoleSet::only(Role::aggregator)}) ==
          ErrorCode::kTlsRole);
    CHECK(verify_chain(member.chain, f.trust,
                       {.now = kNow, .roles = RoleSet::only(Role::aggregator).with(Role::peer)}));
}

TEST_CASE("a ban holds for a renewed certificate of the same key") {
    const auto f = federation_of(1);
    const auto renewed = member_of(f, 3, Role::peer, kNow + kDay);
    const auto bans = std::make_shared<const BanList>(1, renewed.key.peer_id());
    CHECK(refusal(renewed.chain, f.trust, {.now = kNow + kDay, .banned = bans}) ==
          ErrorCode::kTlsBanned);
}

TEST_CASE("only a chain of the fixed form is looked at") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3);
    const auto& leaf = member.chain[0];
    CHECK(refusal({}, f.trust) == ErrorCode::kTlsNoCertificate);
    CHECK(refusal({leaf}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({leaf, f.issuing, f.root}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({leaf, f.root}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({f.issuing, f.issuing}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({f.issuing, f.root}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({leaf, leaf}, f.trust) == ErrorCode::kTlsCertificateForm);
    CHECK(refusal({oversized(leaf, f.issuing_key, 2000), f.issuing}, f.trust) ==
          ErrorCode::kTlsCertificateForm);
    const auto rsa = rsa_key();
    CHECK(refusal({with_rsa_key(leaf, f.issuing_key, rsa.get()), f.issuing}, f.trust) ==
          ErrorCode::kTlsCertificateForm);
    auto fields = leaf_fields(f, member.key);
    fields.client_use = false;
    CHECK(refusal({build_certificate(fields, f.issuing, f.issuing_key), f.issuing}, f.trust) ==
          ErrorCode::kTlsCertificateForm);
}

TEST_CASE("a leaf cannot act as an authority, nor a root sign a leaf directly") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3);
    const auto victim = IdentityKey::from_seed(seed_of(4));
    const auto by_leaf = build_certificate(leaf_fields(f, victim), member.chain[0], member.key);
    CHECK(refusal({by_leaf, member.chain[0]}, f.trust) == ErrorCode::kTlsCertificateForm);
    // A member that gives itself an issuing certificate.
    CertificateFields ca = leaf_fields(f, member.key);
    ca.kind = CertificateKind::issuing;
    ca.uri = CertificateName{f.trust.federation(), std::nullopt}.to_uri();
    ca.common_name = "meadow issuing";
    const auto self_made = build_certificate(ca, member.chain[0], member.key);
    const auto by_self_made = build_certificate(leaf_fields(f, victim), self_made, member.key);
    CHECK(refusal({by_self_made, self_made}, f.trust) == ErrorCode::kTlsUntrusted);
    const auto by_root = build_certificate(leaf_fields(f, victim), f.root, f.root_key);
    CHECK(refusal({by_root, f.root}, f.trust) == ErrorCode::kTlsCertificateForm);
}

TEST_CASE("two roots are trusted while one replaces the other") {
    const auto f = federation_of(1);
    // The next root: another key, the same federation.
    const auto next_key = IdentityKey::from_seed(seed_of(8));
    CertificateFields fields;
    fields.kind = CertificateKind::root;
    fields.key = next_key.public_key();
    fields.common_name = "meadow 2";
    fields.uri = CertificateName{f.trust.federation(), std::nullopt}.to_uri();
    fields.not_before = kNow;
    fields.not_after = kNow + 100 * kDay;
    const auto next_root = build_certificate(fields, std::nullopt, next_key);
    const auto trust = TrustBundle::from_certificates({f.root, next_root, f.issuing}).value();
    CHECK(trust.federation_name() == "meadow");
    const auto issuing_key = IdentityKey::from_seed(seed_of(9));
    const auto issuing =
        sign_issuing(next_key, next_root, issuing_key.public_key(), {.now = kNow}).value();
    const auto member_key = IdentityKey::from_seed(seed_of(3));
    const auto leaf = build_certificate(leaf_fields(f, member_key), issuing, issuing_key);
    CHECK(verify_chain(std::vector{leaf, issuing}, trust, {.now = kNow}));
    CHECK(verify_chain(member_of(f, 3).chain, trust, {.now = kNow}));
    CHECK(refusal({leaf, issuing}, f.trust) == ErrorCode::kTlsUntrusted);
}
