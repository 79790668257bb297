// Functions of one float, in forms the compiler turns into vectors; no libm, so the same bits on
// every machine with one instruction set.
#pragma once

#include <bit>
#include <cstdint>

namespace gossamer::model::maths {

// Cephes expf: x = n ln 2 + r, then a polynomial in r. The magic number leaves n in the low bits.
inline float exp_of(float x) {
    constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    const float shifted = x * 1.44269504088896341f + kMagic;
    const float n = shifted - kMagic;
    const float r = x - n * 0.693359375f - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(shifted) + 127u;
    return p * std::bit_cast<float>(bits << 23);
}

inline float tanh_of(float x) {  // Cephes tanhf
    const float a = x < 0 ? -x : x, z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float small = p * z * x + x;
    const float far = 1.0f - 2.0f / (exp_of(2.0f * (a > 20.0f ? 20.0f : a)) + 1.0f);
    return a < 0.625f ? small : x < 0 ? -far : far;
}

inline float sigmoid_of(float x) { return 1.0f / (1.0f + exp_of(-x)); }

}  // namespace gossamer::model::maths
