// Conversions by integer arithmetic and selects alone: they vectorise on every instruction set, and
// the bits do not depend on it.
#include <bit>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/tensor/kernel_clones.hpp"

namespace gossamer::tensor {
namespace {

inline std::uint16_t half_of(float value) {
    constexpr std::uint32_t kOverflow = 0x47800000;     // 2^16 as float
    constexpr std::uint32_t kLeastNormal = 0x38800000;  // 2^-14
    constexpr std::uint32_t kInfinity = 0x7f800000;
    auto bits = std::bit_cast<std::uint32_t>(value);
    auto sign = (bits >> 16) & 0x8000u;
    auto magnitude = bits & 0x7fffffffu;
    // Subnormal halves are multiples of 2^-24 = one unit in the last place of 0.5.
    auto small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
    // Normal ones: shift the exponent's bias and round the 13 bits that go, ties to even. A carry
    // out of the fraction raises the exponent, up to infinity.
    auto normal = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
    auto special = magnitude > kInfinity ? 0x7e00u : 0x7c00u;
    auto result = magnitude < kLeastNormal ? small : normal;
    result = magnitude >= kOverflow ? special : result;
    return static_cast<std::uint16_t>(result | sign);
}

inline float float_of_half(std::uint16_t half) {
    std::uint32_t sign = (half & 0x8000u) << 16;
    std::uint32_t magnitude = half & 0x7fffu;
    auto normal = (magnitude << 13) + (112u << 23);
    auto special = (magnitude << 13) | 0x7f800000u;
    auto small = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude | 0x3f000000u) - 0.5f);
    auto result = magnitude < 0x0400u ? small : normal;
    result = magnitude >= 0x7c00u ? special : result;
    return std::bit_cast<float>(result | sign);
}

inline std::uint16_t bfloat16_of(float value) {
    auto bits = std::bit_cast<std::uint32_t>(value);
    auto rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    auto quiet = (bits >> 16) | 0x40u;
    return static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
}

GOSSAMER_KERNEL void all_to_half(std::uint16_t* __restrict out, const float* __restrict in,
                                 std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out[i] = half_of(in[i]);
}

GOSSAMER_KERNEL void all_from_half(float* __restrict out, const std::uint16_t* __restrict in,
                                   std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out[i] = float_of_half(in[i]);
}

GOSSAMER_KERNEL void all_to_bfloat16(std::uint16_t* __restrict out, const float* __restrict in,
                                     std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) out[i] = bfloat16_of(in[i]);
}

GOSSAMER_KERNEL void all_from_bfloat16(float* __restrict out, const std::uint16_t* __restrict in,
                                       std::size_t count) {
    for (std::size_t i = 0; i < count; ++i)
        out[i] = std::bit_cast<float>(static_cast<std::uint32_t>(in[i]) << 16);
}

}  // namespace

void to_half(std::span<std::uint16_t> out, std::span<const float> in) {
    GOSSAMER_ASSERT(out.size() == in.size(), "input and output differ in size");
    all_to_half(out.data(), in.data(), in.size());
}

void from_half(std::span<float> out, std::span<const std::uint16_t> in) {
    GOSSAMER_ASSERT(out.size() == in.size(), "input and output differ in size");
    all_from_half(out.data(), in.data(), in.size());
}

void to_bfloat16(std::span<std::uint16_t> out, std::span<const float> in) {
    GOSSAMER_ASSERT(out.size() == in.size(), "input and output differ in size");
    all_to_bfloat16(out.data(), in.data(), in.size());
}

void from_bfloat16(std::span<float> out, std::span<const std::uint16_t> in) {
    GOSSAMER_ASSERT(out.size() == in.size(), "input and output differ in size");
    all_from_bfloat16(out.data(), in.data(), in.size());
}

}  // namespace gossamer::tensor
