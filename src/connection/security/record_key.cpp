#include "connection/security/record_key.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "gossamer/base/assert.hpp"

namespace gossamer::security {
namespace {

struct Suite {
    std::uint16_t number;
    const EVP_CIPHER* (*cipher)();
    std::size_t key_bytes;
    const char* hash;
    std::size_t hash_bytes;
};
constexpr Suite kSuites[] = {{0x1301, EVP_aes_128_gcm, 16, "SHA2-256", 32},
                             {0x1302, EVP_aes_256_gcm, 32, "SHA2-384", 48},
                             {0x1303, EVP_chacha20_poly1305, 32, "SHA2-256", 32}};

const Suite& suite_of(std::uint16_t number) {
    const auto* suite = std::ranges::find(kSuites, number, &Suite::number);
    GOSSAMER_ASSERT(suite != std::end(kSuites), "only suites of ours are agreed on");
    return *suite;
}

// HKDF-Expand-Label (RFC 8446 §7.1) without a context.
void expand_label(const Suite& suite, const std::byte* secret, std::string label,
                  std::span<unsigned char> out) {
    const std::unique_ptr<EVP_KDF, FreeWith<EVP_KDF_free>> kdf(
        EVP_KDF_fetch(nullptr, OSSL_KDF_NAME_TLS1_3_KDF, nullptr));
    const std::unique_ptr<EVP_KDF_CTX, FreeWith<EVP_KDF_CTX_free>> context(
        EVP_KDF_CTX_new(kdf.get()));
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    std::string hash = suite.hash, prefix = "tls13 ";
    std::array<std::byte, 48> key{};
    std::memcpy(key.data(), secret, suite.hash_bytes);
    const OSSL_PARAM how[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash.data(), 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), suite.hash_bytes),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix.data(), prefix.size()),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, label.data(), label.size()),
        OSSL_PARAM_construct_end()};
    const int done = EVP_KDF_derive(context.get(), out.data(), out.size(), how);
    OPENSSL_cleanse(key.data(), key.size());
    GOSSAMER_ASSERT(done == 1, "OpenSSL derives a traffic key");
}

}  // namespace

RecordKey::RecordKey(Use use, std::uint16_t suite, ByteView secret)
    : use_(use), suite_(suite), context_(EVP_CIPHER_CTX_new()) {
    GOSSAMER_ASSERT(secret.size() == suite_of(suite).hash_bytes, "a secret as long as the hash");
    std::ranges::copy(secret, secret_.begin());
    derive();
}

RecordKey::~RecordKey() {
    OPENSSL_cleanse(secret_.data(), secret_.size());
    OPENSSL_cleanse(iv_.data(), iv_.size());
}

void RecordKey::derive() {
    const auto& suite = suite_of(suite_);
    std::array<unsigned char, 32> key;
    expand_label(suite, secret_.data(), "key", std::span(key).first(suite.key_bytes));
    expand_label(suite, secret_.data(), "iv", iv_);
    const bool fine = EVP_CipherInit_ex(context_.get(), suite.cipher(), nullptr, key.data(),
                                        nullptr, use_ == Use::seal ? 1 : 0) == 1;
    OPENSSL_cleanse(key.data(), key.size());
    GOSSAMER_ASSERT(fine, "OpenSSL takes a key of the right size");
    count_ = 0;
}

void RecordKey::update() {
    const auto& suite = suite_of(suite_);
    std::array<unsigned char, 48> next;
    expand_label(suite, secret_.data(), "traffic upd", std::span(next).first(suite.hash_bytes));
    std::memcpy(secret_.data(), next.data(), suite.hash_bytes);
    OPENSSL_cleanse(next.data(), next.size());
    derive();
}

std::array<unsigned char, 12> RecordKey::next_nonce() {
    auto nonce = iv_;
    for (std::size_t i = 0; i < 8; ++i)
        nonce[11 - i] ^= static_cast<unsigned char>(count_ >> (8 * i));
    ++count_;
    return nonce;
}

void RecordKey::seal(ContentType type, ByteView content, std::byte* out) {
    auto* to = reinterpret_cast<unsigned char*>(out);
    const auto body = content.size() + 1 + kRecordTagBytes;
    const unsigned char header[kRecordHeaderBytes] = {
        23, 3, 3, static_cast<unsigned char>(body >> 8), static_cast<unsigned char>(body)};
    const auto last = static_cast<unsigned char>(type);
    std::memcpy(to, header, sizeof header);
    to += sizeof header;
    auto* c = context_.get();
    const auto nonce = next_nonce();
    int n = 0;
    bool fine = EVP_EncryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) == 1;
    fine = fine && EVP_EncryptUpdate(c, nullptr, &n, header, sizeof header) == 1;
    fine = fine &&
           (content.empty() ||
            EVP_EncryptUpdate(c, to, &n, reinterpret_cast<const unsigned char*>(content.data()),
                              static_cast<int>(content.size())) == 1);
    to += content.size();
    fine = fine && EVP_EncryptUpdate(c, to, &n, &last, 1) == 1;
    fine = fine && EVP_EncryptFinal_ex(c, to + 1, &n) == 1;
    fine = fine && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, kRecordTagBytes, to + 1) == 1;
    GOSSAMER_ASSERT(fine, "OpenSSL seals a record");
}

std::optional<RecordKey::Opened> RecordKey::open(ByteView record, std::byte* out) {
    GOSSAMER_ASSERT(record.size() > kRecordHeaderBytes + kRecordTagBytes, "a record with a type");
    const auto* from = reinterpret_cast<const unsigned char*>(record.data());
    auto* to = reinterpret_cast<unsigned char*>(out);
    const auto size = record.size() - kRecordHeaderBytes - kRecordTagBytes - 1;
    const auto* body = from + kRecordHeaderBytes;
    unsigned char tag[kRecordTagBytes], last = 0;
    std::memcpy(tag, body + size + 1, sizeof tag);
    auto* c = context_.get();
    const auto nonce = next_nonce();
    int n = 0;
    bool fine = EVP_DecryptInit_ex(c, nullptr, nullptr, nullptr, nonce.data()) == 1;
    fine = fine && EVP_DecryptUpdate(c, nullptr, &n, from, kRecordHeaderBytes) == 1;
    fine = fine && (size == 0 || EVP_DecryptUpdate(c, to, &n, body, static_cast<int>(size)) == 1);
    fine = fine && EVP_DecryptUpdate(c, &last, &n, body + size, 1) == 1;
    fine = fine && EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1;
    GOSSAMER_ASSERT(fine, "OpenSSL takes a record");
    if (unsigned char none = 0; EVP_DecryptFinal_ex(c, &none, &n) != 1) {
        ERR_clear_error();
        return std::nullopt;
    }
    Opened opened{last, size};
    while (opened.type == 0 && opened.size > 0) opened.type = to[--opened.size];  // padding
    return opened;
}

}  // namespace gossamer::security
