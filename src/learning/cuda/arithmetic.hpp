// Arithmetic of single elements, compiled for the card and for the processor, with the same bits on
// both: no libm but sqrt and fma, which are exact; nothing contracted.
#pragma once

#include <cmath>

#include "learning/cuda/platform.hpp"

namespace gossamer::cuda {

// ---- Sixteen-bit floats: the bits of tensor::to_half and its kin (tested) ----

GOSSAMER_BOTH std::uint16_t half_of(float value) {
    const auto bits = bits_of<std::uint32_t>(value);
    const std::uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    std::uint32_t result;
    if (magnitude >= 0x47800000u)  // 2^16 and more, infinity, NaN
        result = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
    else if (magnitude < 0x38800000u)  // below 2^-14: multiples of 2^-24
        result = bits_of<std::uint32_t>(bits_of<float>(magnitude) + 0.5f) - 0x3f000000u;
    else
        result = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    return static_cast<std::uint16_t>(result | sign);
}

GOSSAMER_BOTH float float_of_half(std::uint16_t half) {
    const std::uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7fffu;
    std::uint32_t result;
    if (magnitude >= 0x7c00u)
        result = (magnitude << 13) | 0x7f800000u;
    else if (magnitude < 0x0400u)
        result = bits_of<std::uint32_t>(bits_of<float>(magnitude | 0x3f000000u) - 0.5f);
    else
        result = (magnitude << 13) + (112u << 23);
    return bits_of<float>(result | sign);
}

GOSSAMER_BOTH std::uint16_t bfloat16_of(float value) {
    const auto bits = bits_of<std::uint32_t>(value);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet = (bits >> 16) | 0x40u;
    return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

GOSSAMER_BOTH float float_of_bfloat16(std::uint16_t b) {
    return bits_of<float>(static_cast<std::uint32_t>(b) << 16);
}

GOSSAMER_BOTH bool finite(float x) {
    return (bits_of<std::uint32_t>(x) & 0x7fffffffu) < 0x7f800000u;
}
GOSSAMER_BOTH bool finite(double x) {
    return (bits_of<std::uint64_t>(x) & 0x7fffffffffffffffull) < 0x7ff0000000000000ull;
}
GOSSAMER_BOTH float size_of(float x) {
    return bits_of<float>(bits_of<std::uint32_t>(x) & 0x7fffffffu);
}

// ---- Codec int8: the bits of learning/codec/loops.cpp (tested) ----

constexpr float kInt8Least = 0x1p-120f, kInt8Most = 0x1p127f;  // of a block's largest magnitude

// What blocks and their elements draw: two elements half a block apart share 32 bits.
GOSSAMER_BOTH std::uint32_t int8_draw(std::uint64_t key, std::uint32_t place) {
    const auto low = static_cast<std::uint32_t>(key), high = static_cast<std::uint32_t>(key >> 32);
    std::uint32_t h = place % 512 * 0x9e3779b9u + low;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = ((h ^ (h >> 13)) + high) * 0xc2b2ae35u;
    h ^= h >> 16;
    return place < 512 ? h & 0xffffu : h >> 16;
}
// One of a block whose largest magnitude is 127 / factor.
GOSSAMER_BOTH int int8_of(float x, float factor, std::uint32_t drawn) {
    const float chance = static_cast<float>(static_cast<int>(drawn)) * 0x1p-16f + 0x1p-18f;
    const float place = (x * factor + chance) + 128.0f;
    // A block with NaN in it is refused, but its bytes are made before that is known.
    const int below = static_cast<int>(place > 0.0f && place < 512.0f ? place : 0.0f) - 128;
    return below < -127 ? -127 : below > 127 ? 127 : below;
}

// ---- Functions: the forms of model/maths (Cephes), fused by name ----

GOSSAMER_BOTH float exp_of(float x) {
    constexpr float kMagic = 12582912.0f;
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;  // NaN stays
    const float shifted = fmaf(x, 1.44269504088896341f, kMagic);
    const float n = shifted - kMagic;
    const float r = fmaf(n, 2.12194440e-4f, fmaf(n, -0.693359375f, x));
    float p = 1.9875691500e-4f;
    p = fmaf(p, r, 1.3981999507e-3f);
    p = fmaf(p, r, 8.3334519073e-3f);
    p = fmaf(p, r, 4.1665795894e-2f);
    p = fmaf(p, r, 1.6666665459e-1f);
    p = fmaf(p, r, 5.0000001201e-1f);
    p = fmaf(p * r, r, r) + 1.0f;
    return p * bits_of<float>((bits_of<std::uint32_t>(shifted) + 127u) << 23);
}

GOSSAMER_BOTH float tanh_of(float x) {
    const float a = size_of(x), z = x * x;
    float p = -5.70498872745e-3f;
    p = fmaf(p, z, 2.06390887954e-2f);
    p = fmaf(p, z, -5.37397155531e-2f);
    p = fmaf(p, z, 1.33314422036e-1f);
    p = fmaf(p, z, -3.33332819422e-1f);
    const float near = fmaf(p * z, x, x);
    const float far = 1.0f - 2.0f / (exp_of(2.0f * (a > 20.0f ? 20.0f : a)) + 1.0f);
    return a < 0.625f ? near : x < 0 ? -far : far;
}

GOSSAMER_BOTH float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

// Natural logarithm of a positive, finite, normal double, about 1 ulp off.
GOSSAMER_BOTH double log_of(double x) {
    const auto bits = bits_of<std::uint64_t>(x);
    int exponent = static_cast<int>((bits >> 52) & 0x7ff) - 1022;
    double m = bits_of<double>((bits & 0xfffffffffffffull) | 0x3fe0000000000000ull);  // [0.5, 1)
    if (m < 0.70710678118654752) m *= 2, --exponent;
    const double f = (m - 1) / (m + 1), f2 = f * f;
    double s = 0;
    for (int k = 19; k >= 1; k -= 2) s = s * f2 + 1.0 / k;
    return 2 * f * s + exponent * 0.69314718055994530942;
}

enum Activation { kNone = 0, kRelu = 1, kTanh = 2, kSigmoid = 3, kGelu = 4, kSilu = 5 };

// 0.5 x (1 + tanh(a (x + b x³))), Hendrycks & Gimpel 2016.
constexpr float kGeluA = 0.7978845608028654f, kGeluB = 0.044715f;
GOSSAMER_BOTH float gelu_of(float x) {
    return 0.5f * x * (1.0f + tanh_of(kGeluA * (x + kGeluB * x * x * x)));
}
GOSSAMER_BOTH float silu_of(float x) { return x * sigmoid_of(x); }

GOSSAMER_BOTH float activate(int activation, float x) {
    switch (activation) {
        case kRelu: return x > 0.0f ? x : x != x ? x : 0.0f;
        case kTanh: return tanh_of(x);
        case kSigmoid: return sigmoid_of(x);
        case kGelu: return gelu_of(x);
        case kSilu: return silu_of(x);
        default: return x;
    }
}
// dy · f'(x), from y = f(x).
GOSSAMER_BOTH float slope(int activation, float dy, float y) {
    switch (activation) {
        case kRelu: return y > 0.0f ? dy : 0.0f;
        case kTanh: return dy * (1.0f - y * y);
        case kSigmoid: return dy * (y * (1.0f - y));
        default: return dy;
    }
}
// The two whose slope needs x, not y.
GOSSAMER_BOTH bool needs_input(int activation) { return activation >= kGelu; }
GOSSAMER_BOTH float slope_at(int activation, float dy, float x) {
    if (activation == kSilu) {
        const float s = sigmoid_of(x);
        return dy * s * (1.0f + x * (1.0f - s));
    }
    const float t = tanh_of(kGeluA * (x + kGeluB * x * x * x));
    const float inner = kGeluA * (1.0f + 3.0f * kGeluB * x * x);
    return dy * (0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * inner);
}

// A block's sum of one double a thread, in a fixed order; the result is red[0] afterwards.
template <int Threads = 128>
GOSSAMER_BODY void sum_tree(Block& block, double* red) {
    for (int width = Threads / 2; width > 0; width /= 2)
        block.each([&](int t) {
            if (t < width) red[t] += red[t + width];
        });
}

// ---- Optimiser steps: those of model/maths, element by element ----

struct Optimiser {
    int kind = 0;  // 0 sgd, 1 adam, 2 adamw
    int nesterov = 0;
    float momentum = 0, decay = 0, beta1 = 0, beta2 = 0, epsilon = 0;
    float clip_norm = 0, proximal_mu = 0;
};
// What changes from step to step.
struct StepRow {
    float rate = 0, correction1 = 0, correction2 = 0, unused = 0;
    std::uint64_t draws = 0;  // of dropout
};

GOSSAMER_BOTH float sgd_step(float w, float g, float rate, float decay) {
    return fmaf(-rate, g, (1.0f - rate * decay) * w);
}
GOSSAMER_BOTH float momentum_step(float w, float& velocity, float g, float rate,
                                  const Optimiser& o) {
    const float d = fmaf(o.decay, w, g);
    velocity = fmaf(o.momentum, velocity, d);
    const float way = o.nesterov ? fmaf(o.momentum, velocity, d) : velocity;
    return fmaf(-rate, way, w);
}
GOSSAMER_BOTH float adam_step(float w, float& first, float& second, float g, const StepRow& s,
                              const Optimiser& o) {
    const bool decoupled = o.kind == 2;
    const float d = decoupled ? g : fmaf(o.decay, w, g);
    first = fmaf(o.beta1, first, (1.0f - o.beta1) * d);
    second = fmaf(o.beta2, second, (1.0f - o.beta2) * d * d);
    const float root = sqrtf(second * s.correction2) + o.epsilon;
    const float keep = decoupled ? 1.0f - s.rate * o.decay : 1.0f;
    return fmaf(-s.rate, first * s.correction1 / root, keep * w);
}

// ---- Randomness: the draws of gossamer::stream and of dropout (tested) ----

GOSSAMER_BOTH std::uint64_t spread(std::uint64_t x) {  // SplitMix64's finaliser
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

struct Draws {
    std::uint32_t key[2], name[2];
};
GOSSAMER_BOTH Draws draws_of(std::uint64_t seed, std::uint32_t purpose, std::uint64_t round,
                             std::uint64_t who) {
    const std::uint64_t key = spread(seed ^ spread(purpose));
    const std::uint64_t inner = who ^ key;
    const std::uint64_t turned = spread(inner);
    const std::uint64_t name = spread(spread(round) ^ (turned << 17 | turned >> 47));
    return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)},
            {static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32)}};
}

