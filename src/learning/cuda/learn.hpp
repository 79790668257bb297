// The loss of a batch, the length of its gradient, and the optimisers that need both at hand.
#pragma once

#include "learning/cuda/layers.hpp"

namespace gossamer::cuda {

enum LossKind { kSoftmax = 0, kSquared = 1, kSigmoidCross = 2, kReconstruction = 3 };

// Softmax cross-entropy of one row; leaves e^(z - top) summed. Label in [0, outputs).
GOSSAMER_BODY double softmax_row(const float* z, int outputs, int label, float& top, float& sum,
                                 bool& hit) {
    int largest = 0;
    for (int j = 1; j < outputs; ++j)
        if (z[j] > z[largest]) largest = j;
    top = z[largest], hit = largest == label;
    sum = 0;
    for (int j = 0; j < outputs; ++j) sum += exp_of(z[j] - top);
    // A NaN or infinite output makes the sum NaN, and the step is not taken.
    return sum > 0 ? log_of(double(sum)) + double(top) - double(z[label]) : double(sum);
}
GOSSAMER_BODY double element_loss(int loss, float z, float wanted, float& derivative) {
    if (loss != kSigmoidCross) {
        const float error = z - wanted;
        derivative = 2.0f * error;
        return double(error) * double(error);
    }
    const float e = exp_of(-size_of(z));
    derivative = (z < 0 ? e : 1.0f) / (1.0f + e) - wanted;
    return double(z > 0 ? z : 0.0f * z) - double(wanted) * double(z) + log_of(1.0 + double(e));
}

// One block per replica. Rows are a sample's labels, or the sample; a label of -1 counts nothing.
// Writes the gradient of the last stage's input to its activation, notes the step's figures for the
// ops that follow, and counts it.
GOSSAMER_BODY void loss_of_batch(Block& block, const Op& op, const Areas& areas, const Room& room,
                                 int replica) {
    auto* red = reinterpret_cast<double*>(block.shared);
    auto* hits = reinterpret_cast<double*>(block.shared) + kThreads;
    auto* counts = reinterpret_cast<double*>(block.shared) + 2 * kThreads;
    const int step = room.state->step;
    const int size = slot_of(*room.job, step, room.state->failed, op.batch).size;
    const int outputs = op.n, rows = op.batch * op.label_count, used = size * op.label_count;
    const float* z = room.arena + op.in;
    float* kept = room.arena + op.kept;  // top and sum of each row
    const auto* labels = reinterpret_cast<const std::int32_t*>(room.arena + op.labels);
    const float* targets = op.targets >= 0 ? room.arena + op.targets : nullptr;

    block.each([&](int t) {  // rows
        double sum = 0;
        int hit_count = 0, counted = 0;
        for (int r = t; r < used; r += kThreads) {
            const float* row = z + std::int64_t{r} * outputs;
            bool hit = false;
            const int label = labels[r];
            if (op.loss == kSoftmax) {
                if (label < 0) continue;
                sum += softmax_row(row, outputs, label, kept[2 * r], kept[2 * r + 1], hit);
            } else if (op.scores_labels) {
                int largest = 0;
                for (int j = 1; j < outputs; ++j)
                    if (row[j] > row[largest]) largest = j;
                hit = largest == label;
            }
            ++counted, hit_count += hit ? 1 : 0;
        }
        red[t] = sum, hits[t] = hit_count, counts[t] = counted;
    });
    sum_tree(block, counts);
    const double counted = counts[0];
    const float share = 1.0f / static_cast<float>(counted < 1 ? 1 : counted);
    const float each = share / static_cast<float>(outputs);
    block.each([&](int t) {  // elements
        double sum = 0;
        for (int e = t; e < rows * outputs; e += kThreads) {
            const int r = e / outputs, j = e % outputs;
            float d = 0;
            if (r < used) {
                if (op.loss == kSoftmax) {
                    if (labels[r] >= 0) d = share * (exp_of(z[e] - kept[2 * r]) / kept[2 * r + 1]);
                    if (j == labels[r]) d -= share;
                } else {
                    const float wanted = targets != nullptr ? targets[e]
                                         : j == labels[r]   ? 1.0f
                                                            : 0.0f;
                    float derivative = 0;
                    sum += element_loss(op.loss, z[e], wanted, derivative);
                    d = each * derivative;
                }
            }
            if (op.out >= 0) give(op, room, e, d);
        }
        if (op.loss != kSoftmax) red[t] = sum / double(outputs);
    });
    sum_tree(block, red);
    sum_tree(block, hits);
    block.each([&](int t) {
        if (t != 0) return;
        ReplicaState& state = *room.state;
        const bool active = size > 0, good = finite(red[0]);
        state.size = active && good ? size : 0;
        if (active && !good) state.failed = step + 1;
        if (active && good) {
            // While training, of the batch's mean.
            const bool means = op.training && counted > 0 && counted != double(size);
            state.loss_sum += means ? red[0] / counted * double(size) : red[0];
            state.seen += static_cast<std::uint64_t>(size);
            state.correct += static_cast<std::uint64_t>(hits[0]);
            state.counted += static_cast<std::uint64_t>(counted);
        }
        if (areas.steps != nullptr && step < room.job->step_count) {
            state.row = areas.steps[std::int64_t{step} * areas.replica_count + replica];
            state.draws = state.row.draws;
        }
        state.step = step + 1;
    });
}

// The gradient as the optimiser takes it: with FedProx's pull towards the start.
GOSSAMER_BODY float pulled(const Areas& areas, const Room& room, int e) {
    const float g = room.gradient[e], mu = areas.optimiser.proximal_mu;
    return mu != 0 ? fmaf(mu, room.parameters[e] - room.anchor[e], g) : g;
}

GOSSAMER_BODY void sum_squares(Block& block, const Op& op, const Areas& areas, const Room& room,
                               int tile, int slot) {
    if (room.state->size == 0) return;
    auto* red = reinterpret_cast<double*>(block.shared);
    block.each([&](int t) {
        double sum = 0;
        for (int i = 0; i < kSquaresPerThread; ++i) {
            const std::int64_t e = (std::int64_t{tile} * kSquaresPerThread + i) * kThreads + t;
            if (e >= op.count) break;
            const double g = pulled(areas, room, static_cast<int>(e));
            sum += g * g;
        }
        red[t] = sum;
    });
    sum_tree(block, red);
    block.each([&](int t) {
        if (t == 0) reinterpret_cast<double*>(areas.workspace + op.partials)[slot] = red[0];
    });
}

// `first_slot`: where this replica's partial squares begin; op.k of them.
GOSSAMER_BODY void optimise_all(Block& block, const Op& op, const Areas& areas, const Room& room,
                                int tile, int first_slot) {
    if (room.state->size == 0) return;
    const Optimiser& o = areas.optimiser;
    auto* red = reinterpret_cast<double*>(block.shared);
    float factor = 1.0f;
    if (o.clip_norm > 0) {
        const auto* parts =
            reinterpret_cast<const double*>(areas.workspace + op.partials) + first_slot;
        block.each([&](int t) {
            double sum = 0;
            for (int i = t; i < op.k; i += kThreads) sum += parts[i];
            red[t] = sum;
        });
        sum_tree(block, red);
        const double norm = sqrt(red[0]);
        if (norm > double(o.clip_norm)) factor = static_cast<float>(double(o.clip_norm) / norm);
    }
    const StepRow row = room.state->row;
    each_of(block, tile, op.count, [&](int e) {
        const float g = pulled(areas, room, e) * factor, w = room.parameters[e];
        if (o.kind != 0)
            room.parameters[e] = adam_step(w, room.first[e], room.second[e], g, row, o);
        else if (o.momentum != 0)
            room.parameters[e] = momentum_step(w, room.first[e], g, row.rate, o);
        else
            room.parameters[e] = sgd_step(w, g, row.rate, o.decay);
    });
}

}  // namespace gossamer::cuda
