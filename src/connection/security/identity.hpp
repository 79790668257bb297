// The identity of a peer: an Ed25519 key (RFC 8032) made where it is used and never sent.
// PeerId = BLAKE2b-256 of the 32 raw bytes of the public key, so an identity outlives its
// certificates and a ban survives their renewal.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/result.hpp"

typedef struct evp_pkey_st EVP_PKEY;

namespace gossamer::security {

using PublicKey = std::array<std::byte, 32>;
using Signature = std::array<std::byte, 64>;

PeerId peer_id_of(const PublicKey& key);

// `purpose` separates what is signed ("membership-record"): a signature made for one purpose never
// verifies for another, nor as a certificate or a TLS handshake.
bool verify_signature(const PublicKey& key, std::string_view purpose, ByteView message,
                      const Signature& signature);

// Bytes that are wiped when they go: a private key on its way to or from a file.
class SecretBytes {
public:
    SecretBytes() = default;
    explicit SecretBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
    SecretBytes(SecretBytes&&) noexcept = default;
    SecretBytes& operator=(SecretBytes&& other) noexcept;
    ~SecretBytes();

    ByteView view() const { return bytes_; }

private:
    void wipe();
    Bytes bytes_;
};

class IdentityKey {
public:
    static IdentityKey generate();  // from the system's entropy
    // The same key for the same seed: for tests and simulated worlds only.
    static IdentityKey from_seed(std::span<const std::byte, 32> seed);
    // PEM, PKCS#8 (RFC 8410), not encrypted. Errors: kKeyFormat.
    static Result<IdentityKey> from_pem(ByteView pem);
    SecretBytes to_pem() const;

    IdentityKey(IdentityKey&& other) noexcept;
    IdentityKey& operator=(IdentityKey&& other) noexcept;
    ~IdentityKey();

    PublicKey public_key() const;
    PeerId peer_id() const { return peer_id_of(public_key()); }
    Signature sign(std::string_view purpose, ByteView message) const;

    // A new OpenSSL key; the caller frees it. For this room.
    EVP_PKEY* new_openssl_key() const;

private:
    IdentityKey() = default;
    std::array<std::byte, 64> secret_{};  // seed, then public key
};

}  // namespace gossamer::security
