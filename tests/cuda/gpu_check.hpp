// Parts of gpu_check.
#pragma once

#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "tests/cuda/reference.hpp"
#include "tests/cuda/report.hpp"
#include "tests/cuda/session.hpp"

namespace gossamer::cuda {

inline std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
}
inline const char* mode_name(std::uint32_t mode) {
    return mode == GOSSAMER_CUDA_PERSISTENT ? " (persistent)" : " (graph)";
}
inline double distance(const std::vector<float>& a, const std::vector<float>& b) {
    if (a.size() != b.size()) return INFINITY;
    double apart = 0, size = 1e-30;
    for (std::size_t i = 0; i < a.size(); ++i)
        apart += (double(a[i]) - b[i]) * (double(a[i]) - b[i]), size += double(b[i]) * b[i];
    return std::sqrt(apart / size);
}

// Encodings of resident vectors: every form, many lengths, clipping, error feedback.
void check_products(const Api& api, bool emulated, bool few, Report& report);
// Weighted sums, to the bit.
void check_mixing(const Api& api, bool few, Report& report);

}  // namespace gossamer::cuda
