// From a network to the ops of one step. Nothing here depends on the card found: the same network,
// batch and number of replicas give the same ops, so the same bits.
#pragma once

#include <utility>

#include "learning/cuda/program_sequences.hpp"

namespace gossamer::cuda {

class ProgramBuilder : ProgramSequences {
public:
    ProgramBuilder(const gossamer_cuda_network& net, const ProgramOptions& options)
        : ProgramSequences(net, options) {}

    Program build() {
        const int last = number(net_.layer_count) - 1;
        place_batch();
        for (int i = 0; i <= last; ++i) place(i);
        for (int i = 0; i <= last; ++i) forward(i);
        place_loss(last);
        if (!options_.scoring) {
            for (int i = last; i >= 0; --i)
                if (needs(i)) back(i);
            if (!options_.fused) place_optimiser();
        }
        divide_all();
        return std::move(program_);
    }

private:
    void place_batch() {
        input_ = reserve(static_cast<std::int64_t>(net_.input_count) * batch_);
        labels_ = reserve(std::int64_t{batch_} * net_.label_count);
        if (net_.target_count > 0)
            targets_ = reserve(static_cast<std::int64_t>(net_.target_count) * batch_);
        Op& op = add(OpKind::gather);
        op.out = input_, op.labels = labels_, op.targets = targets_;
        op.features = number(net_.input_count), op.target_count = number(net_.target_count);
        op.label_count = number(net_.label_count);
        op.count = op.features * batch_;
    }
    void place(int i) {
        const Layer& l = layer(i);
        Placed& p = placed(i);
        p.output = reserve(out_count(l));
        p.needs = !options_.scoring &&
                  (learns(l) || needs(l.input) || (l.kind == GOSSAMER_CUDA_ADD && needs(l.source)));
        if (p.needs) p.delta = reserve(out_count(l));
    }

    void forward(int i) {
        switch (layer(i).kind) {
            case GOSSAMER_CUDA_DENSE: return dense(i);
            case GOSSAMER_CUDA_CONV: return conv(i);
            case GOSSAMER_CUDA_MAX_POOL:
            case GOSSAMER_CUDA_AVERAGE_POOL: return pool(i);
            case GOSSAMER_CUDA_GROUP_NORM:
            case GOSSAMER_CUDA_LAYER_NORM:
            case GOSSAMER_CUDA_RMS_NORM: return norm(i);
            case GOSSAMER_CUDA_LSTM:
            case GOSSAMER_CUDA_GRU: return recurrent(i);
            case GOSSAMER_CUDA_ATTENTION: return attention(i);
            default: return simple(i);
        }
    }
    void back(int i) {
        switch (layer(i).kind) {
            case GOSSAMER_CUDA_DENSE: return dense_back(i);
            case GOSSAMER_CUDA_CONV: return conv_back(i);
            case GOSSAMER_CUDA_GROUP_NORM:
            case GOSSAMER_CUDA_LAYER_NORM:
            case GOSSAMER_CUDA_RMS_NORM: return norm_back(i);
            case GOSSAMER_CUDA_EMBEDDING: return embedding_back(i);
            case GOSSAMER_CUDA_FACTORS: return factors_back(i);
            case GOSSAMER_CUDA_LSTM:
            case GOSSAMER_CUDA_GRU: return recurrent_back(i);
            case GOSSAMER_CUDA_ATTENTION: return attention_back(i);
            default: return simple_back(i);
        }
    }

    // ---- products ----

    void dense(int i) {
        const Layer& l = layer(i);
        const int in = number(l.channels), out = number(l.out_channels), rank = number(l.rank);
        std::int64_t adapted = -1;
        if (rank > 0) {
            const std::int64_t inner = placed(i).inner = reserve(std::int64_t{rows(l)} * rank);
            adapted = reserve(out_count(l));
            forward_dense(rows(l), rank, in, output_of(l.input), inner, l.adapter_a_offset, false,
                          0)
                .scale = l.adapter_scale;
            forward_dense(rows(l), out, rank, inner, adapted, l.adapter_b_offset, false, 0);
        }
        Op& op = forward_dense(rows(l), out, in, output_of(l.input), placed(i).output,
                               l.weight_offset, l.biased != 0, l.bias_offset);
        op.activation = number(l.activation), op.second = adapted;
    }
    void dense_back(int i) {
        const Layer& l = layer(i);
        const int in = number(l.channels), out = number(l.out_channels), rank = number(l.rank);
        const std::int64_t delta = placed(i).delta;
        const std::int64_t inner = rank > 0 ? reserve(std::int64_t{rows(l)} * rank) : -1;
        if (needs(l.input)) give_to(back_dense(rows(l), in, out, delta, l.weight_offset), l.input);
        if (rank > 0) {  // before anything is learned: both read the adapter as it was
            Op& op = back_dense(rows(l), rank, out, delta, l.adapter_b_offset);
            op.out = inner, op.scale = l.adapter_scale;
            if (needs(l.input))
                give_to(back_dense(rows(l), in, rank, inner, l.adapter_a_offset), l.input);
        }
        learn_dense(in, out, rows(l), output_of(l.input), delta, l.weight_offset, l.biased != 0,
                    l.bias_offset);
        if (rank == 0) return;
        learn_dense(rank, out, rows(l), placed(i).inner, delta, l.adapter_b_offset);
        learn_dense(in, rank, rows(l), output_of(l.input), inner, l.adapter_a_offset);
    }

