// Every way a handshake must fail: the code on the side that finds out, and what the other hears.
#include <doctest/doctest.h>

#include "forged_certificates.hpp"
#include "tls_pair.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

struct Outcome {
    std::optional<ErrorCode> dialler, listener;
};

Outcome meet(const TlsContext& dialling, const TlsContext& listening,
             const VerifyPolicy& dialler_policy = {.now = kNow},
             const VerifyPolicy& listener_policy = {.now = kNow}) {
    TlsPair pair(dialling, listening, dialler_policy, listener_policy);
    pair.settle();
    return {error_of(pair.dialler), error_of(pair.listener)};
}

struct World {
    Federation federation = federation_of(1), elsewhere = federation_of(2, "hill");
    Member alice = member_of(federation, 11), bob = member_of(federation, 12);
    TlsContext alice_context = context_of(federation, alice);
    TlsContext bob_context = context_of(federation, bob);

    TlsEngine listener(const VerifyPolicy& policy = {.now = kNow}) const {
        return TlsEngine(bob_context, TlsSide::listener, policy);
    }
};

}  // namespace

TEST_CASE("an expired certificate is called expired on both sides") {
    const World w;
    const auto later = kNow + 8 * kDay;
    const auto fresh =
        context_of(w.federation, member_of(w.federation, 13, Role::peer, later), later);
    // The listener is refused by the dialler, then the dialler by the listener.
    auto outcome = meet(fresh, w.bob_context, {.now = later}, {.now = later});
    CHECK(outcome.dialler == ErrorCode::kTlsExpired);
    CHECK(outcome.listener == ErrorCode::kTlsExpired);
    outcome = meet(w.alice_context, fresh, {.now = later}, {.now = later});
    CHECK(outcome.dialler == ErrorCode::kTlsExpired);
    CHECK(outcome.listener == ErrorCode::kTlsExpired);
}

TEST_CASE("a certificate of the future is called not yet valid on both sides") {
    const World w;
    const auto early =
        context_of(w.federation, member_of(w.federation, 13, Role::peer, kNow + kDay), kNow + kDay);
    auto outcome = meet(early, w.bob_context);
    CHECK(outcome.listener == ErrorCode::kTlsNotYetValid);
    CHECK(outcome.dialler == ErrorCode::kTlsNotYetValid);
    outcome = meet(w.alice_context, early);
    CHECK(outcome.listener == ErrorCode::kTlsNotYetValid);
    CHECK(outcome.dialler == ErrorCode::kTlsNotYetValid);
}

TEST_CASE("another federation is named by who finds out, and heard as not trusted by the other") {
    const World w;
    const auto stranger = context_of(w.elsewhere, member_of(w.elsewhere, 13));
    const auto outcome = meet(stranger, w.bob_context);
    // The dialler judges first.
    CHECK(outcome.dialler == ErrorCode::kTlsFederation);
    CHECK(outcome.listener == ErrorCode::kTlsUntrusted);
}

TEST_CASE("a wrong role is refused by the listener, and the dialler hears that it was refused") {
    const World w;
    const auto outcome = meet(w.alice_context, w.bob_context, {.now = kNow},
                              {.now = kNow, .roles = RoleSet::only(Role::aggregator)});
    CHECK(outcome.listener == ErrorCode::kTlsRole);
    CHECK(outcome.dialler == ErrorCode::kTlsRefused);
}

TEST_CASE("another peer than expected is refused by the dialler") {
    const World w;
    const auto outcome =
        meet(w.alice_context, w.bob_context,
             {.now = kNow, .expected_peer = IdentityKey::from_seed(seed_of(99)).peer_id()});
    CHECK(outcome.dialler == ErrorCode::kTlsPeerId);
    CHECK(outcome.listener == ErrorCode::kTlsRefused);
}

