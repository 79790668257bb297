// What comes after the handshake is ours: with OpenSSL at the other end, and with somebody who
// means no good.
#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>

#include "connection/security/record_key.hpp"
#include "some_bytes.hpp"
#include "tls_pair.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

constexpr std::uint16_t kAes128 = 0x1301;

// A program that is not ours at the other end of an engine of ours, on either side.
struct Foreign {
    SSL_CTX* context = SSL_CTX_new(TLS_method());
    SSL* ssl = nullptr;
    BIO *in = nullptr, *out = nullptr;
    std::map<std::string, Bytes> secrets;  // of the last connection, by their names

    Foreign(const Federation& federation, const Member& member) {
        KeyHandle key(member.key.new_openssl_key());
        SSL_CTX_use_certificate(context, member.chain[0].get());
        SSL_CTX_add1_chain_cert(context, member.chain[1].get());
        SSL_CTX_use_PrivateKey(context, key.get());
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), federation.root.get());
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
        static constexpr unsigned char kName[] = "\x0agossamer/1";
        SSL_CTX_set_alpn_protos(context, kName, sizeof kName - 1);
        SSL_CTX_set_alpn_select_cb(
            context,
            [](SSL*, const unsigned char** chosen, unsigned char* size,
               const unsigned char* offered, unsigned, void*) {
                *chosen = offered + 1, *size = offered[0];
                return SSL_TLSEXT_ERR_OK;
            },
            nullptr);
    }
    // Keeps the secrets of its connections.
    Foreign& logging() {
        SSL_CTX_set_app_data(context, this);
        SSL_CTX_set_keylog_callback(context, [](const SSL* of, const char* line) {
            auto* self = static_cast<Foreign*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(of)));
            const std::string text = line;
            self->secrets[text.substr(0, text.find(' '))] =
                from_hex(text.substr(text.rfind(' ') + 1)).value();
        });
        return *this;
    }
    ~Foreign() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
    void start(bool dialling) {
        ssl = SSL_new(context);
        in = BIO_new(BIO_s_mem());
        out = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl, in, out);
        dialling ? SSL_set_connect_state(ssl) : SSL_set_accept_state(ssl);
    }
    Bytes flight() {
        const std::string text = text_of(out);
        (void)BIO_reset(out);
        const auto view = as_bytes(text);
        return Bytes(view.begin(), view.end());
    }
    void hear(TlsEngine& engine) {
        BIO_write(in, engine.output().data(), static_cast<int>(engine.output().size()));
        engine.consume_output(engine.output().size());
    }
    void meet(TlsEngine& engine) {
        for (int i = 0; i < 6; ++i) {
            SSL_do_handshake(ssl);
            feed(engine, flight());
            hear(engine);
        }
        REQUIRE(SSL_is_init_finished(ssl));
        REQUIRE(engine.handshake_done());
    }
    void say(ByteView bytes) {
        REQUIRE(SSL_write(ssl, bytes.data(), static_cast<int>(bytes.size())) ==
                static_cast<int>(bytes.size()));
    }
    Bytes read(std::size_t size) {
        Bytes bytes(size);
        std::size_t got = 0;
        while (got < size) {
            const int n = SSL_read(ssl, bytes.data() + got, static_cast<int>(size - got));
            if (n <= 0) break;
            got += static_cast<std::size_t>(n);
        }
        bytes.resize(got);
        return bytes;
    }
};

Bytes read_all(TlsEngine& engine, std::size_t at_once) {
    Bytes all, part(at_once);
    while (true) {
        const auto count = engine.read(part);
        if (!count || *count == 0) return all;
        all.insert(all.end(), part.begin(), part.begin() + static_cast<long>(*count));
    }
}

struct World {
    Federation federation = federation_of(1);
    Member alice = member_of(federation, 11), bob = member_of(federation, 12);
    TlsContext context = context_of(federation, alice);

    // An engine of ours that has met `other`.
    TlsEngine met(Foreign& other, TlsSide side) const {
        TlsEngine engine(context, side, {.now = kNow});
        other.start(side == TlsSide::listener);
        if (side == TlsSide::dialler) other.hear(engine);
        other.meet(engine);
        return engine;
    }
};

// A member that misbehaves once it is admitted: it seals whatever it likes, and reads the answer.
struct Hostile {
    Foreign client;
    TlsEngine victim;
    RecordKey sealing, opening;

