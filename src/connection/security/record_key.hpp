// One direction of a TLS 1.3 connection after its handshake: seals and opens single records (RFC
// 8446 §5.2) between buffers of ours. OpenSSL's own records pass through buffers of its own, two
// copies at the sender and one at the receiver; here the cipher reads where the bytes lie and
// writes where they belong.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "connection/security/openssl_handles.hpp"
#include "gossamer/base/bytes.hpp"

namespace gossamer::security {

constexpr std::size_t kRecordHeaderBytes = 5;  // type, version, length
constexpr std::size_t kRecordTagBytes = 16;
constexpr std::size_t kRecordBodyMax = 16 * 1024 + 256;  // what is sealed, with its tag

enum class ContentType : std::uint8_t { alert = 21, handshake = 22, data = 23 };

class RecordKey {
public:
    enum class Use : bool { open, seal };

    // `suite`: TLS_AES_128_GCM_SHA256 and so on, by their numbers; `secret`: the application
    // traffic secret of this direction, as long as the suite's hash.
    RecordKey(Use use, std::uint16_t suite, ByteView secret);
    RecordKey(RecordKey&&) noexcept = default;
    RecordKey& operator=(RecordKey&&) noexcept = default;
    ~RecordKey();

    // Writes a whole record of content.size() + 22 bytes to `out`.
    // REQUIRES content of at most 16 KiB, elsewhere than `out`.
    void seal(ContentType type, ByteView content, std::byte* out);

    struct Opened {
        std::uint8_t type = 0;  // a ContentType, or whatever the other side wrote; 0: none
        std::size_t size = 0;   // of the content, without padding
    };
    // `record`: header and body; `to` has room for body - 17 bytes, and may be where the body
    // begins. Nothing in `to` counts unless this gives a value: otherwise the record was altered.
    // REQUIRES a body of at least 17 bytes.
    std::optional<Opened> open(ByteView record, std::byte* to);

    // The key that follows after a KeyUpdate (§7.2); counts records from 0 again.
    void update();

private:
    using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeWith<EVP_CIPHER_CTX_free>>;
    void derive();
    std::array<unsigned char, 12> next_nonce();

    Use use_;
    std::uint16_t suite_;
    std::array<std::byte, 48> secret_{};
    std::array<unsigned char, 12> iv_{};
    std::uint64_t count_ = 0;  // of records under this key
    Context context_;
};

}  // namespace gossamer::security
