#include "learning/codec/loops.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "gossamer/codec/codec.hpp"
#include "learning/tensor/kernel_clones.hpp"

#if defined(GOSSAMER_CLONES)
#include <immintrin.h>
#define GOSSAMER_SET_DEFAULT __attribute__((target("default")))
#else
#define GOSSAMER_SET_DEFAULT
#endif

namespace gossamer::codec {
namespace {

inline std::int32_t magnitude_bits(float x) { return std::bit_cast<std::int32_t>(x) & 0x7fffffff; }

GOSSAMER_KERNEL std::int32_t largest_of(const float* x, std::size_t count) {
    std::int32_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, magnitude_bits(x[i]));
    return largest;
}

GOSSAMER_KERNEL std::int32_t largest_sum(float* __restrict out, const float* __restrict x,
                                         const float* __restrict residual, std::size_t count) {
    std::int32_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const float sum = x[i] + residual[i];
        largest = std::max(largest, magnitude_bits(sum));
        out[i] = sum;
    }
    return largest;
}

// A thread of the card adds four neighbours of each 128 values, joins its four sums, and then its
// sum with the other threads'.
constexpr std::size_t kColumns = 128, kLanes = kColumns / 4;

GOSSAMER_KERNEL double sum_of_magnitudes(const float* __restrict x, std::size_t count) {
    double column[kColumns] = {};
    std::size_t at = 0;
    for (; at + kColumns <= count; at += kColumns)
        for (std::size_t c = 0; c < kColumns; ++c)
            column[c] += static_cast<double>(std::bit_cast<float>(magnitude_bits(x[at + c])));
    for (std::size_t c = 0; at + c < count; ++c)
        column[c] += static_cast<double>(std::bit_cast<float>(magnitude_bits(x[at + c])));
    double lane[kLanes];
    for (std::size_t l = 0; l < kLanes; ++l) {
        const double* four = column + 4 * l;
        lane[l] = (four[0] + four[2]) + (four[1] + four[3]);
    }
    for (auto width = kLanes / 2; width > 0; width /= 2)
        for (std::size_t l = 0; l < width; ++l) lane[l] += lane[l + width];
    return lane[0];
}

// The values at `place` and half a block further share a draw, sixteen bits each: drawing is most
// of the work.
constexpr std::size_t kHalf = kBlock / 2;

inline std::uint32_t draw_of(std::uint32_t place, std::uint32_t low, std::uint32_t high) {
    std::uint32_t h = place * 0x9e3779b9u + low;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = ((h ^ (h >> 13)) + high) * 0xc2b2ae35u;
    return h ^ (h >> 16);
}

// x · factor, to the whole number below its sum with a chance in [0, 1). A quarter of the chance's
// last place keeps zero, and the largest of a block, as they are, whichever way sums are rounded.
inline std::int8_t round_one(float x, float factor, std::uint32_t drawn) {
    constexpr float kPositive = 128.0f;  // then cutting off is rounding down
    const float chance = static_cast<float>(static_cast<std::int32_t>(drawn)) * 0x1p-16f + 0x1p-18f;
    const auto below = static_cast<std::int32_t>((x * factor + chance) + kPositive) - 128;
    return static_cast<std::int8_t>(std::clamp(below, -127, 127));
}

GOSSAMER_KERNEL void round_whole(std::int8_t* __restrict out, const float* __restrict x,
                                 float factor, std::uint32_t low, std::uint32_t high) {
    for (std::size_t i = 0; i < kHalf; ++i) {
        const auto drawn = draw_of(static_cast<std::uint32_t>(i), low, high);
        out[i] = round_one(x[i], factor, drawn & 0xffffu);
        out[i + kHalf] = round_one(x[i + kHalf], factor, drawn >> 16);
    }
}

void round_part(std::int8_t* out, const float* x, std::size_t count, float factor,
                std::uint32_t low, std::uint32_t high) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto drawn = draw_of(static_cast<std::uint32_t>(i % kHalf), low, high);
        out[i] = round_one(x[i], factor, i < kHalf ? drawn & 0xffffu : drawn >> 16);
    }
}

