// Causal attention of one sequence, head by head. Scores are formed row by row: step t sees the
// steps up to t alone.
#include "learning/model/maths/functions.hpp"
#include "learning/model/maths/layers.hpp"

#include <algorithm>
#include <cmath>

namespace gossamer::model::maths {
namespace {

float dot(const float* a, const float* b, Index n) {
    constexpr Index kLanes = 16;
    float lane[kLanes] = {};
    Index i = 0;
    for (; i + kLanes <= n; i += kLanes)
        for (Index k = 0; k < kLanes; ++k) lane[k] += a[i + k] * b[i + k];
    float sum = 0;
    for (; i < n; ++i) sum += a[i] * b[i];
    for (float v : lane) sum += v;
    return sum;
}

void add_scaled(float* y, const float* x, float factor, Index n) {
    for (Index i = 0; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace

void attend(float* out, float* weights, const float* qkv, const Attention& a) {
    const Index width = a.channels / a.heads, stride = 3 * a.channels;
    const float scale = 1.0f / std::sqrt(static_cast<float>(width));
    std::fill_n(out, a.steps * a.channels, 0.0f);
    for (Index h = 0; h < a.heads; ++h) {
        const float* q = qkv + h * width;
        const float* k = q + a.channels;
        const float* v = k + a.channels;
        for (Index t = 0; t < a.steps; ++t, weights += a.steps) {
            float top = -INFINITY, sum = 0;
            for (Index s = 0; s <= t; ++s) {
                weights[s] = scale * dot(q + t * stride, k + s * stride, width);
                top = std::max(top, weights[s]);
            }
            for (Index s = 0; s <= t; ++s) weights[s] = exp_of(weights[s] - top);
            for (Index s = 0; s <= t; ++s) sum += weights[s];
            for (Index s = 0; s <= t; ++s) weights[s] /= sum;
            std::fill(weights + t + 1, weights + a.steps, 0.0f);
            float* o = out + t * a.channels + h * width;
            for (Index s = 0; s <= t; ++s) add_scaled(o, v + s * stride, weights[s], width);
        }
    }
}

void attend_back(float* d_qkv, float* work, const float* d_out, const float* weights,
                 const float* qkv, const Attention& a) {
    const Index width = a.channels / a.heads, stride = 3 * a.channels;
    const float scale = 1.0f / std::sqrt(static_cast<float>(width));
    std::fill_n(d_qkv, a.steps * stride, 0.0f);
    for (Index h = 0; h < a.heads; ++h) {
        const float* q = qkv + h * width;
        const float* k = q + a.channels;
        const float* v = k + a.channels;
        float* dq = d_qkv + h * width;
        float* dk = dq + a.channels;
        float* dv = dk + a.channels;
        for (Index t = 0; t < a.steps; ++t, weights += a.steps) {
            const float* d = d_out + t * a.channels + h * width;
            float mean = 0;
            for (Index s = 0; s <= t; ++s) {
                work[s] = dot(d, v + s * stride, width);
                mean += weights[s] * work[s];
                add_scaled(dv + s * stride, d, weights[s], width);
            }
            for (Index s = 0; s <= t; ++s) {
                const float score = scale * weights[s] * (work[s] - mean);
                add_scaled(dq + t * stride, k + s * stride, score, width);
                add_scaled(dk + s * stride, q + t * stride, score, width);
            }
        }
    }
}

}  // namespace gossamer::model::maths
