// A network in double, as plain as can be: what the plugin's gradients are held against.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "tests/cuda/nets.hpp"

namespace gossamer::cuda {

inline double activated(std::uint32_t activation, double x) {
    switch (activation) {
        case GOSSAMER_CUDA_RELU: return std::max(x, 0.0);
        case GOSSAMER_CUDA_TANH: return std::tanh(x);
        case GOSSAMER_CUDA_SIGMOID: return 1 / (1 + std::exp(-x));
        case GOSSAMER_CUDA_SILU: return x / (1 + std::exp(-x));
        case GOSSAMER_CUDA_GELU:
            return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
        default: return x;
    }
}

using Doubles = std::vector<double>;

// Dense, convolution and pools.
inline Doubles windowed(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x) {
    const std::size_t rows = std::size_t{l.out_height} * l.out_width;
    Doubles y(rows * l.out_channels);
    for (std::size_t row = 0; row < rows; ++row)
        for (std::uint32_t o = 0; o < l.out_channels; ++o) {
            const bool learns = l.kind <= GOSSAMER_CUDA_CONV;
            double sum = learns && l.biased != 0 ? w[l.bias_offset + o] : 0;
            double most = -1e300;
            const auto top = static_cast<long>(row / l.out_width * l.stride) - l.pad_top;
            const auto left = static_cast<long>(row % l.out_width * l.stride) - l.pad_left;
            for (std::uint32_t ky = 0; ky < l.window_height; ++ky)
                for (std::uint32_t kx = 0; kx < l.window_width; ++kx) {
                    const long iy = top + ky, ix = left + kx;
                    if (iy < 0 || ix < 0 || iy >= long(l.height) || ix >= long(l.width)) continue;
                    const std::size_t at =
                        (std::size_t(iy) * l.width + std::size_t(ix)) * l.channels;
                    const std::size_t tap = std::size_t{ky} * l.window_width + kx;
                    for (std::uint32_t c = 0; learns && c < l.channels; ++c)
                        sum += x[at + c] *
                               w[l.weight_offset + (tap * l.channels + c) * l.out_channels + o];
                    if (!learns) most = std::max(most, x[at + o]), sum += x[at + o];
                }
            if (l.kind == GOSSAMER_CUDA_MAX_POOL) sum = most;
            if (l.kind == GOSSAMER_CUDA_AVERAGE_POOL) sum /= l.window_height * l.window_width;
            y[row * l.out_channels + o] = sum;
        }
    return y;
}

inline Doubles normed(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x) {
    Doubles y(x.size());
    const bool whole = l.kind == GOSSAMER_CUDA_GROUP_NORM;
    const std::size_t rows = whole ? std::size_t{l.height} * l.width : 1;
    const std::size_t width = whole ? l.channels / l.groups : l.channels;
    for (std::size_t first = 0; first < x.size(); first += rows * l.channels)
        for (std::size_t group = 0; group < l.channels; group += width) {
            const auto each = [&](auto&& use) {
                for (std::size_t r = 0; r < rows; ++r)
                    for (std::size_t c = group; c < group + width; ++c)
                        use(first + r * l.channels + c, c);
            };
            double mean = 0, square = 0;
            if (l.kind != GOSSAMER_CUDA_RMS_NORM)
                each([&](std::size_t e, std::size_t) { mean += x[e] / double(rows * width); });
            each([&](std::size_t e, std::size_t) {
                square += (x[e] - mean) * (x[e] - mean) / double(rows * width);
            });
            each([&](std::size_t e, std::size_t c) {
                y[e] = (x[e] - mean) / std::sqrt(square + 1e-5) * w[l.weight_offset + c] +
                       (l.biased != 0 ? w[l.bias_offset + c] : 0);
            });
        }
    return y;
}

// x[rows, in] · w[in, out] + b.
inline Doubles multiplied(const double* x, std::size_t rows, std::size_t in, const double* w,
                          std::size_t out, const double* b) {
    Doubles y(rows * out);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t o = 0; o < out; ++o) {
            double sum = b != nullptr ? b[o] : 0;
            for (std::size_t i = 0; i < in; ++i) sum += x[r * in + i] * w[i * out + o];
            y[r * out + o] = sum;
        }
    return y;
}