GOSSAMER_KERNEL void scale_all(float* __restrict out, const std::int8_t* __restrict in,
                               std::size_t count, float scale) {
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(in[i]) * scale;
}

constexpr std::size_t kWord = 32;

GOSSAMER_KERNEL void unpack_all(float* __restrict out, const std::uint32_t* __restrict in,
                                std::size_t words, std::uint32_t scale) {
    for (std::size_t w = 0; w < words; ++w)
        for (std::uint32_t i = 0; i < kWord; ++i)
            out[w * kWord + i] = std::bit_cast<float>(scale ^ (~(in[w] >> i) << 31));
}

GOSSAMER_KERNEL void beyond_all(float* __restrict out, const float* __restrict x, std::size_t count,
                                std::uint32_t scale) {
    for (std::size_t i = 0; i < count; ++i) {
        const auto sign = std::bit_cast<std::uint32_t>(x[i]) & 0x80000000u;
        out[i] = x[i] - std::bit_cast<float>(scale | sign);
    }
}

GOSSAMER_KERNEL void add_all(float* __restrict out, const float* __restrict x,
                             const float* __restrict residual, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out[i] = x[i] + residual[i];
}

// Bits and places out of vectors: what the compiler makes of loops is several times as slow as the
// instructions that are there for it.
constexpr std::size_t kPart = 16;

std::size_t gather_some(std::uint32_t* places, float* values, const float* x, std::size_t count,
                        std::size_t first, std::int32_t least) {
    std::size_t found = 0;
    for (std::size_t i = 0; i < count; ++i) {
        places[found] = static_cast<std::uint32_t>(first + i), values[found] = x[i];
        found += magnitude_bits(x[i]) >= least;
    }
    return found;
}

// Whole parts of x, as long as another one has room; returns how many values were looked at.
GOSSAMER_SET_DEFAULT std::size_t gather_parts(const Gathered& to, std::size_t& found,
                                              const float* x, std::size_t count, std::size_t first,
                                              std::int32_t least) {
    std::size_t at = 0;
    for (; at + kPart <= count && found + kPart <= to.room; at += kPart) {
        std::int32_t largest = 0;
        for (std::size_t i = 0; i < kPart; ++i)
            largest = std::max(largest, magnitude_bits(x[at + i]));
        if (largest >= least)
            found +=
                gather_some(to.places + found, to.values + found, x + at, kPart, first + at, least);
    }
    return at;
}

GOSSAMER_SET_DEFAULT void pack_words(std::uint32_t* out, const float* x, std::size_t words) {
    for (std::size_t w = 0; w < words; ++w) {
        std::uint32_t word = 0;
        for (std::uint32_t i = 0; i < kWord; ++i)
            word |= (~std::bit_cast<std::uint32_t>(x[w * kWord + i]) >> 31) << i;
        out[w] = word;
    }
}

#if defined(GOSSAMER_CLONES)
__attribute__((target("arch=x86-64-v4"))) std::size_t gather_parts(
    const Gathered& to, std::size_t& found, const float* x, std::size_t count, std::size_t first,
    std::int32_t least) {
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff), limit = _mm512_set1_epi32(least);
    const __m512i step = _mm512_set1_epi32(kPart);
    __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    places = _mm512_add_epi32(places, _mm512_set1_epi32(static_cast<int>(first)));
    std::size_t at = 0, here = found;
    for (; at + kPart <= count && here + kPart <= to.room; at += kPart) {
        const __m512i value = _mm512_loadu_si512(x + at);
        const __mmask16 above = _mm512_cmpge_epi32_mask(_mm512_and_si512(value, magnitude), limit);
        if (above != 0) {
            // Into a register and from there whole: straight to memory takes ten times as long.
            _mm512_storeu_si512(to.places + here, _mm512_maskz_compress_epi32(above, places));
            _mm512_storeu_si512(to.values + here, _mm512_maskz_compress_epi32(above, value));
            here += static_cast<std::size_t>(__builtin_popcount(above));
        }
        places = _mm512_add_epi32(places, step);
    }
    found = here;
    return at;
}

