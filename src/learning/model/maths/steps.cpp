// Optimiser steps: one pass over the flat buffers.
#include "learning/model/maths/maths.hpp"

#include <cmath>

namespace gossamer::model::maths {

void sgd_step(float* w, const float* g, Index n, float rate, float decay) {
    const float keep = 1.0f - rate * decay;
    for (Index i = 0; i < n; ++i) w[i] = keep * w[i] - rate * g[i];
}

void momentum_step(float* w, float* velocity, const float* g, Index n, const SgdStep& s) {
    const float look_ahead = s.nesterov ? s.momentum : 0.0f;
    const float direct = s.nesterov ? 1.0f : 0.0f;
    for (Index i = 0; i < n; ++i) {
        const float d = g[i] + s.decay * w[i];
        const float v = s.momentum * velocity[i] + d;
        velocity[i] = v;
        w[i] -= s.rate * (s.nesterov ? direct * d + look_ahead * v : v);
    }
}

void adam_step(float* w, float* first, float* second, const float* g, Index n, const AdamStep& s) {
    const float coupled = s.decoupled ? 0.0f : s.decay;
    const float keep = s.decoupled ? 1.0f - s.rate * s.decay : 1.0f;
    for (Index i = 0; i < n; ++i) {
        const float d = g[i] + coupled * w[i];
        const float m = s.beta1 * first[i] + (1.0f - s.beta1) * d;
        const float v = s.beta2 * second[i] + (1.0f - s.beta2) * d * d;
        first[i] = m, second[i] = v;
        const float root = std::sqrt(v * s.correction2) + s.epsilon;
        w[i] = keep * w[i] - s.rate * (m * s.correction1) / root;
    }
}

void add_proximal(float* g, const float* w, const float* anchor, Index n, float mu) {
    for (Index i = 0; i < n; ++i) g[i] += mu * (w[i] - anchor[i]);
}

void scale(float* x, Index n, float factor) {
    for (Index i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace gossamer::model::maths
