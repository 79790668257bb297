// A network in plain loops of doubles, slow and obvious: what the kernels are checked against.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "gossamer/model/plan.hpp"

namespace gossamer::model {

struct Reference {
    const Network& network;

    using Row = std::vector<double>;

    static double act(Activation a, double x) {
        return a == Activation::relu ? std::max(x, 0.0) : a == Activation::tanh ? std::tanh(x) : x;
    }

    static Row dense(const Stage& s, const Row& in, const Row& p) {
        Row out(s.out_channels);
        for (std::size_t j = 0; j < out.size(); ++j) {
            double sum = p[s.bias_offset + j];
            for (std::size_t i = 0; i < in.size(); ++i)
                sum += in[i] * p[s.weight_offset + i * out.size() + j];
            out[j] = act(s.activation, sum);
        }
        return out;
    }

    // Value of the input at (y, x, c), zero outside.
    static double at(const Stage& s, const Row& in, long y, long x, std::size_t c) {
        if (y < 0 || x < 0 || y >= long(s.height) || x >= long(s.width)) return 0;
        return in[(std::size_t(y) * s.width + std::size_t(x)) * s.channels + c];
    }

    static Row conv(const Stage& s, const Row& in, const Row& p) {
        Row out;
        for (long y = 0; y < long(s.out_height); ++y)
            for (long x = 0; x < long(s.out_width); ++x)
                for (std::size_t o = 0; o < s.out_channels; ++o) {
                    double sum = p[s.bias_offset + o];
                    for (long a = 0; a < long(s.window); ++a)
                        for (long b = 0; b < long(s.window); ++b)
                            for (std::size_t c = 0; c < s.channels; ++c)
                                sum +=
                                    at(s, in, y * s.stride + a - s.pad_top,
                                       x * s.stride + b - s.pad_left, c) *
                                    p[s.weight_offset +
                                      ((std::size_t(a) * s.window + std::size_t(b)) * s.channels +
                                       c) *
                                          s.out_channels +
                                      o];
                    out.push_back(act(s.activation, sum));
                }
        return out;
    }

    static Row pool(const Stage& s, const Row& in) {
        Row out;
        for (long y = 0; y < long(s.out_height); ++y)
            for (long x = 0; x < long(s.out_width); ++x)
                for (std::size_t c = 0; c < s.channels; ++c) {
                    double best = -1e300;
                    for (long a = 0; a < long(s.window); ++a)
                        for (long b = 0; b < long(s.window); ++b)
                            best = std::max(best, at(s, in, y * s.stride + a, x * s.stride + b, c));
                    out.push_back(best);
                }
        return out;
    }

    Row outputs(const Row& p, Row x) const {
        for (const Stage& s : network.stages()) {
            switch (s.kind) {
                case LayerKind::dense: x = dense(s, x, p); break;
                case LayerKind::conv: x = conv(s, x, p); break;
                case LayerKind::max_pool: x = pool(s, x); break;
                case LayerKind::relu:
                    for (auto& v : x) v = act(Activation::relu, v);
                    break;
                case LayerKind::tanh:
                    for (auto& v : x) v = act(Activation::tanh, v);
                    break;
                default: break;  // checked against the network itself in test_layers.cpp
            }
        }
        return x;
    }

    double loss(const Row& p, const Batch& batch) const {  // mean over the batch
        double total = 0;
        const std::size_t n = network.input_count(), m = network.output_count();
        for (std::size_t i = 0; i < batch.size; ++i) {
            const Row z = outputs(p, Row(batch.inputs.begin() + long(i * n),
                                         batch.inputs.begin() + long((i + 1) * n)));
            double sum = 0;
            for (std::size_t j = 0; j < m; ++j) {
                if (network.spec().loss == Loss::softmax_cross_entropy) {
                    sum += std::exp(z[j]);
                } else {
                    const double t = batch.targets.empty()
                                         ? double(j == std::size_t(batch.labels[i]))
                                         : double(batch.targets[i * m + j]);
                    total += (z[j] - t) * (z[j] - t) / double(m);
                }
            }
            if (network.spec().loss == Loss::softmax_cross_entropy)
                total += std::log(sum) - z[std::size_t(batch.labels[i])];
        }
        return total / double(batch.size);
    }
};

}  // namespace gossamer::model
