#include "connection/security/identity.hpp"

#include <sodium.h>

#include <cstring>
#include <string>

#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

const unsigned char* raw(const std::byte* p) { return reinterpret_cast<const unsigned char*>(p); }
unsigned char* raw(std::byte* p) { return reinterpret_cast<unsigned char*>(p); }

void ready() {
    static const int status = sodium_init();
    GOSSAMER_ASSERT(status >= 0, "libsodium must start");
}

Bytes signed_bytes(std::string_view purpose, ByteView message) {
    ByteWriter out;
    out.put_bytes(as_bytes("gossamer signature 1\n"));
    out.put_text(purpose);
    out.put_bytes(message);
    return out.take();
}

constexpr std::size_t kPemBytesMax = 4096;

}  // namespace

PeerId peer_id_of(const PublicKey& key) { return PeerId{digest256(key).bytes}; }

bool verify_signature(const PublicKey& key, std::string_view purpose, ByteView message,
                      const Signature& signature) {
    ready();
    const Bytes bytes = signed_bytes(purpose, message);
    return crypto_sign_verify_detached(raw(signature.data()), raw(bytes.data()), bytes.size(),
                                       raw(key.data())) == 0;
}

SecretBytes& SecretBytes::operator=(SecretBytes&& other) noexcept {
    if (this != &other) {
        wipe();
        bytes_ = std::move(other.bytes_);
    }
    return *this;
}
SecretBytes::~SecretBytes() { wipe(); }
void SecretBytes::wipe() {
    if (!bytes_.empty()) sodium_memzero(bytes_.data(), bytes_.size());
}

IdentityKey IdentityKey::generate() {
    ready();
    IdentityKey key;
    PublicKey ignored;
    crypto_sign_keypair(raw(ignored.data()), raw(key.secret_.data()));
    return key;
}

IdentityKey IdentityKey::from_seed(std::span<const std::byte, 32> seed) {
    ready();
    IdentityKey key;
    PublicKey ignored;
    crypto_sign_seed_keypair(raw(ignored.data()), raw(key.secret_.data()), raw(seed.data()));
    return key;
}

Result<IdentityKey> IdentityKey::from_pem(ByteView pem) {
    if (pem.size() > kPemBytesMax)
        return fail(ErrorCode::kKeyFormat, "private key: longer than 4096 bytes");
    ERR_clear_error();
    auto bio = reading_bio(pem);
    KeyHandle parsed(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    ERR_clear_error();
    if (!parsed)
        return fail(ErrorCode::kKeyFormat,
                    "private key: not an unencrypted PEM file with a PRIVATE KEY block");
    std::array<std::byte, 32> seed;
    std::size_t size = seed.size();
    if (EVP_PKEY_get_id(parsed.get()) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_private_key(parsed.get(), raw(seed.data()), &size) != 1 ||
        size != seed.size())
        return fail(ErrorCode::kKeyFormat, "private key: not an Ed25519 key");
    IdentityKey key = from_seed(seed);
    sodium_memzero(seed.data(), seed.size());
    return key;
}

SecretBytes IdentityKey::to_pem() const {
    KeyHandle key(new_openssl_key());
    BioHandle bio(BIO_new(BIO_s_secmem()));
    const int ok = PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0,
                                                 no_passphrase, nullptr);
    GOSSAMER_ASSERT(ok == 1, "a key of ours can be written");
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    const auto* begin = reinterpret_cast<const std::byte*>(data);
    return SecretBytes(Bytes(begin, begin + size));
}

IdentityKey::IdentityKey(IdentityKey&& other) noexcept : secret_(other.secret_) {
    sodium_memzero(other.secret_.data(), other.secret_.size());
}
IdentityKey& IdentityKey::operator=(IdentityKey&& other) noexcept {
    if (this != &other) {
        secret_ = other.secret_;
        sodium_memzero(other.secret_.data(), other.secret_.size());
    }
    return *this;
}
IdentityKey::~IdentityKey() { sodium_memzero(secret_.data(), secret_.size()); }

PublicKey IdentityKey::public_key() const {
    PublicKey key;
    std::memcpy(key.data(), secret_.data() + 32, key.size());
    return key;
}

Signature IdentityKey::sign(std::string_view purpose, ByteView message) const {
    const Bytes bytes = signed_bytes(purpose, message);
    Signature signature;
    crypto_sign_detached(raw(signature.data()), nullptr, raw(bytes.data()), bytes.size(),
                         raw(secret_.data()));
    return signature;
}

EVP_PKEY* IdentityKey::new_openssl_key() const {
    EVP_PKEY* key =
        EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(secret_.data()), 32);
    GOSSAMER_ASSERT(key != nullptr, "OpenSSL takes an Ed25519 key");
    return key;
}

}  // namespace gossamer::security
