// From a network to the ops of one step, and how much memory they need. Nothing here depends on the
// card found: the same network, batch and number of replicas give the same ops, so the same bits.
#pragma once

#include <algorithm>
#include <vector>

#include "learning/cuda/network_fault.hpp"
#include "learning/cuda/plugin.h"
#include "learning/cuda/run_op.hpp"

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

class ProgramBuilder {
public:
    ProgramBuilder(const gossamer_cuda_network& net, const ProgramOptions& options)
        : net_(net), options_(options), batch_(options.batch) {}

    Program build() {
        const int last = static_cast<int>(net_.layer_count) - 1;
        place_batch();
        for (int i = 0; i <= last; ++i) forward(i);
        place_loss(last);
        if (!options_.scoring) {
            int first = 0;
            while (first < last && !learns(layer(first))) ++first;
            for (int i = last; i >= first; --i) {
                if (i > first) back(i);
                weights(i);
            }
            if (!options_.fused) place_optimiser();
        }
        for (Op& op : program_.ops) divide(op);
        return std::move(program_);
    }

private:
    using Layer = gossamer_cuda_layer;
    const Layer& layer(int i) const { return net_.layers[i]; }
    static bool learns(const Layer& l) {
        return l.kind == GOSSAMER_CUDA_DENSE || l.kind == GOSSAMER_CUDA_CONV;
    }
    static int number(std::uint64_t n) { return static_cast<int>(n); }

    std::int64_t reserve(std::int64_t floats) {
        const std::int64_t at = program_.arena_floats;
        program_.arena_floats += (floats + 31) / 32 * 32;  // 128 bytes
        return at;
    }
    int in_count(const Layer& l) const { return number(l.height) * l.width * l.channels * batch_; }
    int out_count(const Layer& l) const {
        return number(l.out_height) * l.out_width * l.out_channels * batch_;
    }
    std::int64_t output_of(int i) const {
        return i < 0 ? input_ : outputs_[static_cast<std::size_t>(i)];
    }
    Op& add(OpKind kind, Program::TableAt tables = {}) {
        program_.ops.emplace_back();
        program_.table_at.push_back(tables);
        Op& op = program_.ops.back();
        op.kind = kind, op.batch = batch_, op.training = !options_.scoring;
        return op;
    }
    // The activation whose slope multiplies the gradient of layer i's output.
    void pass_slope(Op& op, int i) const {
        op.activation = number(layer(i).activation);
        op.y = op.activation != kNone ? output_of(i) : -1;
    }

    void place_batch() {
        input_ = reserve(static_cast<std::int64_t>(net_.input_count) * batch_);
        labels_ = reserve(batch_);
        if (net_.target_count > 0)
            targets_ = reserve(static_cast<std::int64_t>(net_.target_count) * batch_);
        Op& op = add(OpKind::gather);
        op.out = input_, op.labels = labels_, op.targets = targets_;
        op.features = number(net_.input_count), op.target_count = number(net_.target_count);
        op.count = op.features * batch_;
    }

    // How a layer's windows lie: of the way forth, and of the gradient of its weights.
    Program::TableAt forward_tables(const Layer& l) {
        const Program::TableAt at{std::int64_t(program_.pixels.size()),
                                  std::int64_t(program_.windows.size())};
        for (int b = 0; b < batch_; ++b)
            for (int y = 0; y < number(l.out_height); ++y)
                for (int x = 0; x < number(l.out_width); ++x)
                    program_.pixels.push_back({y * number(l.stride) - number(l.pad_top),
                                               x * number(l.stride) - number(l.pad_left),
                                               b * number(l.height * l.width * l.channels), 0});
        for (int y = 0; y < number(l.window_height); ++y)
            for (int x = 0; x < number(l.window_width); ++x)
                for (int c = 0; c < number(l.channels); ++c)
                    program_.windows.push_back({y, x, c, 0});
        return at;
    }
    Program::TableAt back_tables(const Layer& l) {
        const Program::TableAt at{std::int64_t(program_.pixels.size()),
                                  std::int64_t(program_.windows.size())};
        for (int b = 0; b < batch_; ++b)
            for (int y = 0; y < number(l.height); ++y)
                for (int x = 0; x < number(l.width); ++x)
                    program_.pixels.push_back(
                        {y + number(l.pad_top), x + number(l.pad_left),
                         b * number(l.out_height * l.out_width * l.out_channels), 0});
        for (int y = 0; y < number(l.window_height); ++y)
            for (int x = 0; x < number(l.window_width); ++x)
                for (int c = 0; c < number(l.out_channels); ++c)
                    program_.windows.push_back(
                        {-y, -x, c,
                         (y * number(l.window_width) + x) * number(l.channels * l.out_channels) +
                             c});
        return at;
    }
    static void images(Op& op, std::uint32_t height, std::uint32_t width, std::uint32_t channels,
                       std::uint32_t divide) {
        op.height = number(height), op.width = number(width), op.channels = number(channels);
        op.divide = number(divide);
    }
    static void pool(Op& op, const Layer& l) {
        images(op, l.height, l.width, l.channels, 1);
        op.out_height = number(l.out_height), op.out_width = number(l.out_width);
        op.window_height = number(l.window_height), op.window_width = number(l.window_width);
        op.stride = number(l.stride);
    }

