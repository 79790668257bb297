// The codecs that come with the program.
#pragma once

#include "gossamer/codec/codec.hpp"

namespace gossamer::codec {

// Ids on the wire; never renumbered. 4 to 15 are kept for quantisers, 16 to 31 for sparse codecs.
inline constexpr std::uint8_t kFloat32Id = 1, kHalfId = 2, kBfloat16Id = 3;
inline constexpr std::uint8_t kInt8Id = 4, kSignId = 5;
inline constexpr std::uint8_t kTop1Id = 16, kTop10Id = 17;
inline constexpr std::uint8_t kFirstUserId = 128;

// plain_codecs.cpp: float32 as it is, and its two sixteen-bit roundings.
CodecRef float32_codec();
CodecRef half_codec();
CodecRef bfloat16_codec();

// quantisers.cpp. Blocks of 1,024: a float32 scale, then a signed byte, or a bit, for each value;
// bits lie lowest first and are 1 where the sign bit is not set.
CodecRef int8_codec();
CodecRef sign_codec();
// The draws of int8's rounding in one update: both sides of the bus name them by this.
std::uint64_t rounding_key(const EncodeState& state);

// top_codec.cpp. A count as u32, so many places as u32, ascending, so many values.
CodecRef top1_codec();
CodecRef top10_codec();
// How many of `count` values the codec keeps.
std::uint32_t top_count(std::uint8_t wire_id, std::size_t count);

// What every codec of one size per value asks of an encoding. Errors: kUpdateSize.
Status check_size(ByteView encoded, std::size_t count, const Codec& codec);
tl::unexpected<Error> not_finite(float value, std::size_t at);

}  // namespace gossamer::codec
