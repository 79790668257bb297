#include "gossamer/tensor/exact_sum.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "gossamer/base/assert.hpp"
#include "learning/tensor/kernel_clones.hpp"

namespace gossamer::tensor {
namespace {

constexpr std::size_t kBlock = 2048;

// Adding 1.5 · 2^52 to a double of magnitude <= 2^51 leaves its nearest integer (ties to even) in
// the low bits: a conversion made of one addition, on every instruction set.
constexpr double kMagic = 6755399441055744.0;

inline std::int64_t nearest_integer(double x) {
    return std::bit_cast<std::int64_t>(x + kMagic) - std::bit_cast<std::int64_t>(kMagic);
}

inline std::int32_t magnitude_bits(float x) { return std::bit_cast<std::int32_t>(x) & 0x7fffffff; }

// Bits of the largest finite float that is <= bound. Magnitudes compare like their bits, and NaN
// and infinity lie above every finite one.
std::int32_t bound_bits(double bound) {
    GOSSAMER_ASSERT(bound >= 0, "a bound is not negative");
    if (bound >= static_cast<double>(std::numeric_limits<float>::max()))
        return std::bit_cast<std::int32_t>(std::numeric_limits<float>::max());
    auto nearest = static_cast<float>(bound);
    auto bits = std::bit_cast<std::int32_t>(nearest);
    return static_cast<double>(nearest) > bound ? bits - 1 : bits;
}

inline std::int32_t largest_magnitude(const float* x, std::size_t count) {
    std::int32_t largest = 0;
    for (std::size_t i = 0; i < count; ++i) largest = std::max(largest, magnitude_bits(x[i]));
    return largest;
}

inline void add_terms(std::int64_t* __restrict sum, const float* __restrict x, std::size_t count,
                      double scaled_weight) {
    for (std::size_t i = 0; i < count; ++i) {
        auto term = nearest_integer(scaled_weight * static_cast<double>(x[i]));
        sum[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum[i]) +
                                           static_cast<std::uint64_t>(term));
    }
}

inline std::size_t position_above(const float* x, std::size_t count, std::int32_t most) {
    std::size_t i = 0;
    while (i < count && magnitude_bits(x[i]) <= most) ++i;
    return i;
}

GOSSAMER_KERNEL std::size_t find_above(const float* x, std::size_t count, std::int32_t most) {
    for (std::size_t at = 0; at < count; at += kBlock) {
        auto part = std::min(kBlock, count - at);
        if (largest_magnitude(x + at, part) > most) return at + position_above(x + at, part, most);
    }
    return count;
}

GOSSAMER_KERNEL void add_all(std::int64_t* __restrict sum, const float* __restrict x,
                             std::size_t count, double weight) {
    add_terms(sum, x, count, weight);
}

GOSSAMER_KERNEL std::size_t add_while_fine(std::int64_t* __restrict sum, const float* __restrict x,
                                           std::size_t count, double weight, std::int32_t most) {
    // Rarely in a near cache. An update that was made a while ago lies in memory: asked for a page
    // ahead, where the processor does not look by itself, it is added in 36 us instead of 49
    // (199,210 elements; 21 where it is still in the second cache).
    constexpr std::size_t kPart = 64, kAhead = 128, kFarAhead = 1024, kWords = 8, kFloats = 16;
    std::size_t at = 0;
    for (; at + kPart <= count; at += kPart) {
#pragma GCC unroll 8
        for (std::size_t i = 0; i < kPart; i += kWords) __builtin_prefetch(sum + at + kAhead + i);
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kPart; i += kFloats) __builtin_prefetch(x + at + kFarAhead + i);
        if (largest_magnitude(x + at, kPart) > most) return at;
        add_terms(sum + at, x + at, kPart, weight);
    }
    if (largest_magnitude(x + at, count - at) > most) return at;
    add_terms(sum + at, x + at, count - at, weight);
    return count;
}

GOSSAMER_KERNEL void decode_all(float* out, const std::int64_t* sum, std::size_t count,
                                double unit) {
    for (std::size_t i = 0; i < count; ++i)
        out[i] = static_cast<float>(static_cast<double>(sum[i]) * unit);
}

// The exact product w · 2^s: s was chosen so that it neither overflows nor underflows.
double scaled(float weight, const ExactScale& scale) {
    return std::ldexp(static_cast<double>(weight), scale.exponent);
}

}  // namespace

ExactScale ExactScale::choose(float weight_max, double weight_total, double bound) {
    GOSSAMER_ASSERT(weight_max > 0 && weight_total >= weight_max && bound > 0 &&
                        std::isfinite(weight_max) && weight_total < 0x1p200,
                    "weights and bound of an exact sum are positive and finite");
    // Elements are float32, so a bound beyond their range says no more than the range.
    auto x_max =
        std::clamp(bound, 0x1p-149, static_cast<double>(std::numeric_limits<float>::max()));
    // The largest s with 2^s · a · b <= 2^limit. The product of the fractions is rounded up, so a
    // tie is never taken for less than it is.
    auto largest = [](double a, double b, int limit) {
        int exponent_a = 0, exponent_b = 0;
        auto fraction_a = std::frexp(a, &exponent_a), fraction_b = std::frexp(b, &exponent_b);
        auto product = fraction_a * fraction_b;  // in [1/4, 1)
        if (std::fma(fraction_a, fraction_b, -product) > 0) product = std::nextafter(product, 2.0);
        int exponent = 0;
        auto fraction = std::frexp(product, &exponent);  // in [1/2, 1)
        exponent += exponent_a + exponent_b;
        return limit - (fraction == 0.5 ? exponent - 1 : exponent);
    };
    return {std::min(largest(weight_max, x_max, 51), largest(weight_total, x_max, 62)), bound};
}

std::size_t first_bad(std::span<const float> x, double bound) {
    return find_above(x.data(), x.size(), bound_bits(bound));
}

void exact_add(std::span<std::int64_t> sum, std::span<const float> x, float weight,
               ExactScale scale) {
    GOSSAMER_ASSERT(sum.size() == x.size(), "sum and update differ in size");
    add_all(sum.data(), x.data(), x.size(), scaled(weight, scale));
}

std::size_t exact_add_checked(std::span<std::int64_t> sum, std::span<const float> x, float weight,
                              ExactScale scale) {
    GOSSAMER_ASSERT(sum.size() == x.size(), "sum and update differ in size");
    auto most = bound_bits(scale.bound);
    auto added = add_while_fine(sum.data(), x.data(), x.size(), scaled(weight, scale), most);
    if (added == x.size()) return added;
    // The same terms with the other sign (rounding is symmetric): the sum is as it was.
    add_all(sum.data(), x.data(), added, -scaled(weight, scale));
    return added + position_above(x.data() + added, x.size() - added, most);
}

void exact_merge(std::span<std::int64_t> sum, std::span<const std::int64_t> other) {
    GOSSAMER_ASSERT(sum.size() == other.size(), "two sums differ in size");
    for (std::size_t i = 0; i < sum.size(); ++i)
        sum[i] = static_cast<std::int64_t>(static_cast<std::uint64_t>(sum[i]) +
                                           static_cast<std::uint64_t>(other[i]));
}

void exact_decode(std::span<float> out, std::span<const std::int64_t> sum, ExactScale scale,
                  double divisor) {
    GOSSAMER_ASSERT(out.size() == sum.size(), "sum and output differ in size");
    decode_all(out.data(), sum.data(), sum.size(), std::ldexp(1.0, -scale.exponent) / divisor);
}

}  // namespace gossamer::tensor
