// Weighted sums whose bits do not depend on the order of arrival.
//
// Each term is round-to-nearest-even(double(w) · double(x) · 2^s), a fixed-point integer; the sum
// wraps mod 2^64, so it is the same in any order, on any number of threads, and secure-aggregation
// masks cancel in it. s is the largest with 2^s · max(w) · X <= 2^51 (a term fits a double's exact
// integers) and 2^s · Σw · X <= 2^62 (the sum cannot overflow), X the bound of |x|.
// An update with a non-finite or larger element is refused whole, before a word is added.
#pragma once

#include <cstdint>
#include <span>

#include "gossamer/base/result.hpp"
#include "gossamer/tensor/buffer.hpp"

namespace gossamer::tensor {

struct ExactScale {
    int exponent = 0;  // s
    double bound = 0;  // X

    // weight_max, weight_total > 0; bound > 0. Weights are float32 values.
    static ExactScale choose(float weight_max, double weight_total, double bound);
    bool operator==(const ExactScale&) const = default;
};

// Position of the first element that is not finite or exceeds the bound; x.size() when there is
// none.
std::size_t first_bad(std::span<const float> x, double bound);

// sum[i] += term(weight, x[i]). REQUIRES first_bad(x) == x.size() and equal sizes.
void exact_add(std::span<std::int64_t> sum, std::span<const float> x, float weight,
               ExactScale scale);
// Both in one pass: adds the update, or, when an element is not finite or exceeds scale.bound,
// leaves the sum as it was. Returns what first_bad() returns.
std::size_t exact_add_checked(std::span<std::int64_t> sum, std::span<const float> x, float weight,
                              ExactScale scale);
// sum[i] += other[i]: partial sums of several threads, in any order.
void exact_merge(std::span<std::int64_t> sum, std::span<const std::int64_t> other);
// out[i] = sum[i] · (2^-s / divisor) in double, rounded once to float32.
void exact_decode(std::span<float> out, std::span<const std::int64_t> sum, ExactScale scale,
                  double divisor);

}  // namespace gossamer::tensor
