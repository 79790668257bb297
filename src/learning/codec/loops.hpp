// The loops of lossy codecs; those of quantisers are over blocks of at most kBlock values. The
// card's kernels (learning/cuda/encode.hpp) do the same arithmetic in the same order: the bytes are
// equal.
#pragma once

#include <cstddef>
#include <cstdint>

#include "gossamer/base/prefetch.hpp"

namespace gossamer::codec {

// Asks the memory for the block that comes next, while this one is worked on.
inline void ask_for(const float* block) { prefetch(block, 1024 * sizeof(float)); }

// Magnitudes as bits: those of NaN and infinity are above all others.
std::int32_t largest_in_block(const float* x, std::size_t count);
// out = x + residual (null: x); the largest of that.
std::int32_t sum_block(float* out, const float* x, const float* residual, std::size_t count);
// Σ |x| in double.
double magnitude_of_block(const float* x, std::size_t count);

// The key of block number `block`, from that of the update.
std::uint64_t block_key(std::uint64_t key, std::uint64_t block);
// x · factor to a whole number beside it, the upper with the chance that makes the mean exact.
void round_by_chance(std::int8_t* out, const float* x, std::size_t count, float factor,
                     std::uint64_t key);
void scale_bytes(float* out, const std::int8_t* in, std::size_t count, float scale);

// (count + 7) / 8 bytes; bit 1: the sign bit is not set.
void pack_signs(std::uint8_t* out, const float* x, std::size_t count);
void unpack_signs(float* out, const std::uint8_t* in, std::size_t count, float scale);
// out = x - (scale with the sign of x)
void beyond_signs(float* out, const float* x, std::size_t count, float scale);

// out = x + residual
void add_residual(float* out, const float* x, const float* residual, std::size_t count);
// Room for places in a vector, and the values there.
struct Gathered {
    std::uint32_t* places;
    float* values;
    std::size_t room;
};
// All values of magnitude >= least (as bits), in their order, the first of which has the place
// `first`. Returns how many there are, or some number above `room` when they do not fit.
std::size_t gather_above(const Gathered& to, const float* x, std::size_t count, std::size_t first,
                         std::int32_t least);

}  // namespace gossamer::codec