inline Doubles recurred(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x) {
    const bool lstm = l.kind == GOSSAMER_CUDA_LSTM;
    const std::size_t units = l.out_channels, gates = (lstm ? 4 : 3) * units;
    const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
    const Doubles z =
        multiplied(x.data(), l.width, l.channels, &w[l.weight_offset], gates, &w[l.bias_offset]);
    Doubles h(units), c(units), y;
    for (std::size_t t = 0; t < l.width; ++t) {
        const Doubles u = multiplied(h.data(), 1, units, &w[l.second_offset], gates, nullptr);
        for (std::size_t k = 0; k < units; ++k) {
            const auto gate = [&](std::size_t g) { return z[t * gates + g * units + k]; };
            const auto from = [&](std::size_t g) { return u[g * units + k]; };
            if (lstm) {
                c[k] = sigmoid(gate(0) + from(0)) * std::tanh(gate(2) + from(2)) +
                       sigmoid(gate(1) + from(1)) * c[k];
                h[k] = sigmoid(gate(3) + from(3)) * std::tanh(c[k]);
            } else {
                const double update = sigmoid(gate(0) + from(0)),
                             reset = sigmoid(gate(1) + from(1));
                h[k] = (1 - update) * std::tanh(gate(2) + reset * from(2)) + update * h[k];
            }
        }
        y.insert(y.end(), h.begin(), h.end());
    }
    return y;
}

inline Doubles attended(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x) {
    const std::size_t c = l.channels, steps = l.width, width = c / l.groups;
    const Doubles qkv =
        multiplied(x.data(), steps, c, &w[l.weight_offset], 3 * c, &w[l.bias_offset]);
    Doubles mixed(steps * c);
    for (std::size_t head = 0; head < c; head += width)
        for (std::size_t t = 0; t < steps; ++t) {
            Doubles weights(t + 1);
            double sum = 0;
            for (std::size_t s = 0; s <= t; ++s) {
                for (std::size_t k = head; k < head + width; ++k)
                    weights[s] += qkv[t * 3 * c + k] * qkv[s * 3 * c + c + k];
                sum += weights[s] = std::exp(weights[s] / std::sqrt(double(width)));
            }
            for (std::size_t s = 0; s <= t; ++s)
                for (std::size_t k = head; k < head + width; ++k)
                    mixed[t * c + k] += weights[s] / sum * qkv[s * 3 * c + 2 * c + k];
        }
    return multiplied(mixed.data(), steps, c, &w[l.second_offset], c, &w[l.second_bias_offset]);
}

inline Doubles looked_up(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x) {
    Doubles y;
    if (l.kind == GOSSAMER_CUDA_FACTORS) {
        const auto user = static_cast<std::size_t>(x[0]), item = static_cast<std::size_t>(x[1]);
        const double* bias = &w[l.bias_offset];
        double sum = bias[user] + bias[l.vocabulary + item] + bias[l.vocabulary + l.items];
        for (std::size_t k = 0; k < l.rank; ++k)
            sum += w[l.weight_offset + user * l.rank + k] * w[l.second_offset + item * l.rank + k];
        return {sum};
    }
    for (double v : x)
        for (std::size_t c = 0; c < l.out_channels; ++c)
            y.push_back(w[l.weight_offset + static_cast<std::size_t>(v) * l.out_channels + c]);
    return y;
}