    void conv(int i) {
        const Layer& l = layer(i);
        placed(i).tables = forward_tables(l);
        Op& op = product(OpKind::conv_forward, batch_ * number(l.out_height * l.out_width),
                         number(l.out_channels),
                         number(l.window_height * l.window_width * l.channels), placed(i).tables);
        images(op, l.height, l.width, l.channels, 1);
        op.in = output_of(l.input), op.out = placed(i).output, op.weights = offset(l.weight_offset);
        op.bias = l.biased != 0 ? offset(l.bias_offset) : -1;
        op.activation = number(l.activation);
    }
    void conv_back(int i) {
        const Layer& l = layer(i);
        const int window = number(l.window_height * l.window_width);
        if (needs(l.input)) {
            Op& op = product(OpKind::conv_data, rows(l), number(l.channels),
                             window * number(l.out_channels), back_tables(l));
            images(op, l.out_height, l.out_width, l.out_channels, l.stride);
            op.in = placed(i).delta, op.weights = offset(l.weight_offset);
            give_to(op, l.input);
        }
        if (!learnt_here(l)) return;
        Op& op = product(OpKind::conv_weights, window * number(l.channels), number(l.out_channels),
                         batch_ * number(l.out_height * l.out_width), placed(i).tables);
        images(op, l.height, l.width, l.channels, 1);
        op.in = output_of(l.input), op.kept = placed(i).delta;
        learner(op, l.weight_offset, l.biased != 0, l.bias_offset);
    }

    // ---- pools, and what goes element by element ----

    void pool_shape(Op& op, const Layer& l) const {
        images(op, l.height, l.width, l.channels, 1);
        op.out_height = number(l.out_height), op.out_width = number(l.out_width);
        op.window_height = number(l.window_height), op.window_width = number(l.window_width);
        op.stride = number(l.stride);
    }
    void pool(int i) {
        const Layer& l = layer(i);
        const bool most = l.kind == GOSSAMER_CUDA_MAX_POOL;
        if (most) placed(i).kept = reserve(out_count(l));
        Op& op = add(most ? OpKind::max_pool : OpKind::average_pool);
        pool_shape(op, l);
        op.in = output_of(l.input), op.out = placed(i).output, op.kept = placed(i).kept;
        op.activation = number(l.activation), op.count = out_count(l);
    }

    void simple(int i) {
        const Layer& l = layer(i);
        Op& op = add(simple_kind(l));
        op.in = output_of(l.input), op.out = placed(i).output, op.count = out_count(l);
        op.stage = i, op.rate = l.rate, op.weights = offset(l.weight_offset);
        op.n = number(l.out_channels), op.steps = number(l.width);
        switch (l.kind) {
            case GOSSAMER_CUDA_ACTIVATION: op.function = number(l.activation); break;
            case GOSSAMER_CUDA_ADD:
                op.second = output_of(l.source), op.activation = number(l.activation);
                break;
            case GOSSAMER_CUDA_EMBEDDING: op.m = number(l.vocabulary); break;
            case GOSSAMER_CUDA_POSITION: op.n = in_count(l) / batch_; break;
            case GOSSAMER_CUDA_FACTORS:
                placed(i).kept = op.kept = reserve(2 * std::int64_t{batch_} * l.rank);
                op.m = number(l.vocabulary), op.n = number(l.items), op.k = number(l.rank);
                op.second = offset(l.second_offset), op.bias = offset(l.bias_offset);
                op.in_stride = in_count(l) / batch_;
                break;
            default: break;
        }
    }
    static OpKind simple_kind(const Layer& l) {
        switch (l.kind) {
            case GOSSAMER_CUDA_DROPOUT: return OpKind::dropout;
            case GOSSAMER_CUDA_ADD: return OpKind::add;
            case GOSSAMER_CUDA_EMBEDDING: return OpKind::embed;
            case GOSSAMER_CUDA_POSITION: return OpKind::add_positions;
            case GOSSAMER_CUDA_LAST: return OpKind::last_step;
            case GOSSAMER_CUDA_FACTORS: return OpKind::multiply_factors;
            default: return OpKind::activate;
        }
    }
    void simple_back(int i) {
        const Layer& l = layer(i);
        if (needs(l.input)) give_simply(i, l.input);
        if (l.kind == GOSSAMER_CUDA_ADD && needs(l.source)) give_simply(i, l.source);
        if (l.kind != GOSSAMER_CUDA_POSITION || !learnt(l.weight_offset)) return;
        Op& op = add(OpKind::position_weights);
        op.in = placed(i).delta, op.n = op.count = in_count(l) / batch_;
        learner(op, l.weight_offset);
    }
    void give_simply(int i, int to) {
        const Layer& l = layer(i);
        Op& op = add(simple_back_kind(l));
        op.in = placed(i).delta, op.kept = placed(i).kept, op.count = in_count(l);
        op.stage = i, op.rate = l.rate, op.n = number(l.channels), op.steps = number(l.width);
        if (l.kind == GOSSAMER_CUDA_ACTIVATION) op.function = number(l.activation);
        op.second = output_of(to);
        if (l.kind == GOSSAMER_CUDA_MAX_POOL || l.kind == GOSSAMER_CUDA_AVERAGE_POOL)
            pool_shape(op, l);
        give_to(op, to);
    }
    static OpKind simple_back_kind(const Layer& l) {
        switch (l.kind) {
            case GOSSAMER_CUDA_MAX_POOL: return OpKind::max_pool_back;
            case GOSSAMER_CUDA_AVERAGE_POOL: return OpKind::average_pool_back;
            case GOSSAMER_CUDA_DROPOUT: return OpKind::dropout_back;
            case GOSSAMER_CUDA_LAST: return OpKind::last_step_back;
            default: return OpKind::activate_back;
        }
    }

