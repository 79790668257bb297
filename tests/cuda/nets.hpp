// Networks for the checks of the CUDA plugin, which stand alone: no room of the house, no library.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "learning/cuda/network_fault.hpp"

namespace gossamer::cuda {

struct Net {
    std::vector<gossamer_cuda_layer> layers;
    std::uint32_t height, width, channels;
    std::uint64_t inputs, parameters = 0;
    std::uint32_t loss = GOSSAMER_CUDA_SOFTMAX;
    std::uint32_t targets = 0, labels = 1;
    std::uint32_t entries = 0, other_entries = 0;  // samples are numbers below; 0: any values
    std::vector<float> frozen = {};

    Net(std::uint32_t h, std::uint32_t w, std::uint32_t c)
        : height(h), width(w), channels(c), inputs(std::uint64_t{h} * w * c) {}

    Net& dense(std::uint32_t units, std::uint32_t activation = GOSSAMER_CUDA_LINEAR) {
        auto l = layer(GOSSAMER_CUDA_DENSE, activation);
        l.channels = height * width * channels, l.height = l.width = 1;
        l.out_height = l.out_width = 1, l.out_channels = units;
        return learn(l, std::uint64_t{l.channels} * units, 1, 1, units);
    }
    // The same with frozen weights, and an adapter of this rank that is learned beside the bias.
    Net& adapted(std::uint32_t units, std::uint32_t rank, std::uint32_t activation = 0) {
        dense(units, activation);
        auto& l = layers.back();
        l.weight_offset = GOSSAMER_CUDA_FROZEN + frozen.size();
        for (std::uint64_t i = 0; i < std::uint64_t{l.channels} * units; ++i)
            frozen.push_back(0.05f * static_cast<float>(static_cast<int>(i * 37 % 17) - 8));
        l.rank = rank, l.adapter_scale = 1.5f;
        l.bias_offset = parameters -= std::uint64_t{l.channels} * units + units;
        l.adapter_a_offset = l.bias_offset + units;
        l.adapter_b_offset = l.adapter_a_offset + std::uint64_t{l.channels} * rank;
        parameters = l.adapter_b_offset + std::uint64_t{rank} * units;
        return *this;
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
    Net& dense_each(std::uint32_t units, std::uint32_t activation = GOSSAMER_CUDA_LINEAR) {
        auto l = layer(GOSSAMER_CUDA_DENSE, activation);
        l.out_channels = units;
        return learn(l, std::uint64_t{channels} * units, height, width, units);
    }
    Net& norm(std::uint32_t kind, std::uint32_t groups = 1, std::uint32_t activation = 0) {
        auto l = layer(kind, activation);
        l.groups = groups;
        return learn(l, channels, height, width, channels, kind != GOSSAMER_CUDA_RMS_NORM);
    }
    // What is at hand now, for add() or from(): the number of the layer that gives it.
    std::int32_t here() const { return static_cast<std::int32_t>(layers.size()) - 1; }
    Net& add(std::int32_t source, std::uint32_t activation = GOSSAMER_CUDA_LINEAR) {
        auto l = layer(GOSSAMER_CUDA_ADD, activation);
        l.source = source;
        return put(l, height, width, channels);
    }
    Net& from(std::int32_t other) {  // goes on with the output of another layer
        const auto& l = layers[static_cast<std::size_t>(other)];
        height = l.out_height, width = l.out_width, channels = l.out_channels, input = other;
        return *this;
    }
    Net& embedding(std::uint32_t vocabulary, std::uint32_t units) {
        auto l = layer(GOSSAMER_CUDA_EMBEDDING, 0);
        l.width = l.out_width = width * height * channels, l.height = l.out_height = 1;
        l.channels = 1, l.out_channels = units, l.vocabulary = entries = vocabulary;
        return learn(l, std::uint64_t{vocabulary} * units, 1, l.width, units, false);
    }
    Net& position() {
        return learn(layer(GOSSAMER_CUDA_POSITION, 0), std::uint64_t{width} * channels, height,
                     width, channels, false);
    }
    Net& recurrent(std::uint32_t kind, std::uint32_t units) {
        auto l = layer(kind, 0);
        l.out_channels = units;
        const std::uint64_t gates = (kind == GOSSAMER_CUDA_LSTM ? 4 : 3) * units;
        l.biased = 1, l.weight_offset = parameters;
        l.second_offset = l.weight_offset + channels * gates;
        l.bias_offset = l.second_offset + units * gates;
        parameters = l.bias_offset + gates;
        return put(l, height, width, units);
    }
    Net& last() {
        auto l = layer(GOSSAMER_CUDA_LAST, 0);
        l.out_width = 1;
        return put(l, 1, 1, channels);
    }
    Net& attention(std::uint32_t heads) {
        auto l = layer(GOSSAMER_CUDA_ATTENTION, 0);
        const std::uint64_t c = channels;
        l.groups = heads, l.biased = 1, l.weight_offset = parameters;
        l.bias_offset = l.weight_offset + 3 * c * c, l.second_offset = l.bias_offset + 3 * c;
        l.second_bias_offset = l.second_offset + c * c;
        parameters = l.second_bias_offset + c;
        return put(l, height, width, channels);
    }
    Net& factors(std::uint32_t users, std::uint32_t items, std::uint32_t rank) {
        auto l = layer(GOSSAMER_CUDA_FACTORS, 0);
        l.vocabulary = entries = users, l.items = other_entries = items, l.rank = rank;
        l.out_height = l.out_width = l.out_channels = 1, l.biased = 1;
        l.weight_offset = parameters, l.second_offset = l.weight_offset + users * rank;
        l.bias_offset = l.second_offset + items * rank;
        parameters = l.bias_offset + users + items + 1;
        return put(l, 1, 1, 1);
    }
    Net& with(std::uint32_t loss_kind, std::uint32_t target_count = 0) {
        loss = loss_kind, targets = target_count;
        return *this;
    }
    Net& labelled_each() {  // a label at each position
        labels = height * width;
        return *this;
    }
    std::uint64_t outputs() const { return std::uint64_t{height} * width * channels; }
    gossamer_cuda_network description() const {
        gossamer_cuda_network n{};
        n.size = sizeof n;
        n.layer_count = static_cast<std::uint32_t>(layers.size()), n.layers = layers.data();
        n.parameter_count = parameters, n.input_count = inputs, n.output_count = outputs();
        n.loss = loss, n.target_count = targets, n.label_count = labels;
        n.frozen = frozen.data(), n.frozen_count = frozen.size();
        return n;
    }

private:
    gossamer_cuda_layer layer(std::uint32_t kind, std::uint32_t activation) const {
        gossamer_cuda_layer l{};
        l.kind = kind, l.activation = activation;
        l.height = l.out_height = height, l.width = l.out_width = width;
        l.channels = l.out_channels = channels;
        l.window_height = l.window_width = l.stride = 1;
        l.input = input, l.source = -1;
        return l;
    }
    Net& learn(gossamer_cuda_layer l, std::uint64_t weights, std::uint32_t h, std::uint32_t w,
               std::uint32_t c, bool biased = true) {
        l.biased = biased;
        l.weight_offset = parameters, l.bias_offset = parameters + weights;
        parameters += weights + (biased ? c : 0);
        return put(l, h, w, c);
    }
    Net& put(const gossamer_cuda_layer& l, std::uint32_t h, std::uint32_t w, std::uint32_t c) {
        layers.push_back(l);
        height = h, width = w, channels = c, input = here();
        return *this;
    }
    std::int32_t input = -1;  // of the next layer
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

// Those of the zoo whose layers are of other kinds.
inline Net character_lstm() {
    return Net(1, 80, 1)
        .embedding(90, 8)
        .recurrent(GOSSAMER_CUDA_LSTM, 256)
        .recurrent(GOSSAMER_CUDA_LSTM, 256)
        .last()
        .dense(90);
}
inline Net small_transformer() {
    Net net(1, 64, 1);
    net.embedding(96, 128).position();
    for (int block = 0; block < 3; ++block) {
        const auto before = net.here();
        net.norm(GOSSAMER_CUDA_LAYER_NORM).attention(4).add(before);
        const auto between = net.here();
        net.norm(GOSSAMER_CUDA_LAYER_NORM).dense_each(512).activate(GOSSAMER_CUDA_GELU);
        net.dense_each(128).add(between);
    }
    return net.dense_each(96).labelled_each();
}
inline Net small_residual_net() {
    constexpr auto group = GOSSAMER_CUDA_GROUP_NORM;
    constexpr auto relu = GOSSAMER_CUDA_RELU;
    Net net(32, 32, 3);
    net.conv(16, 3, 1, true).norm(group, 2, relu);
    for (std::uint32_t level = 0; level < 3; ++level) {
        const std::uint32_t units = 16u << level, groups = 2u << level, stride = level > 0 ? 2 : 1;
        const auto before = net.here();
        net.conv(units, 3, stride, true).norm(group, groups, relu);
        net.conv(units, 3, 1, true).norm(group, groups);
        const auto main = net.here();
        if (level > 0) net.from(before).conv(units, 1, 2, true).norm(group, groups);
        net.add(level > 0 ? main : before, relu);
    }
    return net.pool(net.height, 1, false).dense(10);
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
    // Of other kinds: near 1, as gains are; small, as tables and recurrent weights.
    for (const auto& l : net.layers) {
        const bool gains = l.kind >= GOSSAMER_CUDA_GROUP_NORM && l.kind <= GOSSAMER_CUDA_RMS_NORM;
        auto p = parameters_of(l);
        const bool adapted = p.adapter_a > 0;  // then its weights are frozen
        if (adapted) p.weights = 0;
        for (std::uint64_t i = 0; i < p.adapter_a; ++i)
            w[l.adapter_a_offset + i] = numbers.even(-0.4f, 0.4f);
        for (std::uint64_t i = 0; i < p.adapter_b; ++i)
            w[l.adapter_b_offset + i] = numbers.even(-0.4f, 0.4f);
        for (std::uint64_t i = 0; i < p.weights; ++i)
            w[l.weight_offset + i] = gains ? numbers.even(0.5f, 1.5f) : numbers.even(-0.4f, 0.4f);
        for (std::uint64_t i = 0; i < p.bias; ++i) w[l.bias_offset + i] = numbers.even(-0.1f, 0.1f);
        for (std::uint64_t i = 0; i < p.second; ++i)
            w[l.second_offset + i] = numbers.even(-0.4f, 0.4f);
        for (std::uint64_t i = 0; i < p.second_bias; ++i)
            w[l.second_bias_offset + i] = numbers.even(-0.1f, 0.1f);
        if (l.kind > GOSSAMER_CUDA_CONV || adapted) continue;
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
    std::uint32_t classes = 0, target_count = 0, label_count = 1;

    // Random ones, of the form a network wants.
    Samples(const Net& net, std::uint64_t n, std::uint64_t seed, bool as_bytes = false)
        : count(n), features(net.inputs), target_count(net.targets) {
        Numbers numbers(seed);
        if (as_bytes)
            for (std::uint64_t i = 0; i < n * features; ++i)
                bytes.push_back(static_cast<std::uint8_t>(numbers.next() % 256));
        else if (net.entries > 0)
            for (std::uint64_t i = 0; i < n * features; ++i)
                floats.push_back(static_cast<float>(
                    numbers.next() %
                    (i % 2 == 1 && net.other_entries > 0 ? net.other_entries : net.entries)));
        else
            floats = numbers.vector(n * features, 1.0f);
        if (target_count > 0) {
            for (std::uint64_t i = 0; i < n * target_count; ++i)
                targets.push_back(numbers.even(0, 1));
        } else {
            label_count = net.labels;
            classes = static_cast<std::uint32_t>(net.outputs()) / label_count;
            for (std::uint64_t i = 0; i < n * label_count; ++i)
                labels.push_back(label_count > 1 && i % 4 == 3
                                     ? -1
                                     : static_cast<std::int32_t>(numbers.next() % classes));
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
        d.target_count = target_count, d.class_count = classes, d.label_count = label_count;
        return d;
    }
};

}  // namespace gossamer::cuda
