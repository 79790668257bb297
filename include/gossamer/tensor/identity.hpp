// The identity of an announced model or a checkpoint: a BLAKE2b-256 tree over 1 MiB leaves, so that
// leaves can be hashed in parallel with sending. What is below 8 MiB has smaller leaves, for eight
// at a time are hashed eight times as fast as one. The root hashes the leaf digests, the byte count
// and the layout digest. Not for the hot path: a cryptographic hash per replica costs more than
// training (design §7).
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "gossamer/base/bytes.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::tensor {

// An eighth of it, in whole KiB: 16 KiB at least, 1 MiB at most. Only the last leaf may be shorter.
constexpr std::size_t identity_leaf_bytes(std::size_t byte_count) {
    constexpr std::size_t kKiB = 1024;
    return std::clamp(byte_count / 8 / kKiB * kKiB, 16 * kKiB, 1024 * kKiB);
}

Digest256 identity_leaf(ByteView leaf);
Digest256 identity_root(std::span<const Digest256> leaves, std::uint64_t byte_count,
                        const Digest128& layout);
Digest256 model_identity(ByteView parameters, const Layout& layout);

}  // namespace gossamer::tensor
