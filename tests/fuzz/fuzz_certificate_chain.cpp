// Any bytes as a presented chain: PEM, or the leaf's length (u16, little-endian) and two DER
// certificates. Nothing is accepted whose name is not the hash of its key.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "connection/security/authority.hpp"
#include "connection/security/verify.hpp"

using namespace gossamer;
using namespace gossamer::security;

namespace {

constexpr WallTime kNow{1'800'000'000'000'000'000};

const TrustBundle& trust() {
    static const Federation one =
        create_federation({.name = "fuzz", .now = kNow}, std::array<std::byte, 32>{}).value();
    return one.trust;
}

std::vector<Certificate> read_chain(ByteView input) {
    if (!input.empty() && input.front() == std::byte{'-'})
        return Certificate::from_pem(input, 4).value_or(std::vector<Certificate>{});
    ByteReader reader(input);
    const auto leaf_size = reader.get<std::uint16_t>();
    const auto leaf = Certificate::from_der(reader.get_bytes(leaf_size));
    const auto issuing = Certificate::from_der(reader.get_bytes(reader.left()));
    std::vector<Certificate> chain;
    if (leaf) chain.push_back(*leaf);
    if (issuing) chain.push_back(*issuing);
    return chain;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const ByteView input{reinterpret_cast<const std::byte*>(data), size};
    const auto chain = read_chain(input);
    for (const auto& certificate : chain) {
        (void)certificate.describe();
        if (!Certificate::from_der(certificate.to_der())) std::abort();
    }
    const auto bundle = TrustBundle::from_pem(input);
    if (bundle && !TrustBundle::from_pem(as_bytes(bundle->to_pem()))) std::abort();
    const auto peer = verify_chain(chain, trust(), {.now = kNow});
    if (peer && peer->id != peer_id_of(peer->key)) std::abort();
    return 0;
}
