// Networks for the checks of the CUDA plugin, which stand alone: no room of the house, no library.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

struct Net {
    std::vector<gossamer_cuda_layer> layers;
    std::uint32_t height, width, channels;
    std::uint64_t inputs, parameters = 0;
    std::uint32_t loss = GOSSAMER_CUDA_SOFTMAX;
    std::uint32_t targets = 0;

    Net(std::uint32_t h, std::uint32_t w, std::uint32_t c)
        : height(h), width(w), channels(c), inputs(std::uint64_t{h} * w * c) {}

    Net& dense(std::uint32_t units, std::uint32_t activation = GOSSAMER_CUDA_LINEAR) {
        auto l = layer(GOSSAMER_CUDA_DENSE, activation);
        l.channels = height * width * channels, l.height = l.width = 1;
        l.out_height = l.out_width = 1, l.out_channels = units;
        return learn(l, std::uint64_t{l.channels} * units, 1, 1, units);
    }
    Net& conv(std::uint32_t units, std::uint32_t window, std::uint32_t stride, bool same,
              std::uint32_t activation = GOSSAMER_CUDA_LINEAR) {
        auto l = layer(GOSSAMER_CUDA_CONV, activation);
        l.window_height = l.window_width = window, l.stride = stride;
        const auto side = [&](std::uint32_t size, std::uint32_t& pad) {
            if (!same) return (size - window) / stride + 1;
            const std::uint32_t out = (size + stride - 1) / stride;
            const std::uint32_t needed = (out - 1) * stride + window;
            pad = needed > size ? (needed - size) / 2 : 0;
            return out;
        };
        l.out_height = side(height, l.pad_top), l.out_width = side(width, l.pad_left);
        l.out_channels = units;
        return learn(l, std::uint64_t{window} * window * channels * units, l.out_height,
                     l.out_width, units);
    }
    Net& pool(std::uint32_t window, std::uint32_t stride, bool most = true) {
        auto l = layer(most ? GOSSAMER_CUDA_MAX_POOL : GOSSAMER_CUDA_AVERAGE_POOL, 0);
        l.window_height = l.window_width = window, l.stride = stride;
        l.out_height = (height - window) / stride + 1;
        l.out_width = (width - window) / stride + 1;
        l.out_channels = channels;
        return put(l, l.out_height, l.out_width, channels);
    }
    Net& activate(std::uint32_t activation) {
        return put(layer(GOSSAMER_CUDA_ACTIVATION, activation), height, width, channels);
    }
    Net& dropout(float rate) {
        auto l = layer(GOSSAMER_CUDA_DROPOUT, 0);
        l.rate = rate;
        return put(l, height, width, channels);
    }
    Net& with(std::uint32_t loss_kind, std::uint32_t target_count = 0) {
        loss = loss_kind, targets = target_count;
        return *this;
    }
    std::uint64_t outputs() const { return std::uint64_t{height} * width * channels; }
    gossamer_cuda_network description() const {
        gossamer_cuda_network n{};
        n.size = sizeof n;
        n.layer_count = static_cast<std::uint32_t>(layers.size()), n.layers = layers.data();
        n.parameter_count = parameters, n.input_count = inputs, n.output_count = outputs();
        n.loss = loss, n.target_count = targets;
        return n;
    }

private:
    gossamer_cuda_layer layer(std::uint32_t kind, std::uint32_t activation) const {
        gossamer_cuda_layer l{};
        l.kind = kind, l.activation = activation;
        l.height = l.out_height = height, l.width = l.out_width = width;
        l.channels = l.out_channels = channels;
        l.window_height = l.window_width = l.stride = 1;
        return l;
    }
    Net& learn(gossamer_cuda_layer l, std::uint64_t weights, std::uint32_t h, std::uint32_t w,
               std::uint32_t c) {
        l.biased = 1;
        l.weight_offset = parameters, l.bias_offset = parameters + weights;
        parameters += weights + c;
        return put(l, h, w, c);
    }
    Net& put(const gossamer_cuda_layer& l, std::uint32_t h, std::uint32_t w, std::uint32_t c) {
        layers.push_back(l);
        height = h, width = w, channels = c;
        return *this;
    }
};

