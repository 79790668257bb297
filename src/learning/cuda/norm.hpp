// Normalisation over the positions and the channels of a group: group norm, layer norm (a group of
// one position), RMS norm (not centred). A tile is a block's group of one sample. Two passes, for
// the one-pass form loses the variance of values far from zero.
#pragma once

#include "learning/cuda/layers.hpp"

namespace gossamer::cuda {

constexpr float kNormEpsilon = 1e-5f;
constexpr int kNormChannels = 32, kNormLanes = kThreads / kNormChannels;  // of a tile of sums

// Where the elements of group `tile` lie: op.rows positions of `width` channels, from `first` on.
struct NormGroup {
    std::int64_t first;
    int width, count, channel;
};
GOSSAMER_BODY NormGroup norm_group(const Op& op, int tile) {
    const int width = op.channels / op.groups, sample = tile / op.groups, group = tile % op.groups;
    return {std::int64_t{sample} * op.rows * op.channels + group * width, width, op.rows * width,
            group * width};
}
GOSSAMER_BODY std::int64_t element_of(const Op& op, const NormGroup& g, int i) {
    return g.first + std::int64_t{i / g.width} * op.channels + i % g.width;
}

GOSSAMER_BODY void norm_forward(Block& block, const Op& op, const Room& room, int tile) {
    auto* sums = reinterpret_cast<double*>(block.shared);
    auto* squares = sums + kThreads;
    const NormGroup g = norm_group(op, tile);
    const float* in = room.arena + op.in;
    float mean = 0;
    if (op.centred) {
        block.each([&](int t) {
            float sum = 0;
            for (int i = t; i < g.count; i += kThreads) sum += in[element_of(op, g, i)];
            sums[t] = double(sum);
        });
        sum_tree(block, sums);
        mean = static_cast<float>(sums[0] / g.count);
    }
    block.each([&](int t) {
        float sum = 0;
        for (int i = t; i < g.count; i += kThreads) {
            const float d = in[element_of(op, g, i)] - mean;
            sum += d * d;
        }
        squares[t] = double(sum);
    });
    sum_tree(block, squares);
    const float inverse = 1.0f / sqrtf(static_cast<float>(squares[0] / g.count) + kNormEpsilon);
    const float* gain = room.values(op.weights) + g.channel;
    const float* shift = op.bias >= 0 ? room.values(op.bias) + g.channel : nullptr;
    float* out = room.arena + op.out;
    float* kept = room.arena + op.kept + 2 * std::int64_t{tile};
    block.each([&](int t) {
        if (t == 0) kept[0] = mean, kept[1] = inverse;
        for (int i = t; i < g.count; i += kThreads) {
            const std::int64_t e = element_of(op, g, i);
            const int c = i % g.width;
            const float y = (in[e] - mean) * inverse * gain[c];
            out[e] = activate(op.activation, shift != nullptr ? y + shift[c] : y);
        }
    });
}

// With xh = (x - mean) · inverse and m elements in the group:
// dx = inverse · (gain · dy - Σ gain · dy / m - xh · Σ gain · dy · xh / m); RMS has no middle term.
GOSSAMER_BODY void norm_back(Block& block, const Op& op, const Room& room, int tile) {
    auto* plain = reinterpret_cast<double*>(block.shared);
    auto* weighed = plain + kThreads;
    const NormGroup g = norm_group(op, tile);
    const float *dy = room.arena + op.in, *x = room.arena + op.second;
    const float* gain = room.values(op.weights) + g.channel;
    const float* kept = room.arena + op.kept + 2 * std::int64_t{tile};
    const float mean = kept[0], inverse = kept[1];
    block.each([&](int t) {
        float a = 0, b = 0;
        for (int i = t; i < g.count; i += kThreads) {
            const std::int64_t e = element_of(op, g, i);
            const float d = gain[i % g.width] * dy[e];
            a += d, b += d * ((x[e] - mean) * inverse);
        }
        plain[t] = double(a), weighed[t] = double(b);
    });
    sum_tree(block, plain);
    sum_tree(block, weighed);
    const float a = op.centred ? static_cast<float>(plain[0] / g.count) : 0.0f;
    const float b = static_cast<float>(weighed[0] / g.count);
    block.each([&](int t) {
        for (int i = t; i < g.count; i += kThreads) {
            const std::int64_t e = element_of(op, g, i);
            const float d = gain[i % g.width] * dy[e];
            give(op, room, e, inverse * (d - a - (x[e] - mean) * inverse * b));
        }
    });
}

// Of the gain and the shift, a part of the positions: tiles are parts x channels by 32. A part's
// sums lie one after the other: of gains, then of shifts.
GOSSAMER_BODY void norm_sums(Block& block, const Op& op, const Room& room, int tile) {
    auto* gains = reinterpret_cast<float*>(block.shared);
    auto* shifts = gains + kThreads;
    const int across = (op.channels + kNormChannels - 1) / kNormChannels;
    const int part = tile / across, first = tile % across * kNormChannels;
    const int begin = part * op.k_part;
    const int end = begin + op.k_part < op.k ? begin + op.k_part : op.k;
    const int width = op.channels / op.groups;
    const float *dy = room.arena + op.in, *x = room.arena + op.second;
    const float* kept = room.arena + op.kept;
    block.each([&](int t) {
        const int c = first + t % kNormChannels;
        float gain = 0, shift = 0;
        for (int row = begin + t / kNormChannels; c < op.channels && row < end; row += kNormLanes) {
            const std::int64_t e = std::int64_t{row} * op.channels + c;
            const float* stats = kept + 2 * (std::int64_t{row / op.rows} * op.groups + c / width);
            gain += dy[e] * ((x[e] - stats[0]) * stats[1]), shift += dy[e];
        }
        gains[t] = gain, shifts[t] = shift;
    });
    float* out = room.arena + op.out + std::int64_t{part} * 2 * op.channels;
    block.each([&](int t) {
        const int c = first + t;
        if (t >= kNormChannels || c >= op.channels) return;
        float gain = 0, shift = 0;
        for (int lane = 0; lane < kNormLanes; ++lane)
            gain += gains[lane * kNormChannels + t], shift += shifts[lane * kNormChannels + t];
        out[c] = gain, out[op.channels + c] = shift;
    });
}

GOSSAMER_BODY void norm_weights(Block& block, const Op& op, const Areas& areas, const Room& room,
                                int tile) {
    if (room.state->size == 0) return;
    const Learner learner(op, areas, room);
    const float* parts = room.arena + op.in;
    const int values = op.bias >= 0 ? 2 * op.channels : op.channels;
    each_of(block, tile, values, [&](int e) {
        float sum = 0;
        for (int p = 0; p < op.k; ++p) sum += parts[std::int64_t{p} * 2 * op.channels + e];
        if (e >= op.channels)
            learner.take(op.bias + e - op.channels, sum);
        else if (op.weights >= 0)
            learner.take(op.weights + e, sum);
    });
}

}  // namespace gossamer::cuda