    void forward(int i) {
        const Layer& l = layer(i);
        const std::int64_t in = output_of(i - 1);
        outputs_.push_back(reserve(out_count(l)));
        kept_.push_back(-1);
        deltas_.push_back(options_.scoring ? -1 : reserve(out_count(l)));
        Program::TableAt tables;
        if (l.kind == GOSSAMER_CUDA_CONV) tables = forward_tables(l);
        forward_tables_.push_back(tables);
        Op& op = add(forward_kind(l), tables);
        op.in = in, op.out = outputs_.back(), op.activation = number(l.activation);
        op.count = out_count(l), op.stage = i, op.rate = l.rate;
        switch (l.kind) {
            case GOSSAMER_CUDA_DENSE:
                op.m = batch_ * number(l.height * l.width), op.k = number(l.channels);
                op.n = number(l.out_channels);
                break;
            case GOSSAMER_CUDA_CONV:
                op.m = batch_ * number(l.out_height * l.out_width), op.n = number(l.out_channels);
                op.k = number(l.window_height * l.window_width * l.channels);
                images(op, l.height, l.width, l.channels, 1);
                break;
            case GOSSAMER_CUDA_MAX_POOL:
                kept_.back() = op.kept = reserve(out_count(l));
                [[fallthrough]];
            case GOSSAMER_CUDA_AVERAGE_POOL: pool(op, l); break;
            default: break;
        }
        if (!learns(l)) return;
        op.weights = static_cast<std::int64_t>(l.weight_offset);
        op.bias = l.biased != 0 ? static_cast<std::int64_t>(l.bias_offset) : -1;
    }
    static OpKind forward_kind(const Layer& l) {
        switch (l.kind) {
            case GOSSAMER_CUDA_DENSE: return OpKind::dense_forward;
            case GOSSAMER_CUDA_CONV: return OpKind::conv_forward;
            case GOSSAMER_CUDA_MAX_POOL: return OpKind::max_pool;
            case GOSSAMER_CUDA_AVERAGE_POOL: return OpKind::average_pool;
            case GOSSAMER_CUDA_ACTIVATION: return OpKind::activate;
            default: return OpKind::dropout;
        }
    }

    void place_loss(int last) {
        const std::int64_t kept = reserve(2 * std::int64_t{batch_});
        Op& op = add(OpKind::loss);
        op.in = output_of(last), op.kept = kept, op.labels = labels_;
        op.out = options_.scoring ? -1 : deltas_.back();
        op.targets = net_.loss == GOSSAMER_CUDA_RECONSTRUCTION ? input_ : targets_;
        op.n = number(net_.output_count), op.loss = number(net_.loss);
        op.scores_labels = op.targets < 0;
        op.count = batch_;
        pass_slope(op, last);
    }

    // The gradient of layer i's input, with the slope of the layer that made it.
    void back(int i) {
        const Layer& l = layer(i);
        Program::TableAt tables;
        if (l.kind == GOSSAMER_CUDA_CONV) tables = back_tables(l);
        Op& op = add(back_kind(l), tables);
        op.in = deltas_[static_cast<std::size_t>(i)];
        op.out = deltas_[static_cast<std::size_t>(i - 1)];
        op.kept = kept_[static_cast<std::size_t>(i)];
        op.count = in_count(l), op.stage = i, op.rate = l.rate;
        pass_slope(op, i - 1);
        if (learns(l)) op.weights = static_cast<std::int64_t>(l.weight_offset);
        switch (l.kind) {
            case GOSSAMER_CUDA_DENSE:
                op.m = batch_ * number(l.height * l.width), op.n = number(l.channels);
                op.k = number(l.out_channels);
                break;
            case GOSSAMER_CUDA_CONV:
                op.m = batch_ * number(l.height * l.width), op.n = number(l.channels);
                op.k = number(l.window_height * l.window_width * l.out_channels);
                images(op, l.out_height, l.out_width, l.out_channels, l.stride);
                break;
            case GOSSAMER_CUDA_MAX_POOL:
            case GOSSAMER_CUDA_AVERAGE_POOL: pool(op, l); break;
            default: break;
        }
    }
    static OpKind back_kind(const Layer& l) {
        switch (l.kind) {
            case GOSSAMER_CUDA_DENSE: return OpKind::dense_data;
            case GOSSAMER_CUDA_CONV: return OpKind::conv_data;
            case GOSSAMER_CUDA_MAX_POOL: return OpKind::max_pool_back;
            case GOSSAMER_CUDA_AVERAGE_POOL: return OpKind::average_pool_back;
            case GOSSAMER_CUDA_ACTIVATION: return OpKind::activate_back;
            default: return OpKind::dropout_back;
        }
    }

