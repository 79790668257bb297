#include "gossamer/tensor/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

#include "gossamer/base/assert.hpp"
#include "learning/tensor/kernel_clones.hpp"

namespace gossamer::tensor {
namespace {

// Columns that are summed before the next are looked at: the doubles stay in the first cache.
constexpr std::size_t kColumns = 1024;

// acc += w0·x0 + w1·x1 + w2·x2 + w3·x3, added one after another.
// Up to so many inputs are added up in registers; more go through `acc` in groups.
constexpr std::size_t kGroup = 8;

template <std::size_t N>
__attribute__((always_inline)) inline void mean_of_few(float* out, const double* acc,
                                                       double* acc_out, const Weighted* in,
                                                       std::size_t at, std::size_t count) {
    const float* x[N];
    double w[N];
    for (std::size_t k = 0; k < N; ++k) x[k] = in[k].values + at, w[k] = in[k].weight;
#pragma GCC ivdep  // out may be an input: then each value is read before it is written
    for (std::size_t i = 0; i < count; ++i) {
        double sum = acc ? acc[i] : 0.0;
        for (std::size_t k = 0; k < N; ++k) sum += w[k] * static_cast<double>(x[k][i]);
        if (acc_out)
            acc_out[i] = sum;
        else
            out[i] = static_cast<float>(sum);
    }
}

template <std::size_t... N>
__attribute__((always_inline)) inline void mean_of_group(std::size_t n, std::index_sequence<N...>,
                                                         float* out, const double* acc,
                                                         double* acc_out, const Weighted* in,
                                                         std::size_t at, std::size_t count) {
    ((n == N + 1 ? mean_of_few<N + 1>(out, acc, acc_out, in, at, count) : void()), ...);
}

GOSSAMER_KERNEL void mean_of(float* out, std::size_t size, const Weighted* inputs,
                             std::size_t input_count) {
    alignas(64) double acc[kColumns];
    for (std::size_t at = 0; at < size; at += kColumns) {
        const auto count = std::min(kColumns, size - at);
        std::size_t k = 0;
        for (; input_count - k > kGroup; k += kGroup)
            mean_of_few<kGroup>(nullptr, k ? acc : nullptr, acc, inputs + k, at, count);
        mean_of_group(input_count - k, std::make_index_sequence<kGroup>(), out + at,
                      k ? acc : nullptr, nullptr, inputs + k, at, count);
    }
}

GOSSAMER_KERNEL void subtract_all(float* out, const float* a, const float* b, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out[i] = a[i] - b[i];
}

GOSSAMER_KERNEL void add_all(float* out, const float* a, const float* b, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out[i] = a[i] + b[i];
}

GOSSAMER_KERNEL void add_scaled_all(float* out, float scale, const float* x, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) out[i] += scale * x[i];
}

GOSSAMER_KERNEL void from_bytes_all(float* __restrict out, const std::uint8_t* __restrict in,
                                    std::size_t size, float scale) {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(in[i]) * scale;
}

// Sixteen running sums, whatever the vector width; added up in one fixed tree at the end.
constexpr std::size_t kLanes = 16;
using Floats = float __attribute__((vector_size(kLanes / 2 * sizeof(float))));
using Doubles = double __attribute__((vector_size(kLanes / 2 * sizeof(double))));

inline double tree_sum(const Doubles& low, const Doubles& high) {
    double lane[kLanes];
    std::memcpy(lane, &low, sizeof low);
    std::memcpy(lane + kLanes / 2, &high, sizeof high);
    for (auto width = kLanes / 2; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}

inline void load(Doubles& out, const float* from) {
    Floats part;
    std::memcpy(&part, from, sizeof part);
    out = __builtin_convertvector(part, Doubles);
}

GOSSAMER_KERNEL double squares(const float* x, std::size_t size) {
    Doubles low{}, high{}, a, b;
    std::size_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
        load(a, x + i), load(b, x + i + kLanes / 2);
        low += a * a, high += b * b;
    }
    float rest[kLanes] = {};
    if (i < size) std::memcpy(rest, x + i, (size - i) * sizeof(float));
    load(a, rest), load(b, rest + kLanes / 2);
    low += a * a, high += b * b;
    return tree_sum(low, high);
}

GOSSAMER_KERNEL double squared_differences(const float* x, const float* y, std::size_t size) {
    Doubles low{}, high{}, a, b, c, d;
    std::size_t i = 0;
    for (; i + kLanes <= size; i += kLanes) {
        load(a, x + i), load(b, x + i + kLanes / 2);
        load(c, y + i), load(d, y + i + kLanes / 2);
        a -= c, b -= d;
        low += a * a, high += b * b;
    }
    float rest_x[kLanes] = {}, rest_y[kLanes] = {};
    if (i < size) {
        std::memcpy(rest_x, x + i, (size - i) * sizeof(float));
        std::memcpy(rest_y, y + i, (size - i) * sizeof(float));
    }
    load(a, rest_x), load(b, rest_x + kLanes / 2);
    load(c, rest_y), load(d, rest_y + kLanes / 2);
    a -= c, b -= d;
    low += a * a, high += b * b;
    return tree_sum(low, high);
}

GOSSAMER_KERNEL bool finite_all(const float* x, std::size_t size) {
    std::int32_t largest = 0;
    for (std::size_t at = 0; at < size; at += kColumns) {
        auto count = std::min(kColumns, size - at);
        for (std::size_t i = 0; i < count; ++i)
            largest = std::max(largest, std::bit_cast<std::int32_t>(x[at + i]) & 0x7fffffff);
        if (largest >= 0x7f800000) return false;
    }
    return true;
}

}  // namespace

void weighted_mean(std::span<float> out, std::span<const Weighted> inputs) {
    if (inputs.empty()) return void(std::ranges::fill(out, 0.0f));
    mean_of(out.data(), out.size(), inputs.data(), inputs.size());
}

void subtract(std::span<float> out, std::span<const float> a, std::span<const float> b) {
    GOSSAMER_ASSERT(out.size() == a.size() && a.size() == b.size(), "vectors differ in size");
    subtract_all(out.data(), a.data(), b.data(), out.size());
}

void add(std::span<float> out, std::span<const float> a, std::span<const float> b) {
    GOSSAMER_ASSERT(out.size() == a.size() && a.size() == b.size(), "vectors differ in size");
    add_all(out.data(), a.data(), b.data(), out.size());
}

void add_scaled(std::span<float> out, float scale, std::span<const float> x) {
    GOSSAMER_ASSERT(out.size() == x.size(), "vectors differ in size");
    add_scaled_all(out.data(), scale, x.data(), out.size());
}

void from_bytes(std::span<float> out, std::span<const std::uint8_t> in, float scale) {
    GOSSAMER_ASSERT(out.size() == in.size(), "vectors differ in size");
    from_bytes_all(out.data(), in.data(), out.size(), scale);
}

double squared_norm(std::span<const float> x) { return squares(x.data(), x.size()); }

double squared_distance(std::span<const float> a, std::span<const float> b) {
    GOSSAMER_ASSERT(a.size() == b.size(), "vectors differ in size");
    return squared_differences(a.data(), b.data(), a.size());
}

bool all_finite(std::span<const float> x) { return finite_all(x.data(), x.size()); }

}  // namespace gossamer::tensor
