// Another program at the other end of an engine of ours: plain OpenSSL, on either side.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <string>

#include "tls_pair.hpp"

namespace gossamer::security::test {

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

}  // namespace gossamer::security::test
