// What comes after the handshake is ours: with OpenSSL at the other end.
#include <doctest/doctest.h>

#include "some_bytes.hpp"
#include "tls_foreign.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

Bytes read_all(TlsEngine& engine, std::size_t at_once) {
    Bytes all, part(at_once);
    while (true) {
        const auto count = engine.read(part);
        if (!count || *count == 0) return all;
        all.insert(all.end(), part.begin(), part.begin() + static_cast<long>(*count));
    }
}

}  // namespace

TEST_CASE("a dialler of ours asks for AES-128-GCM before the other suites") {
    const World w;
    Foreign other(w.federation, w.bob);
    const auto engine = w.met(other, TlsSide::dialler);
    CHECK(std::string_view(SSL_get_cipher_name(other.ssl)) == "TLS_AES_128_GCM_SHA256");
}

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
                CHECK(std::string_view(SSL_get_cipher_name(other.ssl)) == suite);
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
