// What a network and a plan must satisfy before anything is built from them.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>

#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

constexpr std::uint64_t kExtentsMost = std::numeric_limits<std::int32_t>::max();

// A product of extents; more than kExtentsMost where it is too large.
inline std::uint64_t product_of(std::initializer_list<std::uint64_t> extents) {
    std::uint64_t p = 1;
    for (auto e : extents) p = p > kExtentsMost || e > kExtentsMost ? kExtentsMost + 1 : p * e;
    return p;
}

// How many parameters a layer has at each of its offsets.
struct LayerParameters {
    std::uint64_t weights = 0, bias = 0, second = 0, second_bias = 0;
    std::uint64_t adapter_a = 0, adapter_b = 0;
};
inline LayerParameters parameters_of(const gossamer_cuda_layer& l) {
    const std::uint64_t in = l.channels, out = l.out_channels, bias = l.biased != 0 ? out : 0;
    const std::uint64_t gates = l.kind == GOSSAMER_CUDA_LSTM ? 4 : 3;
    switch (l.kind) {
        case GOSSAMER_CUDA_DENSE:
            return {product_of({in, out}),    bias, 0, 0, product_of({in, l.rank}),
                    product_of({l.rank, out})};
        case GOSSAMER_CUDA_CONV:
            return {product_of({l.window_height, l.window_width, in, out}), bias, 0, 0};
        case GOSSAMER_CUDA_GROUP_NORM:
        case GOSSAMER_CUDA_LAYER_NORM:
        case GOSSAMER_CUDA_RMS_NORM: return {in, bias, 0, 0};
        case GOSSAMER_CUDA_EMBEDDING: return {product_of({l.vocabulary, out}), 0, 0, 0};
        case GOSSAMER_CUDA_POSITION: return {product_of({l.height, l.width, in}), 0, 0, 0};
        case GOSSAMER_CUDA_LSTM:
        case GOSSAMER_CUDA_GRU:
            return {product_of({in, gates, out}), gates * bias, product_of({out, gates, out}), 0};
        case GOSSAMER_CUDA_ATTENTION:
            return {product_of({in, 3, in}), 3 * in, product_of({in, in}), in};
        case GOSSAMER_CUDA_FACTORS:
            return {product_of({l.vocabulary, l.rank}), std::uint64_t{l.vocabulary} + l.items + 1,
                    product_of({l.items, l.rank}), 0};
        default: return {};
    }
}

// A tensor's place and size.
struct Extent {
    std::uint64_t at, count;
};
inline std::array<Extent, 6> extents_of(const gossamer_cuda_layer& l) {
    const auto p = parameters_of(l);
    return {{{l.weight_offset, p.weights},
             {l.bias_offset, p.bias},
             {l.second_offset, p.second},
             {l.second_bias_offset, p.second_bias},
             {l.adapter_a_offset, p.adapter_a},
             {l.adapter_b_offset, p.adapter_b}}};
}
// Does it have parameters, other than frozen ones?
inline bool learns(const gossamer_cuda_layer& l) {
    const auto all = extents_of(l);
    return std::any_of(all.begin(), all.end(),
                       [&](const Extent& e) { return e.count > 0 && e.at < GOSSAMER_CUDA_FROZEN; });
}

// Empty, or what is wrong with the shapes of a layer of this kind.
inline std::string shape_fault(const gossamer_cuda_layer& l) {
    const auto in = product_of({l.height, l.width, l.channels});
    const auto out = product_of({l.out_height, l.out_width, l.out_channels});
    const bool same_rows = l.height == l.out_height && l.width == l.out_width;
    const bool pads = l.pad_top != 0 || l.pad_left != 0;
    if (l.activation > GOSSAMER_CUDA_SILU) return "an unknown activation";
    if (l.activation > GOSSAMER_CUDA_SIGMOID && l.kind != GOSSAMER_CUDA_ACTIVATION)
        return "an activation that is a layer of its own";
    switch (l.kind) {
        case GOSSAMER_CUDA_DENSE: return same_rows ? "" : "(dense) other rows";
        case GOSSAMER_CUDA_CONV:
            return product_of({l.window_height, l.window_width, l.out_channels}) > kExtentsMost
                       ? "too large a window"
                       : "";
        case GOSSAMER_CUDA_MAX_POOL:
        case GOSSAMER_CUDA_AVERAGE_POOL:
            if (l.channels != l.out_channels || pads) return "(pool) other channels, or a border";
            return std::uint64_t{l.out_height - 1} * l.stride + l.window_height > l.height ||
                           std::uint64_t{l.out_width - 1} * l.stride + l.window_width > l.width
                       ? "(pool) a reach beyond its input"
                       : "";
        case GOSSAMER_CUDA_ACTIVATION:
        case GOSSAMER_CUDA_DROPOUT:
        case GOSSAMER_CUDA_ADD: return in == out ? "" : "another size";
        case GOSSAMER_CUDA_GROUP_NORM:
        case GOSSAMER_CUDA_LAYER_NORM:
        case GOSSAMER_CUDA_RMS_NORM:
        case GOSSAMER_CUDA_POSITION:
        case GOSSAMER_CUDA_ATTENTION:
            if (!same_rows || l.channels != l.out_channels) return "another shape";
            if (l.kind != GOSSAMER_CUDA_GROUP_NORM && l.kind != GOSSAMER_CUDA_ATTENTION) break;
            return l.groups == 0 || l.channels % l.groups != 0 ? "groups that do not divide" : "";
        case GOSSAMER_CUDA_LSTM:
        case GOSSAMER_CUDA_GRU: return same_rows && l.height == 1 ? "" : "other steps";
        case GOSSAMER_CUDA_LAST:
            return l.height == 1 && l.out_height == 1 && l.out_width == 1 &&
                           l.channels == l.out_channels
                       ? ""
                       : "another shape";
        case GOSSAMER_CUDA_EMBEDDING:
            return l.input < 0 && l.channels == 1 && same_rows && l.vocabulary > 0
                       ? ""
                       : "(embedding) another shape, or is not the first";
        case GOSSAMER_CUDA_FACTORS:
            return l.input < 0 && in >= 2 && out == 1 && l.vocabulary > 0 && l.items > 0 &&
                           l.rank > 0
                       ? ""
                       : "(factors) another shape, or is not the first";
        default: return "unknown kind " + std::to_string(l.kind);
    }
    return {};
}