    // ---- norms ----

    Op& norm_op(OpKind kind, int i) {
        const Layer& l = layer(i);
        Op& op = add(kind);
        const bool whole = l.kind == GOSSAMER_CUDA_GROUP_NORM;  // else every position on its own
        op.rows = whole ? positions(l) : 1, op.groups = whole ? number(l.groups) : 1;
        op.channels = number(l.channels), op.centred = l.kind != GOSSAMER_CUDA_RMS_NORM;
        op.count = rows(l) / op.rows * op.groups;
        op.kept = placed(i).kept, op.weights = offset(l.weight_offset);
        op.bias = l.biased != 0 ? offset(l.bias_offset) : -1;
        return op;
    }
    void norm(int i) {
        const Layer& l = layer(i);
        Op& op = norm_op(OpKind::norm, i);
        op.kept = placed(i).kept = reserve(2 * std::int64_t{op.count});
        op.in = output_of(l.input), op.out = placed(i).output, op.activation = number(l.activation);
    }
    void norm_back(int i) {
        const Layer& l = layer(i);
        if (needs(l.input)) {
            Op& op = norm_op(OpKind::norm_back, i);
            op.in = placed(i).delta, op.second = output_of(l.input);
            give_to(op, l.input);
        }
        if (!learnt_here(l)) return;
        constexpr int kParts = 64, kPartLeast = 64;
        const int part = std::max(kPartLeast, (rows(l) + kParts - 1) / kParts);
        const int parts = (rows(l) + part - 1) / part;
        const std::int64_t room = reserve(2 * std::int64_t{parts} * l.channels);
        Op& sums = norm_op(OpKind::norm_sums, i);
        sums.in = placed(i).delta, sums.second = output_of(l.input), sums.out = room;
        sums.k = rows(l), sums.k_part = part;
        sums.count = parts * ((number(l.channels) + kNormChannels - 1) / kNormChannels);
        Op& op = norm_op(OpKind::norm_weights, i);
        learner(op, l.weight_offset, l.biased != 0, l.bias_offset);
        op.in = room, op.k = parts, op.count = op.bias >= 0 ? 2 * op.channels : op.channels;
    }

    // ---- loss and optimiser ----

    void place_loss(int last) {
        const int labels = number(net_.label_count);
        const std::int64_t kept = reserve(2 * std::int64_t{batch_} * labels);
        Op& op = add(OpKind::loss);
        op.in = output_of(last), op.kept = kept, op.labels = labels_, op.label_count = labels;
        op.targets = net_.loss == GOSSAMER_CUDA_RECONSTRUCTION ? input_ : targets_;
        op.n = number(net_.output_count) / labels, op.loss = number(net_.loss);
        op.scores_labels = op.targets < 0;
        op.count = batch_;
        if (options_.scoring)
            pass_slope(op, last);
        else
            give_to(op, last);
    }

    // What runs one after the other takes turns at one room for the parts of split products: the
    // main line at one, what is learned beside it at another.
    void divide_all() {
        for (const bool beside : {false, true}) {
            const std::int64_t floats = program_.workspace_floats, tickets = program_.ticket_count;
            for (Op& op : program_.ops) {
                if (!is_product(op.kind) || learns_beside(op.kind) != beside) continue;
                std::int64_t floats_to = floats, tickets_to = tickets;
                divide(op, options_.replicas, options_.persistent, floats_to, tickets_to);
                program_.workspace_floats = std::max(program_.workspace_floats, floats_to);
                program_.ticket_count = std::max(program_.ticket_count, tickets_to);
            }
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
};

}  // namespace gossamer::cuda
