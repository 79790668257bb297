#include "gossamer/base/peer_id.hpp"

#include <cstring>

#include "gossamer/base/bytes.hpp"

namespace gossamer {

std::string PeerId::to_string() const { return to_hex(bytes); }
std::string PeerId::short_string() const {
    return to_hex(ByteView(bytes).subspan(number() ? 4 : 0, 4));
}

std::optional<PeerId> PeerId::parse(std::string_view text) {
    auto raw = from_hex(text);
    PeerId id;
    if (!raw || raw->size() != id.bytes.size()) return std::nullopt;
    std::memcpy(id.bytes.data(), raw->data(), raw->size());
    return id;
}

PeerId PeerId::of_number(std::uint64_t n) {
    PeerId id;  // big-endian, so that the order of ids is the order of numbers
    for (int i = 0; i < 8; ++i) id.bytes[i] = static_cast<std::byte>(n >> (56 - 8 * i));
    id.bytes[31] = std::byte{1};  // never the zero id
    return id;
}

std::optional<std::uint64_t> PeerId::number() const {
    const auto n = prefix();
    return *this == of_number(n) ? std::optional(n) : std::nullopt;
}

std::string_view to_string(Role role) {
    switch (role) {
        case Role::peer: return "peer";
        case Role::aggregator: return "aggregator";
        case Role::operator_: return "operator";
    }
    return "unknown";
}

std::optional<Role> parse_role(std::string_view text) {
    for (auto role : {Role::peer, Role::aggregator, Role::operator_})
        if (to_string(role) == text) return role;
    return std::nullopt;
}

}  // namespace gossamer
