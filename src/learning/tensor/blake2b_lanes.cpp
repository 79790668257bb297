#include "learning/tensor/blake2b_lanes.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "gossamer/base/assert.hpp"

namespace gossamer::tensor {
namespace {

// A word of each of N inputs.
template <std::size_t N>
struct Word {
    typedef std::uint64_t Lanes __attribute__((vector_size(8 * N)));
};
template <std::size_t N>
using Lanes = typename Word<N>::Lanes;

constexpr std::uint64_t kStart[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                     0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                     0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
constexpr std::uint8_t kOrder[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                         {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                         {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                         {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                         {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                         {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                         {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                         {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                         {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                         {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

#define GOSSAMER_INLINE __attribute__((always_inline)) inline

template <int Bits, class L>
GOSSAMER_INLINE void turn_right(L& x) {
    x = (x >> Bits) | (x << (64 - Bits));
}

template <class L>
GOSSAMER_INLINE void mix(L& a, L& b, L& c, L& d, const L& x, const L& y) {
    a += b + x, d ^= a, turn_right<32>(d);
    c += d, b ^= c, turn_right<24>(b);
    a += b + y, d ^= a, turn_right<16>(d);
    c += d, b ^= c, turn_right<63>(b);
}

// N words of each of N inputs become a vector for each word.
GOSSAMER_INLINE void load_words(Lanes<4>* m, const std::byte* const* in, std::size_t at) {
    Lanes<4> r[4], s[4];
    for (std::size_t k = 0; k < 4; ++k) std::memcpy(&r[k], in[k] + at, sizeof r[k]);
    for (std::size_t k = 0; k < 4; k += 2) {
        s[k] = __builtin_shufflevector(r[k], r[k + 1], 0, 4, 2, 6);
        s[k + 1] = __builtin_shufflevector(r[k], r[k + 1], 1, 5, 3, 7);
    }
    for (std::size_t k = 0; k < 2; ++k) {
        m[k] = __builtin_shufflevector(s[k], s[k + 2], 0, 1, 4, 5);
        m[k + 2] = __builtin_shufflevector(s[k], s[k + 2], 2, 3, 6, 7);
    }
}
GOSSAMER_INLINE void load_words(Lanes<8>* m, const std::byte* const* in, std::size_t at) {
    Lanes<8> r[8], s[8];
    for (std::size_t k = 0; k < 8; ++k) std::memcpy(&r[k], in[k] + at, sizeof r[k]);
    for (std::size_t k = 0; k < 8; k += 2) {
        s[k] = __builtin_shufflevector(r[k], r[k + 1], 0, 8, 2, 10, 4, 12, 6, 14);
        s[k + 1] = __builtin_shufflevector(r[k], r[k + 1], 1, 9, 3, 11, 5, 13, 7, 15);
    }
    for (std::size_t k : {0, 1, 4, 5}) {
        r[k] = __builtin_shufflevector(s[k], s[k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        r[k + 2] = __builtin_shufflevector(s[k], s[k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
    }
    for (std::size_t k = 0; k < 4; ++k) {
        m[k] = __builtin_shufflevector(r[k], r[k + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        m[k + 4] = __builtin_shufflevector(r[k], r[k + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

template <class L>
GOSSAMER_INLINE void round_of(L* v, const L* m, const std::uint8_t* o) {
    mix(v[0], v[4], v[8], v[12], m[o[0]], m[o[1]]);
    mix(v[1], v[5], v[9], v[13], m[o[2]], m[o[3]]);
    mix(v[2], v[6], v[10], v[14], m[o[4]], m[o[5]]);
    mix(v[3], v[7], v[11], v[15], m[o[6]], m[o[7]]);
    mix(v[0], v[5], v[10], v[15], m[o[8]], m[o[9]]);
    mix(v[1], v[6], v[11], v[12], m[o[10]], m[o[11]]);
    mix(v[2], v[7], v[8], v[13], m[o[12]], m[o[13]]);
    mix(v[3], v[4], v[9], v[14], m[o[14]], m[o[15]]);
}

template <std::size_t N>
GOSSAMER_INLINE void hash(Digest256* out, const std::byte* const* in, std::size_t byte_count,
                          const std::uint64_t* personal) {
    constexpr std::size_t kAhead = 1024;  // so many streams at once are too many to be foreseen
    Lanes<N> h[8], m[16], v[16] = {};
    for (std::size_t i = 0; i < 8; ++i) h[i] = Lanes<N>{} + kStart[i];
    h[0] ^= 0x01010000 ^ sizeof(Digest256);  // no tree, no key, so many bytes out
    h[6] ^= personal[0], h[7] ^= personal[1];
    for (std::size_t at = 0; at < byte_count; at += kBlakeBlockBytes) {
        if (at + kAhead < byte_count)
            for (std::size_t k = 0; k < N; ++k) {
                __builtin_prefetch(in[k] + at + kAhead);
                __builtin_prefetch(in[k] + at + kAhead + 64);
            }
        for (std::size_t w = 0; w < 16; w += N) load_words(m + w, in, at + 8 * w);
        const auto hashed = at + kBlakeBlockBytes;
        const std::uint64_t last = hashed == byte_count ? ~std::uint64_t{0} : 0;
        const std::uint64_t start[8] = {kStart[0],          kStart[1], kStart[2],        kStart[3],
                                        kStart[4] ^ hashed, kStart[5], kStart[6] ^ last, kStart[7]};
        for (std::size_t i = 0; i < 8; ++i) v[i] = h[i];
        for (std::size_t i = 0; i < 8; ++i) v[i + 8] = Lanes<N>{} + start[i];
#pragma GCC unroll 12
        for (std::size_t i = 0; i < 12; ++i) round_of(v, m, kOrder[i % 10]);
        for (std::size_t i = 0; i < 8; ++i) h[i] ^= v[i] ^ v[i + 8];
    }
    for (std::size_t k = 0; k < N; ++k)
        for (std::size_t i = 0; i < 4; ++i) {
            const std::uint64_t word = h[i][k];
            std::memcpy(out[k].bytes.data() + 8 * i, &word, sizeof word);
        }
}

#ifdef __x86_64__
__attribute__((target("avx512f"))) void hash_8(Digest256* out, const std::byte* const* in,
                                               std::size_t byte_count,
                                               const std::uint64_t* personal) {
    hash<8>(out, in, byte_count, personal);
}
__attribute__((target("avx2"))) void hash_4(Digest256* out, const std::byte* const* in,
                                            std::size_t byte_count, const std::uint64_t* personal) {
    hash<4>(out, in, byte_count, personal);
}
#endif

}  // namespace

std::span<const std::size_t> blake2b_lane_counts() {
    static constexpr std::size_t kCounts[] = {8, 4};
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) return kCounts;
    if (__builtin_cpu_supports("avx2")) return std::span(kCounts).last(1);
#endif
    return std::span(kCounts).last(0);
}

void blake2b_256_lanes(std::span<Digest256> out, std::span<const std::byte* const> inputs,
                       std::size_t byte_count, const char* personal) {
    const auto counts = blake2b_lane_counts();
    GOSSAMER_ASSERT(
        std::ranges::find(counts, inputs.size()) != counts.end() && out.size() == inputs.size(),
        "as many inputs as a vector has lanes");
    GOSSAMER_ASSERT(byte_count > 0 && byte_count % kBlakeBlockBytes == 0, "whole blocks");
#ifdef __x86_64__
    std::uint64_t words[2];
    std::memcpy(words, personal, sizeof words);
    (out.size() == 8 ? hash_8 : hash_4)(out.data(), inputs.data(), byte_count, words);
#endif
}

}  // namespace gossamer::tensor
