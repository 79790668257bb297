// What a network and a plan must satisfy before anything is built from them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

// Empty, or why the network cannot be run. Everything a program is built from is checked here.
inline std::string network_fault(const gossamer_cuda_network& net, std::uint64_t batch) {
    constexpr std::uint64_t kMost = std::numeric_limits<std::int32_t>::max();
    if (net.layer_count == 0 || net.layer_count > 1000 || net.layers == nullptr)
        return "a network needs layers";
    if (net.parameter_count == 0 || net.parameter_count > kMost) return "too many parameters";
    if (net.loss > GOSSAMER_CUDA_RECONSTRUCTION) return "loss " + std::to_string(net.loss);
    std::uint64_t count = net.input_count;  // floats of a sample that reach the layer
    for (std::uint32_t i = 0; i < net.layer_count; ++i) {
        const gossamer_cuda_layer& l = net.layers[i];
        const std::string name = "layer " + std::to_string(i + 1);
        for (std::uint32_t extent : {l.height, l.width, l.channels, l.out_height, l.out_width,
                                     l.out_channels, l.window_height, l.window_width, l.stride})
            if (extent == 0 || extent > (1u << 24)) return name + " has an extent out of range";
        if (l.pad_top >= l.window_height || l.pad_left >= l.window_width)
            return name + " pads by more than its window";
        if (l.activation > GOSSAMER_CUDA_SIGMOID) return name + " has an unknown activation";
        if (!(l.rate >= 0 && l.rate < 1)) return name + " has a rate out of range";
        const auto product = [&](std::initializer_list<std::uint32_t> extents) {
            std::uint64_t p = 1;
            for (auto e : extents) p = p > kMost ? p : p * e;
            return p;
        };
        const auto in = product({l.height, l.width, l.channels});
        const auto out = product({l.out_height, l.out_width, l.out_channels});
        if (in != count) return name + " does not take what comes before it";
        if (in > kMost / batch || out > kMost / batch) return name + " is too large for the batch";
        count = out;
        std::uint64_t weights = 0;
        switch (l.kind) {
            case GOSSAMER_CUDA_DENSE:
                if (l.height != l.out_height || l.width != l.out_width)
                    return name + " (dense) changes its rows";
                weights = product({l.channels, l.out_channels});
                break;
            case GOSSAMER_CUDA_CONV:
                weights = product({l.window_height, l.window_width, l.channels, l.out_channels});
                if (product({l.window_height, l.window_width, l.out_channels}) > kMost)
                    return name + " is too large";
                break;
            case GOSSAMER_CUDA_MAX_POOL:
            case GOSSAMER_CUDA_AVERAGE_POOL:
                if (l.channels != l.out_channels || l.pad_top != 0 || l.pad_left != 0)
                    return name + " (pool) changes its channels or pads";
                if (std::uint64_t{l.out_height - 1} * l.stride + l.window_height > l.height ||
                    std::uint64_t{l.out_width - 1} * l.stride + l.window_width > l.width)
                    return name + " (pool) reaches beyond its input";
                break;
            case GOSSAMER_CUDA_ACTIVATION:
            case GOSSAMER_CUDA_DROPOUT:
                if (in != out) return name + " changes its size";
                break;
            default: return name + " is of unknown kind " + std::to_string(l.kind);
        }
        if (weights > kMost || l.weight_offset > net.parameter_count ||
            weights > net.parameter_count - l.weight_offset)
            return name + " has weights beyond the parameters";
        if (weights > 0 && l.biased != 0 &&
            (l.bias_offset > net.parameter_count ||
             l.out_channels > net.parameter_count - l.bias_offset))
            return name + " has a bias beyond the parameters";
    }
    if (count != net.output_count) return "the last layer does not give the outputs";
    if (net.loss == GOSSAMER_CUDA_RECONSTRUCTION && net.output_count != net.input_count)
        return "reconstruction needs as many outputs as inputs";
    if (net.target_count != 0 && net.target_count != net.output_count)
        return "there are not as many targets as outputs";
    if (net.loss == GOSSAMER_CUDA_SOFTMAX && net.target_count != 0)
        return "softmax cross-entropy needs labels";
    return {};
}

}  // namespace gossamer::cuda
