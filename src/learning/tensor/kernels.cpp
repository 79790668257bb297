#include "gossamer/tensor/kernels.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "gossamer/base/assert.hpp"
#include "learning/tensor/kernel_clones.hpp"

namespace gossamer::tensor {
namespace {

// Columns that are summed before the next are looked at: the doubles stay in the first cache.
constexpr std::size_t kColumns = 1024;

// acc += w0·x0 + w1·x1 + w2·x2 + w3·x3, added one after another.
inline void accumulate_four(double* acc, const Weighted* in, std::size_t at, std::size_t count) {
    const float *x0 = in[0].values + at, *x1 = in[1].values + at;
    const float *x2 = in[2].values + at, *x3 = in[3].values + at;
    const double w0 = in[0].weight, w1 = in[1].weight, w2 = in[2].weight, w3 = in[3].weight;
    for (std::size_t i = 0; i < count; ++i) {
        auto sum = acc[i] + w0 * static_cast<double>(x0[i]);
        sum += w1 * static_cast<double>(x1[i]);
        sum += w2 * static_cast<double>(x2[i]);
        sum += w3 * static_cast<double>(x3[i]);
        acc[i] = sum;
    }
}

inline void accumulate_one(double* acc, const Weighted& in, std::size_t at, std::size_t count) {
    const float* x = in.values + at;
    for (std::size_t i = 0; i < count; ++i) acc[i] += in.weight * static_cast<double>(x[i]);
}

GOSSAMER_KERNEL void mean_of(float* out, std::size_t size, const Weighted* inputs,
                             std::size_t input_count) {
    alignas(64) double acc[kColumns];
    for (std::size_t at = 0; at < size; at += kColumns) {
        auto count = std::min(kColumns, size - at);
        std::memset(acc, 0, count * sizeof(double));
        std::size_t k = 0;
        for (; k + 4 <= input_count; k += 4) accumulate_four(acc, inputs + k, at, count);
        for (; k < input_count; ++k) accumulate_one(acc, inputs[k], at, count);
        for (std::size_t i = 0; i < count; ++i) out[at + i] = static_cast<float>(acc[i]);
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
