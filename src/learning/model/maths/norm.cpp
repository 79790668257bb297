// Normalisation: sums per channel first (long vectors, whatever the size of a group), then groups
// fold their channels. Mean and squares take two passes; the one-pass form loses the variance of
// values far from zero.
#include "learning/model/maths/layers.hpp"

#include <algorithm>
#include <cmath>

namespace gossamer::model::maths {
namespace {

constexpr float kEpsilon = 1e-5f;

}  // namespace

void normalise(float* out, float* kept, float* work, const float* in, const float* gain,
               const float* shift, const Norm& n) {
    const Index width = n.channels / n.groups;
    const float share = 1.0f / static_cast<float>(n.rows * width);
    float* sum = work;
    float* centre = work + n.channels;
    for (Index i = 0; i < n.samples; ++i, kept += 2 * n.groups) {
        const float* x = in + i * n.rows * n.channels;
        float* y = out + i * n.rows * n.channels;
        std::fill_n(centre, n.channels, 0.0f);
        if (n.centred) {
            std::fill_n(sum, n.channels, 0.0f);
            for (Index r = 0; r < n.rows; ++r)
                for (Index c = 0; c < n.channels; ++c) sum[c] += x[r * n.channels + c];
            for (Index g = 0; g < n.groups; ++g) {
                float total = 0;
                for (Index c = g * width; c < (g + 1) * width; ++c) total += sum[c];
                std::fill_n(centre + g * width, width, total * share);
            }
        }
        std::fill_n(sum, n.channels, 0.0f);
        for (Index r = 0; r < n.rows; ++r)
            for (Index c = 0; c < n.channels; ++c) {
                const float d = x[r * n.channels + c] - centre[c];
                sum[c] += d * d;
            }
        for (Index g = 0; g < n.groups; ++g) {
            float total = 0;
            for (Index c = g * width; c < (g + 1) * width; ++c) total += sum[c];
            const float inverse = 1.0f / std::sqrt(total * share + kEpsilon);
            kept[2 * g] = centre[g * width], kept[2 * g + 1] = inverse;
            for (Index c = g * width; c < (g + 1) * width; ++c) sum[c] = inverse * gain[c];
        }
        for (Index r = 0; r < n.rows; ++r)
            for (Index c = 0; c < n.channels; ++c)
                y[r * n.channels + c] = (x[r * n.channels + c] - centre[c]) * sum[c];
        if (!shift) continue;
        for (Index r = 0; r < n.rows; ++r)
            for (Index c = 0; c < n.channels; ++c) y[r * n.channels + c] += shift[c];
    }
}

// With xh = (x - mean) · inverse and m elements in the group:
// dx = inverse · (gain · dy - Σ gain · dy / m - xh · Σ gain · dy · xh / m); RMS has no middle term.
void normalise_gradient(float* dx, float* d_gain, float* d_shift, float* work, const float* dy,
                        const float* in, const float* kept, const float* gain, const Norm& n) {
    const Index width = n.channels / n.groups;
    const float share = 1.0f / static_cast<float>(n.rows * width);
    float* plain = work;                 // Σ dy, later the constant of dx
    float* weighed = work + n.channels;  // Σ dy · xh, later the factor of xh
    std::fill_n(d_gain, n.channels, 0.0f);
    if (d_shift) std::fill_n(d_shift, n.channels, 0.0f);
    for (Index i = 0; i < n.samples; ++i, kept += 2 * n.groups) {
        const float* x = in + i * n.rows * n.channels;
        const float* d = dy + i * n.rows * n.channels;
        std::fill_n(work, 2 * n.channels, 0.0f);
        for (Index g = 0; g < n.groups; ++g) {
            const float mean = kept[2 * g], inverse = kept[2 * g + 1];
            for (Index r = 0; r < n.rows; ++r)
                for (Index c = g * width; c < (g + 1) * width; ++c) {
                    const float v = d[r * n.channels + c];
                    plain[c] += v;
                    weighed[c] += v * ((x[r * n.channels + c] - mean) * inverse);
                }
        }
        for (Index c = 0; c < n.channels; ++c) d_gain[c] += weighed[c];
        for (Index c = 0; d_shift && c < n.channels; ++c) d_shift[c] += plain[c];
        if (!dx) continue;
        float* to = dx + i * n.rows * n.channels;
        for (Index g = 0; g < n.groups; ++g) {
            const float mean = kept[2 * g], inverse = kept[2 * g + 1];
            float a = 0, b = 0;
            for (Index c = g * width; c < (g + 1) * width; ++c) {
                a += gain[c] * plain[c];
                b += gain[c] * weighed[c];
            }
            a = n.centred ? a * share : 0.0f;
            b *= share;
            for (Index r = 0; r < n.rows; ++r)
                for (Index c = g * width; c < (g + 1) * width; ++c) {
                    const Index at = r * n.channels + c;
                    to[at] = inverse * (gain[c] * d[at] - a - (x[at] - mean) * inverse * b);
                }
        }
    }
}

}  // namespace gossamer::model::maths
