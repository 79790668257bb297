// Who a peer is: BLAKE2b-256 of its Ed25519 public key. Everything that needs one order for all
// peers (rosters, sums, tie-breaks) uses the order of these bytes.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace gossamer {

struct PeerId {
    std::array<std::byte, 32> bytes{};

    bool operator==(const PeerId&) const = default;
    // As memcmp, but inline: maps by PeerId are on every path.
    std::strong_ordering operator<=>(const PeerId& other) const {
        for (std::size_t at = 0; at < bytes.size(); at += 8) {
            const auto mine = word(at), theirs = other.word(at);
            if (mine != theirs) return mine <=> theirs;
        }
        return std::strong_ordering::equal;
    }
    bool is_zero() const { return *this == PeerId{}; }
    // The first eight bytes, in the order of ids: nearly always enough to tell two apart.
    std::uint64_t prefix() const { return word(0); }
    std::string to_string() const;     // 64 hex digits
    std::string short_string() const;  // the first 8 hex digits, for people; of a number its last
    static std::optional<PeerId> parse(std::string_view text);  // 64 hex digits
    // Ids for tests and simulated worlds: distinct, and in the order of n.
    static PeerId of_number(std::uint64_t n);
    std::optional<std::uint64_t> number() const;  // that this is of

private:
    std::uint64_t word(std::size_t at) const {  // big-endian
        std::uint64_t w = 0;
        std::memcpy(&w, bytes.data() + at, sizeof w);
        return std::endian::native == std::endian::little ? __builtin_bswap64(w) : w;
    }
};

// What a certificate allows its holder to be. One role each.
enum class Role : std::uint8_t { peer = 0, aggregator = 1, operator_ = 2 };
std::string_view to_string(Role role);
std::optional<Role> parse_role(std::string_view text);

}  // namespace gossamer
