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
        default: return x;
    }
}

// Outputs for one sample. No dropout.
inline std::vector<double> outputs_of(const Net& net, const std::vector<double>& w,
                                      std::vector<double> x) {
    for (const auto& l : net.layers) {
        std::vector<double> y(std::size_t{l.out_height} * l.out_width * l.out_channels);
        if (l.kind == GOSSAMER_CUDA_ACTIVATION || l.kind == GOSSAMER_CUDA_DROPOUT) {
            for (std::size_t i = 0; i < y.size(); ++i) y[i] = activated(l.activation, x[i]);
            x = std::move(y);
            continue;
        }
        const std::size_t rows = std::size_t{l.out_height} * l.out_width;
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
                        if (iy < 0 || ix < 0 || iy >= long(l.height) || ix >= long(l.width))
                            continue;
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
                y[row * l.out_channels + o] = activated(l.activation, sum);
            }
        x = std::move(y);
    }
    return x;
}

// Mean loss over some rows.
inline double loss_of(const Net& net, const std::vector<double>& w, const Samples& samples,
                      const std::vector<std::uint32_t>& rows) {
    double sum = 0;
    for (const auto row : rows) {
        std::vector<double> x(samples.features);
        for (std::size_t f = 0; f < x.size(); ++f) x[f] = samples.value(row, f);
        const auto z = outputs_of(net, w, x);
        if (net.loss == GOSSAMER_CUDA_SOFTMAX) {
            const double top = *std::max_element(z.begin(), z.end());
            double all = 0;
            for (double v : z) all += std::exp(v - top);
            sum += std::log(all) + top - z[std::size_t(samples.labels[row])];
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
    return sum / double(rows.size());
}

}  // namespace gossamer::cuda
