// A program: the ops of one step, their tables, and how much memory they need; and what its builder
// is made of. The gradient of a stage's output is given by whoever reads it, already multiplied by
// the slope of the stage's activation; the first to give it writes, the others add.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "learning/cuda/network_fault.hpp"
#include "learning/cuda/plugin.h"
#include "learning/cuda/tiling.hpp"

namespace gossamer::cuda {

struct Program {
    std::vector<Op> ops;
    // Tables that ops point into once they lie on the card: table_at[i] of ops[i].
    struct TableAt {
        std::int64_t pixels = -1, windows = -1;
    };
    std::vector<TableAt> table_at;
    std::vector<Pixel> pixels;
    std::vector<Window> windows;
    std::int64_t arena_floats = 0;      // of each replica
    std::int64_t workspace_floats = 0;  // of all
    std::int64_t ticket_count = 0;
};

struct ProgramOptions {
    int batch = 1, replicas = 1;
    bool scoring = false, persistent = false;
    bool fused = true, clips = false;
};

// What the stages are built from.
class ProgramParts {
protected:
    using Layer = gossamer_cuda_layer;
    ProgramParts(const gossamer_cuda_network& net, const ProgramOptions& options)
        : net_(net), options_(options), batch_(options.batch), placed_(net.layer_count) {}

    struct Placed {
        std::int64_t output = -1, delta = -1;
        std::int64_t kept = -1;  // what the way forth leaves for the way back
        Program::TableAt tables;
        bool needs = false;  // a gradient: it learns, or something below it
        bool given = false;
        std::int64_t gates = -1, cells = -1, before = -1;  // of recurrent stages
        std::int64_t qkv = -1, mixed = -1;                 // of attention
        std::int64_t inner = -1;                           // of an adapter: scale · x·A
    };

    const Layer& layer(int i) const { return net_.layers[i]; }
    Placed& placed(int i) { return placed_[static_cast<std::size_t>(i)]; }
    static bool learnt(std::uint64_t at) { return at < GOSSAMER_CUDA_FROZEN; }
    static bool learnt_here(const Layer& l) {  // weights or bias
        return learnt(l.weight_offset) || (l.biased != 0 && learnt(l.bias_offset));
    }
    static int number(std::uint64_t n) { return static_cast<int>(n); }
    static std::int64_t offset(std::uint64_t n) { return static_cast<std::int64_t>(n); }
    bool needs(int i) { return i >= 0 && placed(i).needs; }

    std::int64_t reserve(std::int64_t floats) {
        const std::int64_t at = program_.arena_floats;
        program_.arena_floats += (floats + 31) / 32 * 32;  // 128 bytes
        return at;
    }
    int positions(const Layer& l) const { return number(std::uint64_t{l.height} * l.width); }
    int rows(const Layer& l) const { return positions(l) * batch_; }
    int in_count(const Layer& l) const { return rows(l) * number(l.channels); }
    int out_count(const Layer& l) const {
        return number(std::uint64_t{l.out_height} * l.out_width * l.out_channels) * batch_;
    }
    std::int64_t output_of(int i) { return i < 0 ? input_ : placed(i).output; }

    Op& add(OpKind kind, Program::TableAt tables = {}) {
        program_.ops.emplace_back();
        program_.table_at.push_back(tables);
        Op& op = program_.ops.back();
        op.kind = kind, op.batch = batch_, op.training = !options_.scoring;
        return op;
    }
    Op& product(OpKind kind, int m, int n, int k, Program::TableAt tables = {}) {
        Op& op = add(kind, tables);
        op.m = m, op.n = n, op.k = k, op.in_stride = k, op.out_stride = n;
        return op;
    }
    // To whom the op gives its gradient.
    void give_to(Op& op, int i) {
        Placed& p = placed(i);
        op.out = p.delta, op.adds = std::exchange(p.given, true);
        pass_slope(op, i);
    }
    // The activation whose slope multiplies the gradient of layer i's output.
    void pass_slope(Op& op, int i) {
        op.activation = number(layer(i).activation);
        if (needs_input(op.activation)) op.activation = kNone;
        op.y = op.activation != kNone ? output_of(i) : -1;
    }
    // An op whose gradients a learner takes: those of tensors that are not frozen.
    Op& learner(Op& op, std::uint64_t weights, bool biased = false, std::uint64_t bias = 0) {
        op.weights = learnt(weights) ? offset(weights) : -1;
        op.bias = biased && learnt(bias) ? offset(bias) : -1;
        op.fused = options_.fused;
        return op;
    }

    // How a layer's windows lie: of the way forth, and of the gradient of its weights.
    Program::TableAt forward_tables(const Layer& l) {
        const Program::TableAt at = tables_here();
        for (int b = 0; b < batch_; ++b)
            for (int y = 0; y < number(l.out_height); ++y)
                for (int x = 0; x < number(l.out_width); ++x)
                    program_.pixels.push_back({y * number(l.stride) - number(l.pad_top),
                                               x * number(l.stride) - number(l.pad_left),
                                               b * number(l.height * l.width * l.channels), 0});
        windows(l, l.channels, 1, 0);
        return at;
    }
    Program::TableAt back_tables(const Layer& l) {
        const Program::TableAt at = tables_here();
        for (int b = 0; b < batch_; ++b)
            for (int y = 0; y < number(l.height); ++y)
                for (int x = 0; x < number(l.width); ++x)
                    program_.pixels.push_back(
                        {y + number(l.pad_top), x + number(l.pad_left),
                         b * number(l.out_height * l.out_width * l.out_channels), 0});
        windows(l, l.out_channels, -1, number(l.channels * l.out_channels));
        return at;
    }
    static void images(Op& op, std::uint32_t height, std::uint32_t width, std::uint32_t channels,
                       std::uint32_t divide) {
        op.height = number(height), op.width = number(width), op.channels = number(channels);
        op.divide = number(divide);
    }

    const gossamer_cuda_network& net_;
    const ProgramOptions options_;
    const int batch_;
    Program program_;
    std::vector<Placed> placed_;
    std::int64_t input_ = -1, labels_ = -1, targets_ = -1;

private:
    Program::TableAt tables_here() const {
        return {std::int64_t(program_.pixels.size()), std::int64_t(program_.windows.size())};
    }
    void windows(const Layer& l, std::uint32_t channels, int way, int weights_each) {
        for (int y = 0; y < number(l.window_height); ++y)
            for (int x = 0; x < number(l.window_width); ++x)
                for (int c = 0; c < number(channels); ++c) {
                    const int place = y * number(l.window_width) + x;
                    program_.windows.push_back(
                        {way * y, way * x, c, weights_each > 0 ? place * weights_each + c : 0});
                }
    }
};

}  // namespace gossamer::cuda
