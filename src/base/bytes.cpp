#include "gossamer/base/bytes.hpp"

#include <sodium.h>
#include <xxhash.h>

namespace gossamer {

std::string to_hex(ByteView bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    text.reserve(bytes.size() * 2);
    for (auto b : bytes) {
        text += digits[std::to_integer<unsigned>(b) >> 4];
        text += digits[std::to_integer<unsigned>(b) & 15];
    }
    return text;
}

std::optional<Bytes> from_hex(std::string_view text) {
    auto value = [](char c) -> int {
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        if (c >= 'A' && c <= 'F') return c - 'A' + 10;
        return -1;
    };
    if (text.size() % 2) return std::nullopt;
    Bytes bytes;
    bytes.reserve(text.size() / 2);
    for (std::size_t i = 0; i < text.size(); i += 2) {
        int high = value(text[i]), low = value(text[i + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high * 16 + low));
    }
    return bytes;
}

std::string Digest128::to_string() const {
    std::array<std::uint64_t, 2> words{high, low};
    std::string text;
    for (auto w : words)
        for (int shift = 56; shift >= 0; shift -= 8) {
            auto b = static_cast<std::byte>(w >> shift);
            text += to_hex({&b, 1});
        }
    return text;
}

Digest128 digest128(ByteView bytes) {
    auto h = XXH3_128bits(bytes.data(), bytes.size());
    return {h.low64, h.high64};
}

std::string Digest256::to_string() const { return to_hex(bytes); }

Digest256 digest256(ByteView data) {
    Digest256 digest;
    crypto_generichash(reinterpret_cast<unsigned char*>(digest.bytes.data()), digest.bytes.size(),
                       reinterpret_cast<const unsigned char*>(data.data()), data.size(), nullptr,
                       0);
    return digest;
}

}  // namespace gossamer
