#include "gossamer/tensor/identity.hpp"

#include <sodium.h>

#include <algorithm>

namespace gossamer::tensor {
namespace {

// The personalisation keeps a leaf from being taken for a root and the other way round.
Digest256 hash(ByteView data, const char (&purpose)[17]) {
    static_assert(sizeof purpose - 1 == crypto_generichash_blake2b_PERSONALBYTES);
    Digest256 digest;
    crypto_generichash_blake2b_salt_personal(
        reinterpret_cast<unsigned char*>(digest.bytes.data()), digest.bytes.size(),
        reinterpret_cast<const unsigned char*>(data.data()), data.size(), nullptr, 0, nullptr,
        reinterpret_cast<const unsigned char*>(purpose));
    return digest;
}

}  // namespace

Digest256 identity_leaf(ByteView leaf) { return hash(leaf, "gossamer.leaf.v1"); }

Digest256 identity_root(std::span<const Digest256> leaves, std::uint64_t byte_count,
                        const Digest128& layout) {
    ByteWriter text;
    text.put(byte_count);
    text.put(layout);
    for (const auto& leaf : leaves) text.put(leaf.bytes);
    return hash(text.view(), "gossamer.root.v1");
}

Digest256 model_identity(ByteView parameters, const Layout& layout) {
    std::vector<Digest256> leaves;
    leaves.reserve(parameters.size() / kIdentityLeafBytes + 1);
    for (std::size_t at = 0; at < parameters.size(); at += kIdentityLeafBytes)
        leaves.push_back(identity_leaf(
            parameters.subspan(at, std::min(kIdentityLeafBytes, parameters.size() - at))));
    return identity_root(leaves, parameters.size(), layout.digest());
}

}  // namespace gossamer::tensor