// The two networks of McMahan et al. 2017 on 28 x 28 images.
inline Net two_layer_net() {
    return Net(28, 28, 1).dense(200, GOSSAMER_CUDA_RELU).dense(200, GOSSAMER_CUDA_RELU).dense(10);
}
inline Net fedavg_cnn() {
    return Net(28, 28, 1)
        .conv(32, 5, 1, true, GOSSAMER_CUDA_RELU)
        .pool(2, 2)
        .conv(64, 5, 1, true, GOSSAMER_CUDA_RELU)
        .pool(2, 2)
        .dense(512, GOSSAMER_CUDA_RELU)
        .dense(10);
}

// Numbers that look random and are the same everywhere.
class Numbers {
public:
    explicit Numbers(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
    std::uint32_t next() {
        state_ = state_ * 6364136223846793005ull + 1442695040888963407ull;
        return static_cast<std::uint32_t>(state_ >> 33);
    }
    float even(float least, float most) {
        return least + (most - least) * static_cast<float>(next() >> 7) * 0x1p-24f;
    }
    std::vector<float> vector(std::size_t count, float size) {
        std::vector<float> v(count);
        for (auto& x : v) x = even(-size, size);
        return v;
    }

private:
    std::uint64_t state_;
};

// He-uniform weights, biases a little off zero.
inline std::vector<float> weights_of(const Net& net, std::uint64_t seed) {
    Numbers numbers(seed);
    std::vector<float> w(net.parameters);
    for (const auto& l : net.layers) {
        if (l.kind > GOSSAMER_CUDA_CONV) continue;
        const std::uint32_t in = l.kind == GOSSAMER_CUDA_DENSE
                                     ? l.channels
                                     : l.window_height * l.window_width * l.channels;
        const float bound = std::sqrt(6.0f / static_cast<float>(in));
        for (std::uint64_t i = 0; i < std::uint64_t{in} * l.out_channels; ++i)
            w[l.weight_offset + i] = numbers.even(-bound, bound);
        for (std::uint32_t i = 0; i < l.out_channels; ++i)
            w[l.bias_offset + i] = numbers.even(-0.1f, 0.1f);
    }
    return w;
}

struct Samples {
    std::uint64_t count, features;
    std::vector<float> floats, targets;
    std::vector<std::uint8_t> bytes;
    std::vector<std::int32_t> labels;
    std::uint32_t classes = 0, target_count = 0;

    // Random ones, of the form a network wants.
    Samples(const Net& net, std::uint64_t n, std::uint64_t seed, bool as_bytes = false)
        : count(n), features(net.inputs), target_count(net.targets) {
        Numbers numbers(seed);
        if (as_bytes)
            for (std::uint64_t i = 0; i < n * features; ++i)
                bytes.push_back(static_cast<std::uint8_t>(numbers.next() % 256));
        else
            floats = numbers.vector(n * features, 1.0f);
        if (target_count > 0) {
            for (std::uint64_t i = 0; i < n * target_count; ++i)
                targets.push_back(numbers.even(0, 1));
        } else {
            classes = static_cast<std::uint32_t>(net.outputs());
            for (std::uint64_t i = 0; i < n; ++i)
                labels.push_back(static_cast<std::int32_t>(numbers.next() % classes));
        }
    }
    float value(std::uint64_t row, std::uint64_t feature) const {
        const std::uint64_t at = row * features + feature;
        return bytes.empty() ? floats[at] : static_cast<float>(bytes[at]) * (1.0f / 255.0f);
    }
    gossamer_cuda_data_description description() const {
        gossamer_cuda_data_description d{};
        d.size = sizeof d;
        d.sample_count = count, d.feature_count = features, d.byte_scale = 1.0f / 255.0f;
        d.bytes = bytes.empty() ? nullptr : bytes.data();
        d.floats = floats.empty() ? nullptr : floats.data();
        d.labels = labels.empty() ? nullptr : labels.data();
        d.targets = targets.empty() ? nullptr : targets.data();
        d.target_count = target_count, d.class_count = classes;
        return d;
    }
};

}  // namespace gossamer::cuda
