#include "connection/security/tls_context.hpp"

#include <algorithm>

#include "connection/security/openssl_handles.hpp"
#include "connection/security/tls_state.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

HandshakeNotes& notes_of(SSL* ssl) { return *static_cast<HandshakeNotes*>(SSL_get_app_data(ssl)); }

// OpenSSL turns a verification error into the alert the other side sees. These are chosen so that
// `tls_error.cpp` can turn the alert back into our code.
int alert_choosing_error(ErrorCode code) {
    switch (code) {
        case ErrorCode::kTlsExpired: return X509_V_ERR_CERT_HAS_EXPIRED;  // certificate_expired
        case ErrorCode::kTlsNotYetValid: return X509_V_ERR_CERT_NOT_YET_VALID;  // bad_certificate
        case ErrorCode::kTlsUntrusted:
        case ErrorCode::kTlsFederation:
            return X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;  // unknown_ca
        case ErrorCode::kTlsCertificateForm:
            return X509_V_ERR_INVALID_PURPOSE;                       // unsupported_certificate
        case ErrorCode::kTlsBanned: return X509_V_ERR_CERT_REVOKED;  // certificate_revoked
        case ErrorCode::kTlsAlpn: return X509_V_ERR_APPLICATION_VERIFICATION;  // handshake_failure
        default: return X509_V_ERR_SUBJECT_ISSUER_MISMATCH;  // certificate_unknown
    }
}

bool alpn_agreed(SSL* ssl, const TlsContext::Shared& context) {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl, &name, &length);
    return std::string_view(reinterpret_cast<const char*>(name), length) ==
           context.options.protocol;
}

Result<AuthenticatedPeer> judge(SSL* ssl, X509_STORE_CTX* store, const HandshakeNotes& notes) {
    if (SSL_is_server(ssl) == 0 && !alpn_agreed(ssl, notes.context))
        return fail(ErrorCode::kTlsAlpn,
                    "the other side did not agree to " + notes.context.options.protocol);
    STACK_OF(X509)* presented = X509_STORE_CTX_get0_untrusted(store);
    std::vector<Certificate> chain;
    for (int i = 0; i < sk_X509_num(presented); ++i) {
        X509* one = sk_X509_value(presented, i);
        X509_up_ref(one);
        chain.push_back(Certificate::adopt(one));
    }
    return verify_chain(chain, notes.context.trust, notes.policy);
}

int verify_callback(X509_STORE_CTX* store, void*) {
    auto* ssl =
        static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    HandshakeNotes& notes = notes_of(ssl);
    auto peer = judge(ssl, store, notes);
    if (peer) {
        notes.peer = std::move(*peer);
        X509_STORE_CTX_set_error(store, X509_V_OK);
        return 1;
    }
    X509_STORE_CTX_set_error(store, alert_choosing_error(peer.error().code));
    notes.error = std::move(peer).error();
    return 0;
}

// A client without ALPN would never reach alpn_callback.
int client_hello_callback(SSL* ssl, int* alert, void*) {
    const unsigned char* data = nullptr;
    std::size_t size = 0;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                  &size) == 1)
        return SSL_CLIENT_HELLO_SUCCESS;
    notes_of(ssl).error = Error{ErrorCode::kTlsAlpn,
                                "the client speaks TLS but names no protocol (ALPN), we speak " +
                                    notes_of(ssl).context.options.protocol,
                                {}};
    *alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

