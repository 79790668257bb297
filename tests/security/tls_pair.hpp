// Two engines joined in memory, and a foreign TLS client made of plain OpenSSL.
#pragma once

#include <openssl/ssl.h>

#include <cstring>
#include <optional>

#include "connection/security/openssl_handles.hpp"
#include "connection/security/tls_engine.hpp"
#include "federation_fixture.hpp"

namespace gossamer::security::test {

inline TlsContext context_of(const Federation& f, const Member& m, WallTime now = kNow,
                             const TlsOptions& options = {}) {
    return TlsContext::create(m.key, m.chain, f.trust, now, options).value();
}

// Moves all ciphertext from one engine to the other.
inline void carry(TlsEngine& from, TlsEngine& to, std::size_t at_once = 1 << 16) {
    while (!from.output().empty()) {
        const auto space = to.input_space(at_once);
        const auto n = std::min({space.size(), from.output().size(), at_once});
        std::memcpy(space.data(), from.output().data(), n);
        from.consume_output(n);
        to.commit_input(n);
        if (!to.handshake_done()) (void)to.read({});
    }
}

inline void feed(TlsEngine& to, ByteView bytes) {
    while (!bytes.empty()) {
        const auto space = to.input_space(bytes.size());
        const auto n = std::min(space.size(), bytes.size());
        std::memcpy(space.data(), bytes.data(), n);
        to.commit_input(n);
        bytes = bytes.subspan(n);
        if (!to.handshake_done()) (void)to.read({});
    }
}

inline std::optional<ErrorCode> error_of(TlsEngine& engine) {
    std::array<std::byte, 64> rest;
    const auto result = engine.read(rest);
    if (result) return std::nullopt;
    return result.error().code;
}

struct TlsPair {
    TlsEngine dialler, listener;

    TlsPair(const TlsContext& dialling, const TlsContext& listening,
            const VerifyPolicy& dialler_policy = {.now = kNow},
            const VerifyPolicy& listener_policy = {.now = kNow})
        : dialler(dialling, TlsSide::dialler, dialler_policy),
          listener(listening, TlsSide::listener, listener_policy) {}

    void settle(std::size_t at_once = 1 << 16) {
        for (int i = 0; i < 6; ++i) {
            carry(dialler, listener, at_once);
            carry(listener, dialler, at_once);
        }
    }
};

// What a program that is not ours may do.
struct ForeignClient {
    SSL_CTX* context = SSL_CTX_new(TLS_client_method());
    SSL* ssl = nullptr;
    BIO *in = nullptr, *out = nullptr;

    ~ForeignClient() {
        SSL_free(ssl);
        SSL_CTX_free(context);
    }
    void use(const Certificate& leaf, const Certificate& issuing, EVP_PKEY* key) {
        SSL_CTX_use_certificate(context, leaf.get());
        SSL_CTX_add1_chain_cert(context, issuing.get());
        SSL_CTX_use_PrivateKey(context, key);
    }
    void name_protocol(const std::string& name) {
        const std::string wire = static_cast<char>(name.size()) + name;
        SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(wire.data()),
                                static_cast<unsigned>(wire.size()));
    }
    void start() {
        ssl = SSL_new(context);
        in = BIO_new(BIO_s_mem());
        out = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl, in, out);
        SSL_set_connect_state(ssl);
        SSL_do_handshake(ssl);
    }
    // Exchanges flights with an engine; gives the alert received, if any.
    std::optional<int> talk_to(TlsEngine& engine) {
        for (int i = 0; i < 6; ++i) {
            const std::string flight = text_of(out);
            (void)BIO_reset(out);
            feed(engine, as_bytes(flight));
            BIO_write(in, engine.output().data(), static_cast<int>(engine.output().size()));
            engine.consume_output(engine.output().size());
            ERR_clear_error();
            char byte;
            if (SSL_do_handshake(ssl) == 1) SSL_read(ssl, &byte, 1);
            const int reason = ERR_GET_REASON(ERR_peek_error());
            ERR_clear_error();
            if (reason >= SSL_AD_REASON_OFFSET) return reason - SSL_AD_REASON_OFFSET;
        }
        return std::nullopt;
    }
};

}  // namespace gossamer::security::test