inline Doubles layer_outputs(const gossamer_cuda_layer& l, const Doubles& w, const Doubles& x,
                             const Doubles& source) {
    Doubles y = x;
    switch (l.kind) {
        case GOSSAMER_CUDA_ACTIVATION:
        case GOSSAMER_CUDA_DROPOUT: return y;
        case GOSSAMER_CUDA_GROUP_NORM:
        case GOSSAMER_CUDA_LAYER_NORM:
        case GOSSAMER_CUDA_RMS_NORM: return normed(l, w, x);
        case GOSSAMER_CUDA_ADD:
            for (std::size_t i = 0; i < y.size(); ++i) y[i] += source[i];
            return y;
        case GOSSAMER_CUDA_POSITION:
            for (std::size_t i = 0; i < y.size(); ++i) y[i] += w[l.weight_offset + i];
            return y;
        case GOSSAMER_CUDA_LAST: return {x.end() - l.channels, x.end()};
        case GOSSAMER_CUDA_EMBEDDING:
        case GOSSAMER_CUDA_FACTORS: return looked_up(l, w, x);
        case GOSSAMER_CUDA_LSTM:
        case GOSSAMER_CUDA_GRU: return recurred(l, w, x);
        case GOSSAMER_CUDA_ATTENTION: return attended(l, w, x);
        default: return windowed(l, w, x);
    }
}

// A layer's frozen weights and its adapter as weights of its own, W + scale · A·B, behind the
// others.
inline gossamer_cuda_layer plain_layer(const Net& net, gossamer_cuda_layer l, Doubles& w) {
    if (l.kind != GOSSAMER_CUDA_DENSE || l.rank == 0) return l;
    const auto first = w.size();
    for (std::size_t i = 0; i < l.channels; ++i)
        for (std::size_t o = 0; o < l.out_channels; ++o) {
            double sum = 0;
            for (std::size_t k = 0; k < l.rank; ++k)
                sum += w[l.adapter_a_offset + i * l.rank + k] *
                       w[l.adapter_b_offset + k * l.out_channels + o];
            w.push_back(
                net.frozen[l.weight_offset - GOSSAMER_CUDA_FROZEN + i * l.out_channels + o] +
                double(l.adapter_scale) * sum);
        }
    l.weight_offset = first;
    return l;
}

// Outputs for one sample. No dropout.
inline Doubles outputs_of(const Net& net, const Doubles& parameters, const Doubles& x) {
    Doubles w = parameters;
    std::vector<Doubles> made;
    const auto output = [&](std::int32_t i) -> const Doubles& {
        return i < 0 ? x : made[static_cast<std::size_t>(i)];
    };
    for (const auto& stored : net.layers) {
        const auto l = plain_layer(net, stored, w);
        Doubles y = layer_outputs(l, w, output(l.input), output(l.source));
        for (double& v : y) v = activated(l.activation, v);
        made.push_back(std::move(y));
    }
    return made.back();
}

// Mean loss over some rows.
inline double loss_of(const Net& net, const std::vector<double>& w, const Samples& samples,
                      const std::vector<std::uint32_t>& rows) {
    double sum = 0;
    std::size_t counted = 0;
    for (const auto row : rows) {
        std::vector<double> x(samples.features);
        for (std::size_t f = 0; f < x.size(); ++f) x[f] = samples.value(row, f);
        const auto z = outputs_of(net, w, x);
        if (net.loss == GOSSAMER_CUDA_SOFTMAX) {
            const std::size_t outputs = z.size() / samples.label_count;
            for (std::size_t p = 0; p < samples.label_count; ++p) {
                const auto label = samples.labels[row * samples.label_count + p];
                if (label < 0) continue;
                const double* here = &z[p * outputs];
                const double top = *std::max_element(here, here + outputs);
                double all = 0;
                for (std::size_t j = 0; j < outputs; ++j) all += std::exp(here[j] - top);
                sum += std::log(all) + top - here[label], ++counted;
            }
            continue;
        }
        for (std::size_t j = 0; j < z.size(); ++j) {
            const double wanted = net.loss == GOSSAMER_CUDA_RECONSTRUCTION ? x[j]
                                  : samples.target_count > 0
                                      ? double(samples.targets[row * samples.target_count + j])
                                      : double(std::size_t(samples.labels[row]) == j);
            const double one =
                net.loss == GOSSAMER_CUDA_SIGMOID_CROSS
                    ? std::max(z[j], 0.0) - wanted * z[j] + std::log1p(std::exp(-std::abs(z[j])))
                    : (z[j] - wanted) * (z[j] - wanted);
            sum += one / double(z.size());
        }
    }
    return sum / double(net.loss == GOSSAMER_CUDA_SOFTMAX ? counted : rows.size());
}

}  // namespace gossamer::cuda