    void weights(int i) {
        const Layer& l = layer(i);
        if (!learns(l)) return;
        const bool conv = l.kind == GOSSAMER_CUDA_CONV;
        Op& op = add(conv ? OpKind::conv_weights : OpKind::dense_weights,
                     conv ? forward_tables_[static_cast<std::size_t>(i)] : Program::TableAt{});
        op.in = output_of(i - 1), op.kept = deltas_[static_cast<std::size_t>(i)];
        op.weights = static_cast<std::int64_t>(l.weight_offset);
        op.bias = l.biased != 0 ? static_cast<std::int64_t>(l.bias_offset) : -1;
        op.n = number(l.out_channels), op.fused = options_.fused;
        if (conv) {
            op.m = number(l.window_height * l.window_width * l.channels);
            op.k = batch_ * number(l.out_height * l.out_width);
            images(op, l.height, l.width, l.channels, 1);
        } else {
            op.m = number(l.channels), op.k = batch_ * number(l.height * l.width);
        }
    }

    void place_optimiser() {
        int partials = 0;
        std::int64_t at = 0;
        if (options_.clips) {
            Op& op = add(OpKind::squares);
            op.count = number(net_.parameter_count);
            partials = tiles_of(op);
            at = op.partials = program_.workspace_floats;
            program_.workspace_floats +=
                (2 * std::int64_t{options_.replicas} * partials + 31) / 32 * 32;
        }
        Op& op = add(OpKind::optimise);
        op.count = number(net_.parameter_count), op.k = partials, op.partials = at;
    }

    // Chooses a product's tiles, and among how many blocks its terms are divided.
    struct Cut {
        TileKind tile;
        int rows, columns, threads, values;
        double rate;  // how fast a block of it is, against others
    };
    template <class T>
    static Cut cut_of(TileKind tile, double rate) {
        return {tile, T::kRows, T::kColumns, T::kBlock, T::kValues, rate};
    }
    void divide(Op& op) {
        if (!is_product(op.kind)) return;
        const bool conv = op.kind >= OpKind::conv_forward;
        const Cut small = cut_of<SmallTile>(TileKind::small, 0.6);
        std::vector<Cut> cuts{small};
        if (!options_.persistent) {
            if (conv) cuts.push_back(cut_of<NarrowTile>(TileKind::narrow, 0.8));
            cuts.push_back(cut_of<LargeTile>(TileKind::large, 1.0));
        }
        double best = 0;
        for (const Cut& cut : cuts) {
            Op tried = op;
            const std::int64_t tiles = cut_up(tried, cut);
            // A card of about 132 processors works on that many blocks at least.
            const double blocks = double(std::max<std::int64_t>(tiles * tried.splits, 132));
            const double cost = blocks * cut.rows * cut.columns * (tried.k_part + 64) / cut.rate;
            if (best != 0 && cost >= best) continue;
            best = cost;
            op.tile = tried.tile, op.splits = tried.splits, op.k_part = tried.k_part;
            op.row_tiles = tried.row_tiles, op.column_tiles = tried.column_tiles;
        }
        if (op.splits == 1) return;
        const Cut& cut = *std::find_if(cuts.begin(), cuts.end(),
                                       [&](const Cut& c) { return c.tile == op.tile; });
        const std::int64_t tiles = std::int64_t{op.row_tiles} * op.column_tiles * options_.replicas;
        op.partials = program_.workspace_floats, op.tickets = program_.ticket_count;
        program_.workspace_floats += tiles * op.splits * cut.threads * (cut.values + 1);
        program_.ticket_count += tiles;
    }
    // Returns the tiles of all replicas.
    std::int64_t cut_up(Op& op, const Cut& cut) const {
        op.tile = cut.tile;
        op.row_tiles = (op.m + cut.rows - 1) / cut.rows;
        op.column_tiles = (op.n + cut.columns - 1) / cut.columns;
        const std::int64_t tiles = std::int64_t{op.row_tiles} * op.column_tiles * options_.replicas;
        const std::int64_t depths = (std::int64_t{op.k} + kDepth - 1) / kDepth;
        const std::int64_t most = op.kind == OpKind::conv_weights ? 32 : 12;
        std::int64_t splits = std::min({most, 264 / tiles, depths / 2});
        if (options_.persistent || splits < 2) splits = 1;
        const std::int64_t part = (depths + splits - 1) / splits;
        op.k_part = static_cast<int>(part) * kDepth;
        op.splits = static_cast<int>((depths + part - 1) / part);
        return tiles;
    }

    const gossamer_cuda_network& net_;
    ProgramOptions options_;
    int batch_;
    Program program_;
    std::int64_t input_ = -1, labels_ = -1, targets_ = -1;
    std::vector<std::int64_t> outputs_, kept_, deltas_;
    std::vector<Program::TableAt> forward_tables_;
};

}  // namespace gossamer::cuda