// Empty, or why the network cannot be run. Everything a program is built from is checked here.
inline std::string network_fault(const gossamer_cuda_network& net, std::uint64_t batch) {
    if (net.layer_count == 0 || net.layer_count > 1000 || net.layers == nullptr)
        return "a network needs layers";
    if (net.parameter_count == 0 || net.parameter_count > kExtentsMost)
        return "too many parameters";
    if (net.frozen_count > kExtentsMost || (net.frozen_count > 0 && net.frozen == nullptr))
        return "too many frozen values, or none given";
    if (net.loss > GOSSAMER_CUDA_RECONSTRUCTION) return "loss " + std::to_string(net.loss);
    const auto out_count = [&](std::int32_t i) {
        if (i < 0) return net.input_count;
        const auto& l = net.layers[i];
        return product_of({l.out_height, l.out_width, l.out_channels});
    };
    bool any = false;
    for (std::uint32_t i = 0; i < net.layer_count; ++i) {
        const gossamer_cuda_layer& l = net.layers[i];
        const std::string name = "layer " + std::to_string(i + 1);
        for (std::uint32_t extent : {l.height, l.width, l.channels, l.out_height, l.out_width,
                                     l.out_channels, l.window_height, l.window_width, l.stride})
            if (extent == 0 || extent > (1u << 24)) return name + " has an extent out of range";
        if (l.pad_top >= l.window_height || l.pad_left >= l.window_width)
            return name + " pads by more than its window";
        if (!(l.rate >= 0 && l.rate < 1)) return name + " has a rate out of range";
        const auto before = static_cast<std::int32_t>(i);
        const bool adds = l.kind == GOSSAMER_CUDA_ADD;
        if (l.input < -1 || l.input >= before || (adds && (l.source < -1 || l.source >= before)))
            return name + " reads what is not there yet";
        const auto in = product_of({l.height, l.width, l.channels});
        if (in != out_count(l.input) || (adds && in != out_count(l.source)))
            return name + " does not take what comes before it";
        if (const auto fault = shape_fault(l); !fault.empty()) return name + " has " + fault;
        const auto scores = product_of({l.groups, l.width, l.width});
        const auto inner = product_of({l.height, l.width, l.rank});  // of an adapter
        const auto widest = std::max(product_of({std::max({in, inner, out_count(before)}), 4}),
                                     l.kind == GOSSAMER_CUDA_ATTENTION ? scores : 0);
        if (widest > kExtentsMost / batch) return name + " is too large for the batch";
        any = any || learns(l);
        for (const auto& [at, count] : extents_of(l)) {
            const bool frozen = at >= GOSSAMER_CUDA_FROZEN;
            const auto first = frozen ? at - GOSSAMER_CUDA_FROZEN : at;
            const auto room = frozen ? net.frozen_count : net.parameter_count;
            if (count > 0 && (first > room || count > room - first))
                return name + " has weights beyond the parameters";
        }
    }
    if (!any) return "no layer has parameters that are learned";
    if (out_count(static_cast<std::int32_t>(net.layer_count) - 1) != net.output_count)
        return "the last layer does not give the outputs";
    if (net.loss == GOSSAMER_CUDA_RECONSTRUCTION && net.output_count != net.input_count)
        return "reconstruction needs as many outputs as inputs";
    if (net.target_count != 0 && net.target_count != net.output_count)
        return "there are not as many targets as outputs";
    if (net.label_count == 0 || net.output_count % net.label_count != 0)
        return "the labels do not divide the outputs";
    if (net.label_count > 1 && net.loss != GOSSAMER_CUDA_SOFTMAX)
        return "several labels a sample are learned by softmax cross-entropy alone";
    if (net.loss == GOSSAMER_CUDA_SOFTMAX && net.target_count != 0)
        return "softmax cross-entropy needs labels";
    return {};
}

}  // namespace gossamer::cuda