TEST_CASE("a banned peer hears that it is banned") {
    const World w;
    const auto bans = std::make_shared<const BanList>(1, w.alice.key.peer_id());
    const auto outcome =
        meet(w.alice_context, w.bob_context, {.now = kNow}, {.now = kNow, .banned = bans});
    CHECK(outcome.listener == ErrorCode::kTlsBanned);
    CHECK(outcome.dialler == ErrorCode::kTlsBanned);
}

TEST_CASE("another major version of the protocol is told apart from another federation") {
    const World w;
    const auto newer = context_of(w.federation, w.alice, kNow, {.protocol = "gossamer/2"});
    const auto outcome = meet(newer, w.bob_context);
    CHECK(outcome.listener == ErrorCode::kTlsAlpn);
    CHECK(outcome.dialler == ErrorCode::kTlsAlpn);
}

TEST_CASE("a forged chain, a key that does not match, and a long leaf fail at a listener") {
    const World w;
    const auto key = IdentityKey::from_seed(seed_of(40));
    const auto attempt = [&](const Certificate& leaf, const Certificate& issuing) {
        ForeignClient client;
        KeyHandle own(key.new_openssl_key());
        client.use(leaf, issuing, own.get());
        client.name_protocol("gossamer/1");
        client.start();
        auto engine = w.listener();
        const auto alert = client.talk_to(engine);
        return std::pair(error_of(engine), alert);
    };
    auto fields = leaf_fields(w.federation, key);
    const auto good = build_certificate(fields, w.federation.issuing, w.federation.issuing_key);
    CHECK(attempt(good, w.federation.issuing) ==
          std::pair(std::optional<ErrorCode>(), std::optional<int>()));
    const auto forged = build_certificate(fields, w.elsewhere.issuing, w.elsewhere.issuing_key);
    CHECK(attempt(forged, w.elsewhere.issuing) == std::pair(std::optional(ErrorCode::kTlsUntrusted),
                                                            std::optional<int>(SSL_AD_UNKNOWN_CA)));
    CHECK(attempt(oversized(good, w.federation.issuing_key, 3'000), w.federation.issuing) ==
          std::pair(std::optional(ErrorCode::kTlsCertificateForm),
                    std::optional<int>(SSL_AD_UNSUPPORTED_CERTIFICATE)));
    // The listener looks at what it is sent before it looks at how it is signed.
    auto wrong = leaf_fields(w.federation, w.alice.key);
    wrong.key = key.public_key();
    CHECK(attempt(build_certificate(wrong, w.federation.issuing, w.federation.issuing_key),
                  w.federation.issuing) ==
          std::pair(std::optional(ErrorCode::kTlsKeyMismatch),
                    std::optional<int>(SSL_AD_CERTIFICATE_UNKNOWN)));
}

TEST_CASE("a chain longer than a record of ours is refused before it is parsed") {
    const World w;
    const auto key = IdentityKey::from_seed(seed_of(40));
    const auto leaf = build_certificate(leaf_fields(w.federation, key), w.federation.issuing,
                                        w.federation.issuing_key);
    ForeignClient client;
    KeyHandle own(key.new_openssl_key());
    client.use(oversized(leaf, w.federation.issuing_key, 30'000), w.federation.issuing, own.get());
    client.name_protocol("gossamer/1");
    client.start();
    auto engine = w.listener();
    (void)client.talk_to(engine);
    CHECK(error_of(engine) == ErrorCode::kTlsHandshake);
    CHECK(engine.buffer_bytes() <= 16 * 1024);
}

TEST_CASE("a client without a certificate, or with an RSA one, is told that one is required") {
    const World w;
    ForeignClient bare;
    bare.name_protocol("gossamer/1");
    bare.start();
    auto engine = w.listener();
    CHECK(bare.talk_to(engine) == std::optional<int>(TLS13_AD_CERTIFICATE_REQUIRED));
    CHECK(error_of(engine) == ErrorCode::kTlsNoCertificate);

    ForeignClient rsa;
    const auto key = rsa_key();
    rsa.use(with_rsa_key(w.alice.chain[0], w.federation.issuing_key, key.get()),
            w.federation.issuing, key.get());
    rsa.name_protocol("gossamer/1");
    rsa.start();
    auto second = w.listener();
    CHECK(rsa.talk_to(second) == std::optional<int>(TLS13_AD_CERTIFICATE_REQUIRED));
    CHECK(error_of(second) == ErrorCode::kTlsNoCertificate);
}

TEST_CASE("a browser, an old TLS client and a client without a protocol name are told apart") {
    const World w;
    ForeignClient browser;
    browser.name_protocol("h2");
    browser.start();
    auto first = w.listener();
    CHECK(browser.talk_to(first) == std::optional<int>(SSL_AD_NO_APPLICATION_PROTOCOL));
    CHECK(error_of(first) == ErrorCode::kTlsAlpn);

    ForeignClient nameless;
    nameless.start();
    auto second = w.listener();
    CHECK(nameless.talk_to(second) == std::optional<int>(SSL_AD_NO_APPLICATION_PROTOCOL));
    CHECK(error_of(second) == ErrorCode::kTlsAlpn);

    ForeignClient old;
    SSL_CTX_set_max_proto_version(old.context, TLS1_2_VERSION);
    old.name_protocol("gossamer/1");
    old.start();
    auto third = w.listener();
    CHECK(old.talk_to(third) == std::optional<int>(SSL_AD_PROTOCOL_VERSION));
    CHECK(error_of(third) == ErrorCode::kTlsAlpn);
}

TEST_CASE("what is not TLS is named at its first bytes and gets no answer") {
    const World w;
    for (const std::string_view text :
         {"GET / HTTP/1.1\r\n\r\n", "\x80\x2e\x01\x03\x01", "SSH-2.0-x\r\n", "\x16\x02\x00",
          "\x17\x03\x03\x00\x10", "\n"}) {
        CAPTURE(text);
        auto engine = w.listener();
        feed(engine, as_bytes(text));
        CHECK(error_of(engine) == ErrorCode::kTlsNotTls);
        CHECK(engine.output().empty());
    }
    // A dialler that reached some other service.
    TlsEngine dialler(w.alice_context, TlsSide::dialler, {.now = kNow});
    feed(dialler, as_bytes("220 mail.example ESMTP\r\n"));
    CHECK(error_of(dialler) == ErrorCode::kTlsNotTls);
}

TEST_CASE("random bytes in the shape of TLS fail, whatever they are") {
    const World w;
    std::uint64_t state = 7;
    for (int round = 0; round < 500; ++round) {
        CAPTURE(round);
        Bytes noise(600);
        for (auto& b : noise) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            b = static_cast<std::byte>(state >> 56);
        }
        const std::uint8_t start[] = {22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3};
        std::memcpy(noise.data(), start, round % 12);
        auto engine = w.listener();
        feed(engine, noise);
        if (error_of(engine)) continue;
        // A record may announce more than came; then the end of input is the error.
        CHECK(engine.end_of_input().error().code == ErrorCode::kTlsTruncated);
        CHECK_FALSE(engine.handshake_done());
    }
}

TEST_CASE("a damaged flight never ends in a handshake") {
    const World w;
    TlsEngine dialler(w.alice_context, TlsSide::dialler, {.now = kNow});
    const Bytes hello(dialler.output().begin(), dialler.output().end());
    for (std::size_t i = 0; i < hello.size(); ++i) {
        TlsEngine honest(w.alice_context, TlsSide::dialler, {.now = kNow});
        auto listener = w.listener();
        Bytes changed(honest.output().begin(), honest.output().end());
        honest.consume_output(changed.size());
        changed[i % changed.size()] ^= std::byte{0x21};
        feed(listener, changed);
        carry(listener, honest);
        carry(honest, listener);
        CHECK_MESSAGE(!listener.handshake_done(), i);
    }
}