    explicit Hostile(const World& w)
        : client(w.federation, w.bob),
          victim(w.met(client.logging(), TlsSide::listener)),
          sealing(RecordKey::Use::seal, kAes128, client.secrets["CLIENT_TRAFFIC_SECRET_0"]),
          opening(RecordKey::Use::open, kAes128, client.secrets["SERVER_TRAFFIC_SECRET_0"]) {}

    void send(unsigned type, ByteView content) {
        Bytes record(content.size() + kTlsRecordOverhead);
        sealing.seal(static_cast<ContentType>(type), content, record.data());
        feed(victim, record);
    }
    // The alert that came back, if any; the victim's error is what it says itself.
    std::optional<unsigned> alert() {
        const auto answer = victim.output();
        if (answer.size() != 2 + kTlsRecordOverhead) return std::nullopt;
        std::array<std::byte, 2> content;
        const auto opened = opening.open(answer, content.data());
        if (!opened || opened->type != 21) return std::nullopt;
        return std::to_integer<unsigned>(content[1]);
    }
};

}  // namespace

TEST_CASE("OpenSSL at the other end understands us and we understand it, on either side") {
    const World w;
    for (const auto side : {TlsSide::dialler, TlsSide::listener})
        for (const char* suite :
             {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"})
            for (const bool padded : {false, true}) {
                CAPTURE(suite);
                CAPTURE(padded);
                Foreign other(w.federation, w.bob);  // as a listener it also sends two tickets
                SSL_CTX_set_ciphersuites(other.context, suite);
                if (padded) SSL_CTX_set_block_padding(other.context, 700);
                auto engine = w.met(other, side);
                CHECK(engine.cipher() == suite);
                std::size_t at = 0;
                for (const std::size_t size :
                     {1, 16, 700, 5'000, 16'384, 16'385, 70'000, 200'000}) {
                    CAPTURE(size);
                    const auto data = counting(size, static_cast<unsigned>(at += size));
                    REQUIRE(engine.write(ByteView(data).first(size / 3),
                                         ByteView(data).subspan(size / 3)));
                    other.hear(engine);
                    CHECK(other.read(size) == data);
                    other.say(data);
                    feed(engine, other.flight());
                    CHECK(read_all(engine, size % 2 == 0 ? 1'000 : 100'000) == data);
                }
                SSL_shutdown(other.ssl);
                feed(engine, other.flight());
                CHECK(engine.read({}).value() == 0);
                CHECK(read_all(engine, 10).empty());
                CHECK(engine.peer_closed());
                engine.close();
                other.hear(engine);
                CHECK(other.read(1).empty());
                CHECK(SSL_get_shutdown(other.ssl) == (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN));
            }
}

TEST_CASE("keys are renewed with OpenSSL at the other end, asked for by either") {
    const World w;
    Foreign other(w.federation, w.bob);
    const auto eager = context_of(w.federation, w.alice, kNow, {.rekey_bytes = 4'000});
    TlsEngine engine(eager, TlsSide::dialler, {.now = kNow});
    other.start(false);
    other.hear(engine);
    other.meet(engine);
    for (unsigned i = 0; i < 12; ++i) {
        CAPTURE(i);
        if (i % 3 != 0)
            REQUIRE(SSL_key_update(other.ssl, i % 3 == 1 ? SSL_KEY_UPDATE_REQUESTED
                                                         : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        const auto data = counting(3'000, i);
        other.say(data);
        feed(engine, other.flight());
        CHECK(read_all(engine, 4'000) == data);
        REQUIRE(engine.write(data));
        other.hear(engine);
        CHECK(other.read(data.size()) == data);
    }
}

TEST_CASE("OpenSSL's refusal of a record of ours is heard") {
    const World w;
    Foreign other(w.federation, w.bob);
    auto engine = w.met(other, TlsSide::listener);
    REQUIRE(engine.write(as_bytes("hello")));
    Bytes changed(engine.output().begin(), engine.output().end());
    engine.consume_output(changed.size());
    changed[7] ^= std::byte{1};
    BIO_write(other.in, changed.data(), static_cast<int>(changed.size()));
    CHECK(other.read(5).empty());
    feed(engine, other.flight());
    CHECK(error_of(engine) == ErrorCode::kTlsIntegrity);
    CHECK(engine.write(as_bytes("more")).error().code == ErrorCode::kTlsIntegrity);
}

TEST_CASE("what a member may not send after the handshake ends the connection with an alert") {
    const World w;
    const auto ticket = bytes_of("04 00 00 02 00 00");
    const auto new_key = bytes_of("18 00 00 01 00");
    struct Case {
        const char* what;
        unsigned alert;
        std::function<void(Hostile&)> send;
    };
    const auto sealed = [](unsigned type, Bytes content) {
        return [=](Hostile& h) { h.send(type, content); };
    };
    const auto raw = [](const std::string& hex) {
        return [=](Hostile& h) { feed(h.victim, bytes_of(hex)); };
    };
    const Case cases[] = {
        {"a plain handshake record", SSL_AD_UNEXPECTED_MESSAGE, raw("16 03 03 00 04")},
        {"a plain alert", SSL_AD_UNEXPECTED_MESSAGE, raw("15 03 03 00 02 01 00")},
        {"a change of cipher", SSL_AD_UNEXPECTED_MESSAGE, raw("14 03 03 00 01 01")},
        {"a length no record has", SSL_AD_RECORD_OVERFLOW, raw("17 03 03 41 01")},
        {"a record without room for its type", SSL_AD_BAD_RECORD_MAC, raw("17 03 03 00 10")},
        {"an empty record", SSL_AD_BAD_RECORD_MAC, raw("17 03 03 00 00")},
        {"noise", SSL_AD_BAD_RECORD_MAC,
         raw("17 03 03 00 14 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13")},
        {"more data than a record may have", SSL_AD_RECORD_OVERFLOW, sealed(23, Bytes(16'385))},
        {"padding without an end", SSL_AD_UNEXPECTED_MESSAGE, sealed(0, Bytes(20))},
        {"a type that is not", SSL_AD_UNEXPECTED_MESSAGE, sealed(24, ticket)},
        {"a ticket from a dialler", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, ticket)},
        {"a ClientHello", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, bytes_of("01 00 00 00"))},
        {"a message in pieces", SSL_AD_DECODE_ERROR, sealed(22, bytes_of("18 00 00"))},
        {"a message that lies about its size", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 ff ff ff 00"))},
        {"a key update of two bytes", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 00 00 02 00 00"))},
        {"a key update with another request", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 00 00 01 02"))},
        {"a key update with something behind it", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 00 00 01 00 18 00 00 01 00"))},
        {"an alert of one byte", SSL_AD_DECODE_ERROR, sealed(21, bytes_of("01"))},
        {"empty records without end", SSL_AD_UNEXPECTED_MESSAGE,
         [](Hostile& h) {
             for (int i = 0; i < 33; ++i) h.send(23, {});
         }},
        {"new keys without end", SSL_AD_UNEXPECTED_MESSAGE,
         [&](Hostile& h) {
             for (int i = 0; i < 33; ++i) h.send(22, new_key), h.sealing.update();
         }},
    };
    for (const auto& c : cases)
        for (const std::size_t room : {16, 40'000}) {
            CAPTURE(std::string(c.what));
            CAPTURE(room);
            Hostile h(w);
            h.send(23, as_bytes("good"));
            c.send(h);
            Bytes plain(room);
            CHECK(h.victim.read(std::span(plain).first(4)).value() == 4);
            const auto after = h.victim.read(plain);
            REQUIRE_FALSE(after);
            CHECK(after.error().code == ErrorCode::kTlsIntegrity);
            CHECK(h.alert() == c.alert);
            h.send(23, as_bytes("more"));
            CHECK_FALSE(h.victim.read(plain));
            CHECK(h.victim.end_of_input().error().code == ErrorCode::kTlsIntegrity);
        }
}

TEST_CASE("an alert is an error, whatever its level, but for a close and its forerunner") {
    const World w;
    Hostile h(w);
    h.send(21, bytes_of("01 5a"));  // user_canceled
    h.send(23, as_bytes("x"));
    Bytes plain(10);
    CHECK(h.victim.read(plain).value() == 1);
    h.send(21, bytes_of("01 2c"));  // certificate_revoked
    CHECK(h.victim.read(plain).error().code == ErrorCode::kTlsBanned);
    CHECK(h.victim.output().empty());
}

TEST_CASE("thirty-two records without data are patience enough, and data renews it") {
    const World w;
    Hostile h(w);
    Bytes plain(10);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 32; ++i) h.send(23, {});
        h.send(23, as_bytes("x"));
        CHECK(h.victim.read(plain).value() == 1);
    }
}
