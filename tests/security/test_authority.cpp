#include <doctest/doctest.h>

#include "forged_certificates.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

TEST_CASE("a federation has a root, an issuing certificate and a bundle that survives its file") {
    const auto f = create_federation({.name = "meadow", .now = kNow}).value();
    const auto root = f.root.describe().value(), issuing = f.issuing.describe().value();
    CHECK(root.kind == CertificateKind::root);
    CHECK(issuing.kind == CertificateKind::issuing);
    CHECK(root.common_name == "meadow");
    CHECK(root.name.federation == federation_id_of(f.root_key.public_key()));
    CHECK(root.not_after - kNow == 3653 * kDay);
    CHECK(kNow - issuing.not_before == kBackDating);
    CHECK(f.root_key.public_key() != f.issuing_key.public_key());
    const auto pem = f.trust.to_pem();
    const auto read = TrustBundle::from_pem(as_bytes(pem)).value();
    CHECK(read.federation() == f.trust.federation());
    CHECK(read.federation_name() == "meadow");
    CHECK(read.roots().size() == 1);
    CHECK(read.issuing().size() == 1);
    CHECK(read.to_pem() == pem);
}

TEST_CASE("a federation's name is short and printable") {
    CHECK(create_federation({.name = "", .now = kNow}).error().code == ErrorCode::kUsage);
    CHECK(create_federation({.name = std::string(65, 'a'), .now = kNow}).error().code ==
          ErrorCode::kUsage);
    CHECK(create_federation({.name = "a\nb", .now = kNow}).error().code == ErrorCode::kUsage);
}

TEST_CASE("a bundle of two federations, of leaves, or without its root is refused") {
    const auto a = federation_of(1), b = federation_of(2);
    const auto member = member_of(a, 3);
    CHECK(TrustBundle::from_certificates({a.root, b.root}).error().code ==
          ErrorCode::kTlsFederation);
    CHECK(TrustBundle::from_certificates({a.root, member.chain[0]}).error().code ==
          ErrorCode::kKeyFormat);
    CHECK(TrustBundle::from_certificates({a.issuing}).error().code == ErrorCode::kKeyFormat);
    CHECK(TrustBundle::from_certificates({}).error().code == ErrorCode::kKeyFormat);
    CHECK(TrustBundle::from_pem(as_bytes("nothing")).error().code == ErrorCode::kKeyFormat);
}

TEST_CASE("a request becomes a short certificate with role, peer id and both uses") {
    const auto f = federation_of(1);
    const auto member = member_of(f, 3, Role::aggregator);
    const auto info = member.chain[0].describe().value();
    CHECK(info.kind == CertificateKind::leaf);
    CHECK(info.signs_and_authenticates);
    CHECK(info.name.holder->role == Role::aggregator);
    CHECK(info.name.holder->peer == member.key.peer_id());
    CHECK(info.name.federation == f.trust.federation());
    CHECK(info.common_name == member.key.peer_id().to_string());
    CHECK(info.key == member.key.public_key());
    CHECK(info.not_before == kNow + -kBackDating);
    CHECK(info.not_after == kNow + 7 * kDay);
    CHECK(info.size_bytes <= 700);
    const auto again = member_of(f, 3, Role::aggregator);
    CHECK(again.chain[0].to_der() == member.chain[0].to_der());
    CHECK(member_of(f, 4).chain[0].describe().value().serial != info.serial);
}