// The 64-bit draw number `index` of a stream: half a block of Philox4x32-10.
GOSSAMER_BOTH std::uint64_t draw(const Draws& d, std::uint64_t index) {
    const std::uint64_t block = index / 2;
    std::uint32_t c[4] = {static_cast<std::uint32_t>(block),
                          static_cast<std::uint32_t>(block >> 32), d.name[0], d.name[1]};
    std::uint32_t k0 = d.key[0], k1 = d.key[1];
    for (int i = 0; i < 10; ++i) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53} * c[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * c[2];
        const auto next0 = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
        const auto next2 = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
        c[1] = static_cast<std::uint32_t>(p1), c[3] = static_cast<std::uint32_t>(p0);
        c[0] = next0, c[2] = next2;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    const bool odd = index % 2 != 0;
    return (odd ? c[2] : c[0]) | static_cast<std::uint64_t>(odd ? c[3] : c[1]) << 32;
}

struct Wide {
    std::uint64_t high, low;
};
GOSSAMER_BOTH Wide multiply(std::uint64_t a, std::uint64_t b) {
#if defined(__CUDA_ARCH__)
    return {__umul64hi(a, b), a * b};
#else
    const auto p = static_cast<unsigned __int128>(a) * b;
    return {static_cast<std::uint64_t>(p >> 64), static_cast<std::uint64_t>(p)};
#endif
}
// A draw below `bound`, or false where the draw must be repeated (Lemire).
GOSSAMER_BOTH bool below(std::uint64_t drawn, std::uint64_t bound, std::uint64_t& value) {
    const Wide p = multiply(drawn, bound);
    value = p.high;
    return p.low >= bound || p.low >= (0 - bound) % bound;
}

// Whether dropout keeps element i of a stage.
GOSSAMER_BOTH bool kept_by_dropout(std::uint32_t i, float rate, std::uint64_t draws) {
    const auto limit = static_cast<std::uint32_t>(double(rate) * 4294967295.0);
    std::uint32_t h = i * 0x9e3779b9u + static_cast<std::uint32_t>(draws);
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = ((h ^ (h >> 13)) + static_cast<std::uint32_t>(draws >> 32)) * 0xc2b2ae35u;
    h = (h ^ (h >> 16)) * 0x27d4eb2fu;
    return (h ^ (h >> 15)) >= limit;
}
GOSSAMER_BOTH std::uint64_t draws_of_stage(std::uint64_t batch, std::uint64_t stage) {
    return batch + 0x9e3779b97f4a7c15ull * (stage + 1);
}

}  // namespace gossamer::cuda
