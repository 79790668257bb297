#include "gossamer/tensor/identity.hpp"

#include <sodium.h>

#include <algorithm>
#include <vector>

#include "learning/tensor/blake2b_lanes.hpp"

namespace gossamer::tensor {
namespace {

// The personalisation keeps a leaf from being taken for a root and the other way round.
constexpr char kLeafPurpose[] = "gossamer.leaf.v1", kRootPurpose[] = "gossamer.root.v1";

Digest256 hash(ByteView data, const char (&purpose)[17]) {
    static_assert(sizeof purpose - 1 == crypto_generichash_blake2b_PERSONALBYTES);
    Digest256 digest;
    crypto_generichash_blake2b_salt_personal(
        reinterpret_cast<unsigned char*>(digest.bytes.data()), digest.bytes.size(),
        reinterpret_cast<const unsigned char*>(data.data()), data.size(), nullptr, 0, nullptr,
        reinterpret_cast<const unsigned char*>(purpose));
    return digest;
}

// `lanes` leaves at a time. Gives how many were hashed: too few are left for a group to pay.
std::size_t hash_whole_leaves(std::span<Digest256> out, ByteView parameters, std::size_t lanes) {
    const auto leaf_bytes = identity_leaf_bytes(parameters.size());
    const auto whole = parameters.size() / leaf_bytes;
    std::vector<const std::byte*> inputs(lanes);
    std::vector<Digest256> digests(lanes);
    std::size_t done = 0;
    while (2 * (whole - done) >= lanes) {
        for (std::size_t k = 0; k < lanes; ++k)  // a group that is not full has its last leaf twice
            inputs[k] = parameters.data() + std::min(done + k, whole - 1) * leaf_bytes;
        blake2b_256_lanes(digests, inputs, leaf_bytes, kLeafPurpose);
        const auto fresh = std::min(lanes, whole - done);
        std::ranges::copy(std::span(digests).first(fresh), out.begin() + static_cast<long>(done));
        done += fresh;
        if (done == whole) break;
    }
    return done;
}

}  // namespace

Digest256 identity_leaf(ByteView leaf) { return hash(leaf, kLeafPurpose); }

Digest256 identity_root(std::span<const Digest256> leaves, std::uint64_t byte_count,
                        const Digest128& layout) {
    ByteWriter text;
    text.put(byte_count);
    text.put(layout);
    for (const auto& leaf : leaves) text.put(leaf.bytes);
    return hash(text.view(), kRootPurpose);
}

Digest256 model_identity(ByteView parameters, const Layout& layout) {
    const auto leaf_bytes = identity_leaf_bytes(parameters.size());
    std::vector<Digest256> leaves((parameters.size() + leaf_bytes - 1) / leaf_bytes);
    std::size_t done = 0;
    if (const auto counts = blake2b_lane_counts(); !counts.empty())
        done = hash_whole_leaves(leaves, parameters, counts.front());
    for (; done < leaves.size(); ++done) {
        const auto at = done * leaf_bytes;
        leaves[done] =
            identity_leaf(parameters.subspan(at, std::min(leaf_bytes, parameters.size() - at)));
    }
    return identity_root(leaves, parameters.size(), layout.digest());
}

}  // namespace gossamer::tensor