TEST_CASE("a request is refused when changed, foreign, too long or not a request") {
    const auto code = [](ByteView bytes) {
        const auto request = parse_request(bytes);
        REQUIRE(!request);
        return request.error().code;
    };
    const auto key = IdentityKey::from_seed(seed_of(5));
    const auto pem = make_request(key);
    CHECK(parse_request(as_bytes(pem)).value().peer == key.peer_id());
    auto changed = pem;
    changed[pem.size() / 2] = changed[pem.size() / 2] == 'A' ? 'B' : 'A';
    CHECK(code(as_bytes(changed)) == ErrorCode::kRequestForm);
    CHECK(code({}) == ErrorCode::kRequestForm);
    CHECK(code(as_bytes("0")) == ErrorCode::kRequestForm);
    CHECK(code(as_bytes(std::string(5000, '0'))) == ErrorCode::kRequestForm);

    RequestHandle foreign(X509_REQ_new());
    const auto rsa = rsa_key();
    X509_REQ_set_pubkey(foreign.get(), rsa.get());
    X509_REQ_sign(foreign.get(), rsa.get(), EVP_sha256());
    BioHandle bio(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509_REQ(bio.get(), foreign.get());
    CHECK(code(as_bytes(text_of(bio.get()))) == ErrorCode::kRequestForm);
}

TEST_CASE("a request in DER is read like one in PEM") {
    const auto key = IdentityKey::from_seed(seed_of(5));
    const auto pem = make_request(key);
    auto bio = reading_bio(as_bytes(pem));
    RequestHandle request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_X509_REQ(request.get(), &der);
    const ByteView view{reinterpret_cast<std::byte*>(der), static_cast<std::size_t>(size)};
    CHECK(parse_request(view).value().peer == key.peer_id());
    OPENSSL_free(der);
}

TEST_CASE("an authority signs only with its own key, while it is valid, and not beyond its end") {
    const auto f = federation_of(1);
    const auto key = IdentityKey::from_seed(seed_of(5));
    const auto pem = make_request(key);
    const auto request = parse_request(as_bytes(pem)).value();
    const auto code = [&](const IdentityKey& signer, const Certificate& issuing,
                          LeafOptions options) {
        const auto leaf = sign_request(signer, issuing, request, options);
        REQUIRE(!leaf);
        return leaf.error().code;
    };
    CHECK(code(key, f.issuing, {.now = kNow}) == ErrorCode::kTlsKeyMismatch);
    CHECK(code(f.root_key, f.root, {.now = kNow}) == ErrorCode::kTlsCertificateForm);
    CHECK(code(f.issuing_key, f.issuing, {.now = kNow + 732 * kDay}) == ErrorCode::kTlsExpired);
    CHECK(code(f.issuing_key, f.issuing, {.now = kNow + -kDay}) == ErrorCode::kTlsNotYetValid);
    CHECK(code(f.issuing_key, f.issuing, {.now = kNow, .validity = 0s}) == ErrorCode::kUsage);
    CHECK(code(f.issuing_key, f.issuing, {.now = kNow, .validity = 401 * kDay}) ==
          ErrorCode::kUsage);
    const auto late = sign_request(f.issuing_key, f.issuing, request, {.now = kNow + 730 * kDay});
    CHECK(late.value().describe().value().not_after == f.issuing.describe().value().not_after);
}

TEST_CASE("a lost issuing key is replaced by the root alone") {
    const auto f = federation_of(1);
    const auto fresh = IdentityKey::from_seed(seed_of(9));
    const auto issuing =
        sign_issuing(f.root_key, f.root, fresh.public_key(), {.now = kNow + 30 * kDay}).value();
    CHECK(issuing.describe().value().name == f.issuing.describe().value().name);
    CHECK(sign_issuing(f.issuing_key, f.root, fresh.public_key(), {.now = kNow}).error().code ==
          ErrorCode::kTlsKeyMismatch);
}

TEST_CASE("certificate names are read strictly") {
    const auto key = IdentityKey::from_seed(seed_of(5));
    const CertificateName name{federation_of(1).trust.federation(),
                               CertificateName::Holder{Role::operator_, key.peer_id()}};
    const auto uri = name.to_uri();
    CHECK(CertificateName::parse(uri) == name);
    for (const auto& bad :
         {uri + "0", uri + "/", uri.substr(0, uri.size() - 1), "G" + uri.substr(1),
          uri.substr(0, 43) + "/king/" + key.peer_id().to_string(),
          uri.substr(0, 43) + "//" + key.peer_id().to_string(), uri.substr(0, 44),
          std::string("gossamer://"), std::string()})
        CHECK_MESSAGE(!CertificateName::parse(bad), bad);
}
