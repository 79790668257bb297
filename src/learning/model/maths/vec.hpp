// Vectors of W floats in the compiler's own extension; the build tells each instruction set its
// width (GOSSAMER_VECTOR_FLOATS) and how many rows its registers hold (GOSSAMER_TILE_ROWS), because
// a tile that fits 32 registers spills, and is 30 times slower, on 16.
#pragma once

#include "learning/model/maths/maths.hpp"

#include <cstring>
#ifdef __AVX512VL__
#include <immintrin.h>
#endif

namespace gossamer::model::maths {

inline constexpr Index kWidth = GOSSAMER_VECTOR_FLOATS;
inline constexpr Index kTileRows = GOSSAMER_TILE_ROWS;

template <int W>
struct VecOf;
template <>
struct VecOf<4> {
    typedef float type __attribute__((vector_size(16)));
    typedef float loose __attribute__((vector_size(16), aligned(4), may_alias));
};
template <>
struct VecOf<8> {
    typedef float type __attribute__((vector_size(32)));
    typedef float loose __attribute__((vector_size(32), aligned(4), may_alias));
};
template <>
struct VecOf<16> {
    typedef float type __attribute__((vector_size(64)));
    typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));
};
template <int W>
using Vec = typename VecOf<W>::type;

template <int W>
inline Vec<W> load(const float* p) {
    return *reinterpret_cast<const typename VecOf<W>::loose*>(p);
}
template <int W>
inline void store(float* p, Vec<W> v) {
    *reinterpret_cast<typename VecOf<W>::loose*>(p) = v;
}
template <int W>
inline Vec<W> splat(float x) {
    return x - Vec<W>{};
}
template <int W>
inline Vec<W> positive(Vec<W> v) {
    return v > Vec<W>{} ? v : Vec<W>{};
}
// The first `count` lanes, zeros in the others; nothing beyond them is touched.
template <int W>
inline Vec<W> load_part(const float* p, Index count) {
#ifdef __AVX512VL__
    if constexpr (W == 16)
        return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), p);
    if constexpr (W == 8) return _mm256_maskz_loadu_ps(static_cast<__mmask8>((1u << count) - 1), p);
#endif
    float f[W] = {};
    for (int i = 0; i < W; ++i)
        if (i < count) f[i] = p[i];
    return load<W>(f);
}
template <int W>
inline void store_part(float* p, Vec<W> v, Index count) {
#ifdef __AVX512VL__
    if constexpr (W == 16)
        return _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << count) - 1), v);
    if constexpr (W == 8)
        return _mm256_mask_storeu_ps(p, static_cast<__mmask8>((1u << count) - 1), v);
#endif
    float f[W];
    store<W>(f, v);
    for (int i = 0; i < W; ++i)
        if (i < count) p[i] = f[i];
}
// 0 in the first `from` lanes, 1 in the others.
template <int W>
inline Vec<W> lanes_from(Index from) {
    float f[W];
    for (int i = 0; i < W; ++i) f[i] = i >= from ? 1.0f : 0.0f;
    return load<W>(f);
}

// `p`, which the compiler cannot take for what it knows already: else it holds the addresses of all
// rows of a tile in registers, and the tile's sums no longer fit.
template <class T>
inline T* anew(T* p) {
    asm("" : "+r"(p));
    return p;
}

// Cuts n columns into vectors of W (REQUIRES n >= W). The last one may start before the end of the
// one before it; `fresh` says from which lane its columns are new.
template <int W>
struct Columns {
    Index n;
    Index count() const { return (n + W - 1) / W; }
    Index start(Index i) const { return i * W + W <= n ? i * W : n - W; }
    Index fresh(Index i) const { return i * W - start(i); }
};

// Calls f.template operator()<W>() with the widest vector that fits n columns; n < 4: W = 1.
template <class F>
inline void with_width(Index n, F&& f) {
    if constexpr (kWidth >= 16)
        if (n >= 16) return f.template operator()<16>();
    if constexpr (kWidth >= 8)
        if (n >= 8) return f.template operator()<8>();
    if (n >= 4) return f.template operator()<4>();
    f.template operator()<1>();
}

// Size of part i when `total` is cut into the fewest parts of at most `most`, as even as can be.
struct EvenParts {
    Index total, most;
    Index count() const { return (total + most - 1) / most; }
    Index start(Index i) const { return i * total / count(); }
};

}  // namespace gossamer::model::maths
