// The codecs that need no base: float32 as it is, and its two sixteen-bit roundings.
#pragma once

#include "gossamer/codec/codec.hpp"

namespace gossamer::codec {

// Ids on the wire; never renumbered. 4 to 15 are kept for quantisers, 16 to 31 for sparse codecs.
inline constexpr std::uint8_t kFloat32Id = 1, kHalfId = 2, kBfloat16Id = 3;
inline constexpr std::uint8_t kFirstUserId = 128;

CodecRef float32_codec();
CodecRef half_codec();
CodecRef bfloat16_codec();

}  // namespace gossamer::codec
