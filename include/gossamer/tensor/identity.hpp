// The identity of an announced model or a checkpoint: a BLAKE2b-256 tree over 1 MiB leaves, so that
// leaves can be hashed in parallel with sending. The root hashes the leaf digests, the byte count
// and the layout digest. Not for the hot path: a cryptographic hash per replica costs more than
// training (design §7).
#pragma once

#include <span>

#include "gossamer/base/bytes.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::tensor {

inline constexpr std::size_t kIdentityLeafBytes = std::size_t{1} << 20;

Digest256 identity_leaf(ByteView leaf);
Digest256 identity_root(std::span<const Digest256> leaves, std::uint64_t byte_count,
                        const Digest128& layout);
Digest256 model_identity(ByteView parameters, const Layout& layout);

}  // namespace gossamer::tensor
