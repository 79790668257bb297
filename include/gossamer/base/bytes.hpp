// Bytes as they travel and lie on disk: little-endian, bounds-checked, never trusted.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

static_assert(std::endian::native == std::endian::little, "big-endian machines are not supported");

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;

inline ByteView as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string to_hex(ByteView bytes);
std::optional<Bytes> from_hex(std::string_view text);  // even length, either case

// A 128-bit digest: XXH3-128 of a layout or a transfer. Detects accidents, not attackers.
struct Digest128 {
    std::uint64_t low = 0, high = 0;
    auto operator<=>(const Digest128&) const = default;
    std::string to_string() const;  // 32 hex digits
};
Digest128 digest128(ByteView bytes);

// A 256-bit identity: BLAKE2b-256. Of models see tensor/identity.hpp.
struct Digest256 {
    std::array<std::byte, 32> bytes{};
    auto operator<=>(const Digest256&) const = default;
    std::string to_string() const;  // 64 hex digits
};
Digest256 digest256(ByteView bytes);

// As much of a text as `most` bytes hold, never half of a UTF-8 sequence.
constexpr std::string_view cut_text(std::string_view text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return text.substr(0, most);
}

// Appends plain values to a byte string.
class ByteWriter {
public:
    template <class T>
        requires std::is_trivially_copyable_v<T>
    void put(const T& value) {
        const auto* p = reinterpret_cast<const std::byte*>(&value);
        out_.insert(out_.end(), p, p + sizeof value);
    }
    void put_bytes(ByteView b) { out_.insert(out_.end(), b.begin(), b.end()); }
    // u32 length, then the bytes.
    void put_text(std::string_view s) {
        put(static_cast<std::uint32_t>(s.size()));
        put_bytes(as_bytes(s));
    }
    void put_blob(ByteView b) {
        put(static_cast<std::uint32_t>(b.size()));
        put_bytes(b);
    }
    Bytes take() { return std::move(out_); }
    ByteView view() const { return out_; }

private:
    Bytes out_;
};

// Reads them back; after the first read past the end every read gives zero and ok() is false.
class ByteReader {
public:
    explicit ByteReader(ByteView in) : in_(in) {}

    template <class T>
        requires std::is_trivially_copyable_v<T>
    T get() {
        T value{};
        if (in_.size() < sizeof value) return give_up(), value;
        std::memcpy(&value, in_.data(), sizeof value);
        in_ = in_.subspan(sizeof value);
        return value;
    }
    ByteView get_bytes(std::size_t count) {
        if (in_.size() < count) return give_up(), ByteView{};
        auto part = in_.first(count);
        in_ = in_.subspan(count);
        return part;
    }
    ByteView get_blob(std::size_t max) {
        auto n = get<std::uint32_t>();
        if (n > max) return give_up(), ByteView{};
        return get_bytes(n);
    }
    std::string get_text(std::size_t max) { return std::string(as_text(get_blob(max))); }
    bool ok() const { return ok_; }
    bool at_end() const { return ok_ && in_.empty(); }  // all read, nothing trailing
    std::size_t left() const { return in_.size(); }

private:
    void give_up() { ok_ = false, in_ = {}; }
    ByteView in_;
    bool ok_ = true;
};

}  // namespace gossamer
