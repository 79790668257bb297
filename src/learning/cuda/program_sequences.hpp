// The ops of tables, recurrent stages and attention: products, and what stands between them.
#pragma once

#include "learning/cuda/program_parts.hpp"

namespace gossamer::cuda {

class ProgramSequences : protected ProgramParts {
protected:
    using ProgramParts::ProgramParts;

    Op& forward_dense(int m, int n, int k, std::int64_t in, std::int64_t out, std::uint64_t weights,
                      bool biased, std::uint64_t bias) {
        Op& op = product(OpKind::dense_forward, m, n, k);
        op.in = in, op.out = out, op.weights = offset(weights);
        op.bias = biased ? offset(bias) : -1;
        return op;
    }
    // k columns of a gradient back to n of what was multiplied by the weights.
    Op& back_dense(int m, int n, int k, std::int64_t in, std::uint64_t weights) {
        Op& op = product(OpKind::dense_data, m, n, k);
        op.in = in, op.weights = offset(weights);
        return op;
    }
    // The gradient of m x n weights, of k rows, and of their bias; nothing where both are frozen.
    void learn_dense(int m, int n, int k, std::int64_t in, std::int64_t delta,
                     std::uint64_t weights, bool biased = false, std::uint64_t bias = 0) {
        if (!learnt(weights) && !(biased && learnt(bias))) return;
        Op& op = product(OpKind::dense_weights, m, n, k);
        op.in = in, op.kept = delta;
        learner(op, weights, biased, bias);
    }

    // ---- tables ----

    // Of m entries of n values, that the batch's rows name by the number at `in`.
    // `factor`: of what each row gives; -1: none.
    void entries(int m, int n, int k, std::int64_t in, int stride, std::int64_t values,
                 std::uint64_t weights, std::int64_t factor = -1) {
        if (!learnt(weights)) return;
        Op& op = add(OpKind::entry_weights);
        op.m = m, op.n = n, op.k = k, op.count = m * n;
        op.in = in, op.in_stride = stride, op.kept = values, op.second = factor;
        learner(op, weights);
    }
    void embedding_back(int i) {
        const Layer& l = layer(i);
        entries(number(l.vocabulary), number(l.out_channels), rows(l), input_, 1, placed(i).delta,
                l.weight_offset);
    }
    void factors_back(int i) {
        const Layer& l = layer(i);
        const int users = number(l.vocabulary), items = number(l.items), rank = number(l.rank);
        const int stride = in_count(l) / batch_;
        const std::int64_t user_values = placed(i).kept, d = placed(i).delta;
        const std::int64_t item_values = user_values + std::int64_t{batch_} * rank;
        entries(users, rank, batch_, input_, stride, item_values, l.weight_offset, d);
        entries(items, rank, batch_, input_ + 1, stride, user_values, l.second_offset, d);
        entries(users, 1, batch_, input_, stride, d, l.bias_offset);
        entries(items, 1, batch_, input_ + 1, stride, d, l.bias_offset + l.vocabulary);
        entries(1, 1, batch_, input_, stride, d, l.bias_offset + l.vocabulary + l.items);
    }

    // ---- recurrent ----

