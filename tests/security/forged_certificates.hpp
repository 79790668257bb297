// Certificates no authority of ours would sign: with an RSA key, or too large.
#pragma once

#include <string>

#include "connection/security/openssl_handles.hpp"
#include "federation_fixture.hpp"

namespace gossamer::security::test {

// The member's own certificate with a long comment, signed again: valid but for its size.
inline Certificate oversized(const Certificate& leaf, const IdentityKey& issuing_key,
                             std::size_t extra_bytes) {
    X509* copy = X509_dup(leaf.get());
    const std::string comment(extra_bytes, 'x');
    X509_EXTENSION* extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_netscape_comment, comment.c_str());
    X509_add_ext(copy, extension, -1);
    X509_EXTENSION_free(extension);
    KeyHandle key(issuing_key.new_openssl_key());
    X509_sign(copy, key.get(), nullptr);
    return Certificate::adopt(copy);
}

inline KeyHandle rsa_key() {
    return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048}));
}

// The same names and times over an RSA key.
inline Certificate with_rsa_key(const Certificate& leaf, const IdentityKey& issuing_key,
                                EVP_PKEY* rsa) {
    X509* copy = X509_dup(leaf.get());
    X509_set_pubkey(copy, rsa);
    KeyHandle key(issuing_key.new_openssl_key());
    X509_sign(copy, key.get(), nullptr);
    return Certificate::adopt(copy);
}

}  // namespace gossamer::security::test