__attribute__((target("arch=x86-64-v4"))) void pack_words(std::uint32_t* out, const float* x,
                                                          std::size_t words) {
    for (std::size_t w = 0; w < words; ++w) {
        const auto low = _mm512_movepi32_mask(_mm512_loadu_si512(x + w * kWord));
        const auto high = _mm512_movepi32_mask(_mm512_loadu_si512(x + w * kWord + kPart));
        out[w] = ~(std::uint32_t{low} | std::uint32_t{high} << kPart);
    }
}

__attribute__((target("arch=x86-64-v3"))) void pack_words(std::uint32_t* out, const float* x,
                                                          std::size_t words) {
    for (std::size_t w = 0; w < words; ++w) {
        std::uint32_t negative = 0;
        for (std::size_t i = 0; i < kWord; i += 8)
            negative |=
                static_cast<std::uint32_t>(_mm256_movemask_ps(_mm256_loadu_ps(x + w * kWord + i)))
                << i;
        out[w] = ~negative;
    }
}
#endif

}  // namespace

void add_residual(float* out, const float* x, const float* residual, std::size_t count) {
    add_all(out, x, residual, count);
}

std::size_t gather_above(const Gathered& to, const float* x, std::size_t count, std::size_t first,
                         std::int32_t least) {
    std::size_t found = 0;
    const auto at = gather_parts(to, found, x, count, first, least);
    if (count - at > to.room - found) return to.room + 1;
    return found +
           gather_some(to.places + found, to.values + found, x + at, count - at, first + at, least);
}

std::int32_t largest_in_block(const float* x, std::size_t count) { return largest_of(x, count); }

std::int32_t sum_block(float* out, const float* x, const float* residual, std::size_t count) {
    if (residual) return largest_sum(out, x, residual, count);
    std::memcpy(out, x, count * sizeof(float));
    return largest_of(out, count);
}

double magnitude_of_block(const float* x, std::size_t count) { return sum_of_magnitudes(x, count); }

std::uint64_t block_key(std::uint64_t key, std::uint64_t block) {  // SplitMix64's finaliser
    std::uint64_t x = key + (block + 1) * 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

void round_by_chance(std::int8_t* out, const float* x, std::size_t count, float factor,
                     std::uint64_t key) {
    const auto low = static_cast<std::uint32_t>(key), high = static_cast<std::uint32_t>(key >> 32);
    if (count == kBlock)
        round_whole(out, x, factor, low, high);
    else
        round_part(out, x, count, factor, low, high);
}

void scale_bytes(float* out, const std::int8_t* in, std::size_t count, float scale) {
    scale_all(out, in, count, scale);
}

void pack_signs(std::uint8_t* out, const float* x, std::size_t count) {
    std::uint32_t word[kWord];  // of a block
    const auto words = count / kWord, rest = count % kWord;
    pack_words(word, x, words);
    std::memcpy(out, word, words * sizeof(std::uint32_t));
    if (rest == 0) return;
    std::uint32_t last = 0;
    for (std::size_t i = 0; i < rest; ++i)
        last |= (~std::bit_cast<std::uint32_t>(x[words * kWord + i]) >> 31) << i;
    std::memcpy(out + words * sizeof last, &last, (rest + 7) / 8);
}

void unpack_signs(float* out, const std::uint8_t* in, std::size_t count, float scale) {
    std::uint32_t word[kWord] = {};
    const auto words = count / kWord, rest = count % kWord;
    std::memcpy(word, in, (count + 7) / 8);
    const auto bits = std::bit_cast<std::uint32_t>(scale);
    unpack_all(out, word, words, bits);
    if (rest == 0) return;
    float last[kWord];
    unpack_all(last, word + words, 1, bits);
    std::memcpy(out + words * kWord, last, rest * sizeof(float));
}

void beyond_signs(float* out, const float* x, std::size_t count, float scale) {
    beyond_all(out, x, count, std::bit_cast<std::uint32_t>(scale));
}

}  // namespace gossamer::codec
