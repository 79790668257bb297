#include "gossamer/tensor/kernels.hpp"

#include <algorithm>
#include <bit>

#include "gossamer/base/assert.hpp"
#include "learning/tensor/kernel_clones.hpp"

namespace gossamer::tensor {
namespace {

GOSSAMER_KERNEL bool subtract_all(float* out, const float* a, const float* b, std::size_t size) {
    std::int32_t largest = 0;
#pragma GCC ivdep  // out may be an input: then each value is read before it is written
    for (std::size_t i = 0; i < size; ++i) {
        const float apart = a[i] - b[i];
        largest = std::max(largest, std::bit_cast<std::int32_t>(apart) & 0x7fffffff);
        out[i] = apart;
    }
    return largest < 0x7f800000;
}

GOSSAMER_KERNEL void add_all(float* out, const float* a, const float* b, std::size_t size) {
#pragma GCC ivdep
    for (std::size_t i = 0; i < size; ++i) out[i] = a[i] + b[i];
}

GOSSAMER_KERNEL void add_scaled_all(float* out, float scale, const float* x, std::size_t size) {
#pragma GCC ivdep
    for (std::size_t i = 0; i < size; ++i) out[i] += scale * x[i];
}

GOSSAMER_KERNEL void from_bytes_all(float* __restrict out, const std::uint8_t* __restrict in,
                                    std::size_t size, float scale) {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(in[i]) * scale;
}

// Sixteen running sums, whatever the vector width; added up in one fixed tree at the end. Plain
// loops: each clone makes its own vectors of them, where vectors of the compiler's extension would
// be cut to the baseline's before there are clones.
constexpr std::size_t kLanes = 16;

inline double tree_sum(double* lane) {
    for (auto width = kLanes / 2; width > 0; width /= 2)
        for (std::size_t i = 0; i < width; ++i) lane[i] += lane[i + width];
    return lane[0];
}

GOSSAMER_KERNEL double squares(const float* x, std::size_t size) {
    double lane[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= size; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) {
            const double value = x[i + k];
            lane[k] += value * value;
        }
    for (std::size_t k = 0; i + k < size; ++k) {
        const double value = x[i + k];
        lane[k] += value * value;
    }
    return tree_sum(lane);
}

GOSSAMER_KERNEL double squared_differences(const float* x, const float* y, std::size_t size) {
    double lane[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= size; i += kLanes)
        for (std::size_t k = 0; k < kLanes; ++k) {
            const double apart = static_cast<double>(x[i + k]) - static_cast<double>(y[i + k]);
            lane[k] += apart * apart;
        }
    for (std::size_t k = 0; i + k < size; ++k) {
        const double apart = static_cast<double>(x[i + k]) - static_cast<double>(y[i + k]);
        lane[k] += apart * apart;
    }
    return tree_sum(lane);
}

// Looked at before the next ones: what is not finite ends the search soon.
constexpr std::size_t kColumns = 1024;

GOSSAMER_KERNEL void add_lines(double* lanes, const float* x, const float* y, std::size_t from,
                               const Line* lines, std::size_t line_count) {
    double lane[Line::kFloats];
    for (std::size_t k = 0; k < Line::kFloats; ++k) lane[k] = lanes[k];
    for (std::size_t i = 0; i < line_count; ++i) {
        const auto first = lines[i].first - from;
        const double scale = lines[i].scale;
        for (std::size_t k = 0; k < Line::kFloats; ++k) {
            const double apart =
                static_cast<double>(x[first + k]) - static_cast<double>(y[first + k]);
            lane[k] += scale * (apart * apart);
        }
    }
    for (std::size_t k = 0; k < Line::kFloats; ++k) lanes[k] = lane[k];
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

bool subtract(std::span<float> out, std::span<const float> a, std::span<const float> b) {
    GOSSAMER_ASSERT(out.size() == a.size() && a.size() == b.size(), "vectors differ in size");
    return subtract_all(out.data(), a.data(), b.data(), out.size());
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

void add_squared_differences(std::span<double, Line::kFloats> lanes, const float* a, const float* b,
                             std::size_t from, std::span<const Line> lines) {
    add_lines(lanes.data(), a, b, from, lines.data(), lines.size());
}

bool all_finite(std::span<const float> x) { return finite_all(x.data(), x.size()); }

}  // namespace gossamer::tensor