    struct Recurrent {
        int steps, units, gates;
        bool lstm;
        std::int64_t wide;  // floats of all gates of one sample
    };
    static Recurrent recurrent_of(const Layer& l) {
        const bool lstm = l.kind == GOSSAMER_CUDA_LSTM;
        const int units = number(l.out_channels), gates = (lstm ? 4 : 3) * units;
        return {number(l.width), units, gates, lstm, std::int64_t{number(l.width)} * gates};
    }
    Op& cell_op(OpKind kind, int i, int step) {
        const Recurrent r = recurrent_of(layer(i));
        const Placed& p = placed(i);
        Op& op = add(kind);
        op.n = r.units, op.count = batch_ * r.units, op.steps = r.steps, op.step = step;
        op.gates = p.gates, op.cells = p.cells, op.before = p.before;
        return op;
    }
    void recurrent(int i) {
        const Layer& l = layer(i);
        const Recurrent r = recurrent_of(l);
        Placed& p = placed(i);
        const std::int64_t units = std::int64_t{rows(l)} * r.units;
        p.gates = reserve(batch_ * r.wide);
        p.cells = reserve(r.lstm ? units : batch_ * r.wide);
        p.before = reserve(units);
        const std::int64_t from = r.lstm ? reserve(std::int64_t{batch_} * r.gates) : -1;
        forward_dense(rows(l), r.gates, number(l.channels), output_of(l.input), p.gates,
                      l.weight_offset, l.biased != 0, l.bias_offset);
        for (int t = 0; t < r.steps; ++t) {
            if (t > 0) {
                const std::int64_t to = r.lstm ? from : p.cells + std::int64_t{t} * r.gates;
                Op& op =
                    forward_dense(batch_, r.gates, r.units, p.before + std::int64_t{t} * r.units,
                                  to, l.second_offset, false, 0);
                op.in_stride = r.steps * r.units;
                if (!r.lstm) op.out_stride = r.steps * r.gates;
            }
            Op& op = cell_op(r.lstm ? OpKind::lstm_cell : OpKind::gru_cell, i, t);
            op.from = from, op.out = p.output;
        }
    }
    void recurrent_back(int i) {
        const Layer& l = layer(i);
        const Recurrent r = recurrent_of(l);
        const Placed& p = placed(i);
        const std::int64_t carried = reserve(std::int64_t{batch_} * r.units);
        const std::int64_t from = r.lstm ? reserve(std::int64_t{batch_} * r.units) : carried;
        const std::int64_t products = r.lstm ? p.gates : p.cells;  // gradients of h·U
        for (int t = r.steps - 1; t >= 0; --t) {
            Op& op = cell_op(r.lstm ? OpKind::lstm_cell_back : OpKind::gru_cell_back, i, t);
            op.in = p.delta, op.carried = carried, op.from = from;
            if (t == 0) break;
            Op& back = back_dense(batch_, r.units, r.gates, products + std::int64_t{t} * r.gates,
                                  l.second_offset);
            back.in_stride = r.steps * r.gates, back.out = from, back.adds = !r.lstm;
        }
        if (needs(l.input))
            give_to(back_dense(rows(l), number(l.channels), r.gates, p.gates, l.weight_offset),
                    l.input);
        learn_dense(number(l.channels), r.gates, rows(l), output_of(l.input), p.gates,
                    l.weight_offset, l.biased != 0, l.bias_offset);
        learn_dense(r.units, r.gates, rows(l), p.before, products, l.second_offset);
    }

    // ---- attention ----

    Op& attend_op(OpKind kind, int i) {
        const Layer& l = layer(i);
        Op& op = add(kind);
        op.steps = positions(l), op.channels = number(l.channels), op.groups = number(l.groups);
        op.count = batch_ * op.groups, op.kept = placed(i).kept;
        return op;
    }
    std::int64_t scores(const Layer& l) {
        return reserve(std::int64_t{batch_} * l.groups * positions(l) * positions(l));
    }
    void attention(int i) {
        const Layer& l = layer(i);
        Placed& p = placed(i);
        const int width = number(l.channels);
        p.qkv = reserve(3 * std::int64_t{in_count(l)}), p.mixed = reserve(in_count(l));
        p.kept = scores(l);
        forward_dense(rows(l), 3 * width, width, output_of(l.input), p.qkv, l.weight_offset, true,
                      l.bias_offset);
        Op& op = attend_op(OpKind::attend, i);
        op.in = p.qkv, op.out = p.mixed;
        forward_dense(rows(l), width, width, p.mixed, p.output, l.second_offset, true,
                      l.second_bias_offset)
            .activation = number(l.activation);
    }
    void attention_back(int i) {
        const Layer& l = layer(i);
        const Placed& p = placed(i);
        const int width = number(l.channels);
        const std::int64_t d_mixed = reserve(in_count(l)), room = scores(l);
        const std::int64_t d_qkv = reserve(3 * std::int64_t{in_count(l)});
        back_dense(rows(l), width, width, p.delta, l.second_offset).out = d_mixed;
        learn_dense(width, width, rows(l), p.mixed, p.delta, l.second_offset, true,
                    l.second_bias_offset);
        Op& op = attend_op(OpKind::attend_back, i);
        op.in = d_mixed, op.second = p.qkv, op.out = d_qkv, op.from = room;
        if (needs(l.input))
            give_to(back_dense(rows(l), width, 3 * width, d_qkv, l.weight_offset), l.input);
        learn_dense(width, 3 * width, rows(l), output_of(l.input), d_qkv, l.weight_offset, true,
                    l.bias_offset);
    }
};

}  // namespace gossamer::cuda