int alpn_callback(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                  const unsigned char* offered, unsigned offered_size, void*) {
    HandshakeNotes& notes = notes_of(ssl);
    const std::string& ours = notes.context.alpn;
    unsigned char* chosen = nullptr;
    const int found = SSL_select_next_proto(
        &chosen, out_size, reinterpret_cast<const unsigned char*>(ours.data()),
        static_cast<unsigned>(ours.size()), offered, offered_size);
    if (found == OPENSSL_NPN_NEGOTIATED) {
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
    }
    notes.error = Error{
        ErrorCode::kTlsAlpn, "the client does not offer " + notes.context.options.protocol, {}};
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// How OpenSSL lets go of what records are sealed with: lines of a name, the client's random bytes
// and a secret. Those of the handshake itself are not for us.
void secret_callback(const SSL* ssl, const char* line) {
    auto& secrets = notes_of(const_cast<SSL*>(ssl)).secrets;
    const std::string_view text = line;
    const bool dialler = text.starts_with("CLIENT_TRAFFIC_SECRET_0 ");
    if (!dialler && !text.starts_with("SERVER_TRAFFIC_SECRET_0 ")) return;
    auto secret = from_hex(text.substr(text.rfind(' ') + 1));
    auto& place = dialler ? secrets.dialler : secrets.listener;
    GOSSAMER_ASSERT(secret && secret->size() <= place.size(), "a secret as long as a hash");
    secrets.size = secret->size();
    std::ranges::copy(*secret, place.begin());
    OPENSSL_cleanse(secret->data(), secret->size());
}

void configure(SSL_CTX* ssl, const std::string& alpn) {
    bool ok = SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION) == 1;
    ok = ok && SSL_CTX_set_max_proto_version(ssl, TLS1_3_VERSION) == 1;
    ok = ok && SSL_CTX_set_ciphersuites(ssl,
                                        "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                        "TLS_AES_256_GCM_SHA384") == 1;
    ok = ok && SSL_CTX_set1_groups_list(ssl, "X25519") == 1;
    ok = ok && SSL_CTX_set1_sigalgs_list(ssl, "ed25519") == 1;
    ok = ok && SSL_CTX_set1_client_sigalgs_list(ssl, "ed25519") == 1;
    ok = ok && SSL_CTX_set_num_tickets(ssl, 0) == 1;
    // This one is 0 for success, unlike all others.
    ok = ok && SSL_CTX_set_alpn_protos(ssl, reinterpret_cast<const unsigned char*>(alpn.data()),
                                       static_cast<unsigned>(alpn.size())) == 0;
    GOSSAMER_ASSERT(ok, "OpenSSL knows TLS 1.3, Ed25519 and X25519");
    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(
        ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_max_early_data(ssl, 0);
    SSL_CTX_set_recv_max_early_data(ssl, 0);
    SSL_CTX_set_max_cert_list(ssl, 16 * 1024);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(ssl, verify_callback, nullptr);
    SSL_CTX_set_client_hello_cb(ssl, client_hello_callback, nullptr);
    SSL_CTX_set_alpn_select_cb(ssl, alpn_callback, nullptr);
    SSL_CTX_set_keylog_callback(ssl, secret_callback);
}

}  // namespace

TlsContext::Shared::Shared(AuthenticatedPeer own, TrustBundle bundle, TlsOptions chosen)
    : ssl(SSL_CTX_new(TLS_method())),
      self(std::move(own)),
      trust(std::move(bundle)),
      options(std::move(chosen)) {
    GOSSAMER_ASSERT(ssl != nullptr, "OpenSSL gives a context");
    GOSSAMER_ASSERT(!options.protocol.empty() && options.protocol.size() < 256,
                    "an ALPN name has 1 to 255 bytes");
    alpn = static_cast<char>(options.protocol.size()) + options.protocol;
    configure(ssl, alpn);
}

Result<TlsContext> TlsContext::create(const IdentityKey& key, const std::vector<Certificate>& chain,
                                      const TrustBundle& trust, WallTime now,
                                      const TlsOptions& options) {
    GOSSAMER_TRY(auto self, verify_chain(chain, trust, {.now = now}));
    if (self.key != key.public_key())
        return fail(ErrorCode::kTlsKeyMismatch,
                    "our private key does not belong to our certificate (of peer " +
                        self.id.short_string() + ")");
    auto shared = std::make_shared<Shared>(std::move(self), trust, options);
    KeyHandle own(key.new_openssl_key());
    bool ok = SSL_CTX_use_certificate(shared->ssl, chain[0].get()) == 1;
    ok = ok && SSL_CTX_add1_chain_cert(shared->ssl, chain[1].get()) == 1;
    ok = ok && SSL_CTX_use_PrivateKey(shared->ssl, own.get()) == 1;
    ERR_clear_error();
    if (!ok) return fail(ErrorCode::kInternal, "OpenSSL refuses a verified certificate");
    TlsContext context;
    context.shared_ = std::move(shared);
    return context;
}

Result<TlsContext> TlsContext::from_pem(const TlsMaterial& material, WallTime now,
                                        const TlsOptions& options) {
    GOSSAMER_TRY(const auto key, IdentityKey::from_pem(material.key));
    GOSSAMER_TRY(const auto chain, Certificate::from_pem(material.chain, 4));
    GOSSAMER_TRY(const auto trust, TrustBundle::from_pem(material.trust));
    return create(key, chain, trust, now, options);
}

const AuthenticatedPeer& TlsContext::self() const { return shared_->self; }
const TrustBundle& TlsContext::trust() const { return shared_->trust; }

}  // namespace gossamer::security
