// Normalisation: sums per channel first (long vectors, whatever the size of a group), then groups
// fold their channels. Mean and squares take two passes; the one-pass form loses the variance of
// values far from zero.
#include "learning/model/maths/layers.hpp"

#include <algorithm>
#include <cmath>

namespace gossamer::model::maths {
namespace {

constexpr float kEpsilon = 1e-5f;

// Of each channel, over a sample's rows.
void add_values(float* __restrict sum, const float* __restrict x, const Norm& n) {
    for (Index r = 0; r < n.rows; ++r, x += n.channels)
        for (Index c = 0; c < n.channels; ++c) sum[c] += x[c];
}
void add_squares(float* __restrict sum, const float* __restrict x, const float* __restrict centre,
                 const Norm& n) {
    for (Index r = 0; r < n.rows; ++r, x += n.channels)
        for (Index c = 0; c < n.channels; ++c) {
            const float d = x[c] - centre[c];
            sum[c] += d * d;
        }
}
// shift: null for none.
void scale_values(float* __restrict y, const float* __restrict x, const float* __restrict centre,
                  const float* __restrict factor, const float* __restrict shift, const Norm& n) {
    for (Index r = 0; r < n.rows; ++r, x += n.channels, y += n.channels) {
        for (Index c = 0; c < n.channels; ++c) y[c] = (x[c] - centre[c]) * factor[c];
        if (!shift) continue;
        for (Index c = 0; c < n.channels; ++c) y[c] += shift[c];
    }
}

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
            add_values(sum, x, n);
            for (Index g = 0; g < n.groups; ++g) {
                float total = 0;
                for (Index c = g * width; c < (g + 1) * width; ++c) total += sum[c];
                std::fill_n(centre + g * width, width, total * share);
            }
        }
        std::fill_n(sum, n.channels, 0.0f);
        add_squares(sum, x, centre, n);
        for (Index g = 0; g < n.groups; ++g) {
            float total = 0;
            for (Index c = g * width; c < (g + 1) * width; ++c) total += sum[c];
            const float inverse = 1.0f / std::sqrt(total * share + kEpsilon);
            kept[2 * g] = centre[g * width], kept[2 * g + 1] = inverse;
            for (Index c = g * width; c < (g + 1) * width; ++c) sum[c] = inverse * gain[c];
        }
        scale_values(y, x, centre, sum, shift, n);
    }
}

namespace {

// The same value for all channels; an array has each its own.
struct Same {
    float value;
    float operator[](Index) const { return value; }
};

// Adds Σ dy and Σ dy · xh of each channel.
template <class Value>
void add_sums(float* __restrict plain, float* __restrict weighed, const float* __restrict d,
              const float* __restrict x, const Norm& n, Value mean, Value inverse) {
    for (Index r = 0; r < n.rows; ++r, d += n.channels, x += n.channels)
        for (Index c = 0; c < n.channels; ++c) {
            plain[c] += d[c];
            weighed[c] += d[c] * ((x[c] - mean[c]) * inverse[c]);
        }
}

template <class Value>
void back(float* __restrict to, const float* __restrict d, const float* __restrict x,
          const float* __restrict gain, const Norm& n, Value mean, Value inverse, Value a,
          Value b) {
    for (Index r = 0; r < n.rows; ++r, to += n.channels, d += n.channels, x += n.channels)
        for (Index c = 0; c < n.channels; ++c)
            to[c] = inverse[c] * (gain[c] * d[c] - a[c] - (x[c] - mean[c]) * inverse[c] * b[c]);
}

}  // namespace

// With xh = (x - mean) · inverse and m elements in the group:
// dx = inverse · (gain · dy - Σ gain · dy / m - xh · Σ gain · dy · xh / m); RMS has no middle term.
void normalise_gradient(float* dx, float* d_gain, float* d_shift, float* work, const float* dy,
                        const float* in, const float* kept, const float* gain, const Norm& n) {
    const Index width = n.channels / n.groups, size = n.rows * n.channels;
    const float share = 1.0f / static_cast<float>(n.rows * width);
    float* plain = work;                 // Σ dy, later the constant of dx
    float* weighed = work + n.channels;  // Σ dy · xh, later the factor of xh
    float* mean = weighed + n.channels;  // of each channel's group: loops go over all channels
    float* inverse = mean + n.channels;
    std::fill_n(d_gain, n.channels, 0.0f);
    if (d_shift) std::fill_n(d_shift, n.channels, 0.0f);
    for (Index i = 0; i < n.samples; ++i, kept += 2 * n.groups, in += size, dy += size) {
        std::fill_n(work, 2 * n.channels, 0.0f);
        if (n.groups == 1) {
            add_sums(plain, weighed, dy, in, n, Same{kept[0]}, Same{kept[1]});
        } else {
            for (Index g = 0; g < n.groups; ++g) {
                std::fill_n(mean + g * width, width, kept[2 * g]);
                std::fill_n(inverse + g * width, width, kept[2 * g + 1]);
            }
            add_sums<const float*>(plain, weighed, dy, in, n, mean, inverse);
        }
        for (Index c = 0; c < n.channels; ++c) d_gain[c] += weighed[c];
        for (Index c = 0; d_shift && c < n.channels; ++c) d_shift[c] += plain[c];
        if (!dx) continue;
        for (Index g = 0; g < n.groups; ++g) {
            float a = 0, b = 0;
            for (Index c = g * width; c < (g + 1) * width; ++c) {
                a += gain[c] * plain[c];
                b += gain[c] * weighed[c];
            }
            std::fill_n(plain + g * width, width, n.centred ? a * share : 0.0f);
            std::fill_n(weighed + g * width, width, b * share);
        }
        float* to = dx + i * size;
        if (n.groups == 1)
            back(to, dy, in, gain, n, Same{kept[0]}, Same{kept[1]}, Same{plain[0]},
                 Same{weighed[0]});
        else
            back<const float*>(to, dy, in, gain, n, mean, inverse, plain, weighed);
    }
}

}  // namespace gossamer::model::maths
