// Layers over sequences and tables: embedding, positions, recurrent cells, causal attention, and
// matrix factorisation. The products among them are ops of their own.
#pragma once

#include "learning/cuda/layers.hpp"

namespace gossamer::cuda {

// Samples are floats, also where they are numbers of entries; one outside is read as the last.
GOSSAMER_BODY int entry_of(float value, int count) {
    return value >= 0.0f && value < static_cast<float>(count) ? static_cast<int>(value) : count - 1;
}

GOSSAMER_BODY void embed(Block& block, const Op& op, const Room& room, int tile) {
    const float* table = room.values(op.weights);
    each_of(block, tile, op.count, [&](int e) {
        const int entry = entry_of(room.arena[op.in + e / op.n], op.m);
        room.arena[op.out + e] = table[std::int64_t{entry} * op.n + e % op.n];
    });
}

// The gradient of a table's entries (m of n values): each asks all k rows whether they named it.
// What a row gives is its values, times one factor of its own where there is any.
GOSSAMER_BODY void entry_weights(Block& block, const Op& op, const Areas& areas, const Room& room,
                                 int tile) {
    if (room.state->size == 0) return;
    const Learner learner(op, areas, room);
    const float* entries = room.arena + op.in;
    const float* values = room.arena + op.kept;
    each_of(block, tile, op.m * op.n, [&](int e) {
        const int entry = e / op.n, column = e % op.n;
        float sum = 0;
        for (int row = 0; row < op.k; ++row) {
            if (entry_of(entries[std::int64_t{row} * op.in_stride], op.m) != entry) continue;
            const float v = values[std::int64_t{row} * op.n + column];
            sum += op.second >= 0 ? room.arena[op.second + row] * v : v;
        }
        learner.take(op.weights + e, sum);
    });
}

GOSSAMER_BODY void add_positions(Block& block, const Op& op, const Room& room, int tile) {
    const float* places = room.values(op.weights);
    each_of(block, tile, op.count,
            [&](int e) { room.arena[op.out + e] = room.arena[op.in + e] + places[e % op.n]; });
}
GOSSAMER_BODY void position_weights(Block& block, const Op& op, const Areas& areas,
                                    const Room& room, int tile) {
    if (room.state->size == 0) return;
    const Learner learner(op, areas, room);
    each_of(block, tile, op.n, [&](int e) {
        float sum = 0;
        for (int b = 0; b < op.batch; ++b) sum += room.arena[op.in + std::int64_t{b} * op.n + e];
        learner.take(op.weights + e, sum);
    });
}

// One value a sample: user · item + biases. The factors are kept, for the gradient of each side
// needs those of the other as they were.
GOSSAMER_BODY void multiply_factors(Block& block, const Op& op, const Room& room, int tile) {
    const float *users = room.values(op.weights), *items = room.values(op.second);
    const float* bias = room.values(op.bias);
    const int rank = op.k;
    each_of(block, tile, op.batch, [&](int i) {
        const float* x = room.arena + op.in + std::int64_t{i} * op.in_stride;
        const int user = entry_of(x[0], op.m), item = entry_of(x[1], op.n);
        float* kept = room.arena + op.kept + std::int64_t{i} * rank;
        float* kept_items = kept + std::int64_t{op.batch} * rank;
        float sum = bias[op.m + op.n] + bias[user] + bias[op.m + item];
        for (int k = 0; k < rank; ++k) {
            kept[k] = users[std::int64_t{user} * rank + k];
            kept_items[k] = items[std::int64_t{item} * rank + k];
            sum = fmaf(kept[k], kept_items[k], sum);
        }
        room.arena[op.out + i] = sum;
    });
}

GOSSAMER_BODY void last_step(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const std::int64_t row = std::int64_t{e / op.n} * op.steps + op.steps - 1;
        room.arena[op.out + e] = room.arena[op.in + row * op.n + e % op.n];
    });
}
GOSSAMER_BODY void last_step_back(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const int row = e / op.n;
        const bool last = row % op.steps == op.steps - 1;
        give(op, room, e, last ? room.arena[op.in + row / op.steps * op.n + e % op.n] : 0.0f);
    });
}

// ---- Recurrent cells: one step of all sequences. [sample][step][units or gates] ----

// Where one unit's values lie at this step.
struct Cell {
    int sample, unit;
    std::int64_t row;  // of all samples and steps
};
GOSSAMER_BODY Cell cell_of(const Op& op, int e) {
    const int sample = e / op.n;
    return {sample, e % op.n, std::int64_t{sample} * op.steps + op.step};
}
// What the next step starts from; that of the first is 0.
GOSSAMER_BODY void pass_on(const Op& op, const Room& room, const Cell& c, float h) {
    float* before = room.arena + op.before + c.row * op.n + c.unit;
    if (op.step == 0) before[0] = 0.0f;
    if (op.step + 1 < op.steps) before[op.n] = h;
}

GOSSAMER_BODY void lstm_cell(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const Cell c = cell_of(op, e);
        float* z = room.arena + op.gates + c.row * 4 * op.n + c.unit;
        if (op.step > 0) {
            const float* u = room.arena + op.from + std::int64_t{c.sample} * 4 * op.n + c.unit;
            for (int g = 0; g < 4; ++g) z[g * op.n] += u[g * op.n];
        }
        const float i = sigmoid_of(z[0]), f = sigmoid_of(z[op.n]);
        const float g = tanh_of(z[2 * op.n]), o = sigmoid_of(z[3 * op.n]);
        z[0] = i, z[op.n] = f, z[2 * op.n] = g, z[3 * op.n] = o;
        float* cell = room.arena + op.cells + c.row * op.n + c.unit;
        const float kept = op.step > 0 ? i * g + f * cell[-op.n] : i * g;
        cell[0] = kept;
        const float h = tanh_of(kept) * o;
        room.arena[op.out + c.row * op.n + c.unit] = h;
        pass_on(op, room, c, h);
    });
}

// Gates become the gradients of what they were made from; `carried`: of the cell, to the step
// before; `from`: of h, from the step after.
GOSSAMER_BODY void lstm_cell_back(Block& block, const Op& op, const Room& room, int tile) {
    const bool last = op.step + 1 == op.steps;
    each_of(block, tile, op.count, [&](int e) {
        const Cell at = cell_of(op, e);
        float* z = room.arena + op.gates + at.row * 4 * op.n + at.unit;
        const float* cell = room.arena + op.cells + at.row * op.n + at.unit;
        const float before = op.step > 0 ? cell[-op.n] : 0.0f;
        float dh = room.arena[op.in + at.row * op.n + at.unit];
        if (!last) dh += room.arena[op.from + e];
        const float i = z[0], f = z[op.n], g = z[2 * op.n], o = z[3 * op.n];
        const float c = tanh_of(cell[0]);
        const float through = dh * o * (1.0f - c * c);
        const float d = last ? through : room.arena[op.carried + e] + through;
        z[0] = d * g * i * (1.0f - i);
        z[op.n] = d * before * f * (1.0f - f);
        z[2 * op.n] = d * i * (1.0f - g * g);
        z[3 * op.n] = dh * c * o * (1.0f - o);
        room.arena[op.carried + e] = d * f;
    });
}

// h = (1 - z) · n + z · h_before, n = tanh(x·Wn + b + r · (h·Un)); `cells` keeps h·U.
GOSSAMER_BODY void gru_cell(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const Cell at = cell_of(op, e);
        float* gates = room.arena + op.gates + at.row * 3 * op.n + at.unit;
        float* u = room.arena + op.cells + at.row * 3 * op.n + at.unit;
        if (op.step == 0)
            for (int g = 0; g < 3; ++g) u[g * op.n] = 0.0f;
        const float z = sigmoid_of(gates[0] + u[0]), r = sigmoid_of(gates[op.n] + u[op.n]);
        const float n = tanh_of(gates[2 * op.n] + r * u[2 * op.n]);
        gates[0] = z, gates[op.n] = r, gates[2 * op.n] = n;
        const float before = op.step > 0 ? room.arena[op.before + at.row * op.n + at.unit] : 0.0f;
        const float h = (1.0f - z) * n + z * before;
        room.arena[op.out + at.row * op.n + at.unit] = h;
        pass_on(op, room, at, h);
    });
}

// `carried` takes what of h passes straight on; the product with U is added to it.
GOSSAMER_BODY void gru_cell_back(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const Cell at = cell_of(op, e);
        float* gates = room.arena + op.gates + at.row * 3 * op.n + at.unit;
        float* u = room.arena + op.cells + at.row * 3 * op.n + at.unit;
        float d = room.arena[op.in + at.row * op.n + at.unit];
        if (op.step + 1 < op.steps) d += room.arena[op.carried + e];
        const float z = gates[0], r = gates[op.n], n = gates[2 * op.n];
        const float before = room.arena[op.before + at.row * op.n + at.unit];
        const float dn = d * (1.0f - z) * (1.0f - n * n);
        const float dz = d * (before - n) * z * (1.0f - z);
        const float dr = dn * u[2 * op.n] * r * (1.0f - r);
        gates[0] = u[0] = dz, gates[op.n] = u[op.n] = dr;
        gates[2 * op.n] = dn, u[2 * op.n] = dn * r;
        room.arena[op.carried + e] = d * z;
    });
}

// ---- Causal attention: a tile is one head of one sample ----

struct Head {
    const float *q, *k, *v;
    std::int64_t mixed, scores;  // where its part of the mixed values and of the scores begins
    int width, stride;           // channels of the head; floats from step to step of q, k and v
    float scale;
};
GOSSAMER_BODY Head head_of(const Op& op, const float* qkv, int tile) {
    const int sample = tile / op.groups, head = tile % op.groups, width = op.channels / op.groups;
    const float* q = qkv + std::int64_t{sample} * op.steps * 3 * op.channels + head * width;
    return {q,
            q + op.channels,
            q + 2 * op.channels,
            std::int64_t{sample} * op.steps * op.channels + head * width,
            std::int64_t{tile} * op.steps * op.steps,
            width,
            3 * op.channels,
            1.0f / sqrtf(static_cast<float>(width))};
}
GOSSAMER_BODY float dot(const float* a, const float* b, int count) {
    float sum = 0;
    for (int i = 0; i < count; ++i) sum = fmaf(a[i], b[i], sum);
    return sum;
}

GOSSAMER_BODY void attend(Block& block, const Op& op, const Room& room, int tile) {
    const Head h = head_of(op, room.arena + op.in, tile);
    float* weights = room.arena + op.kept + h.scores;
    block.each([&](int t) {
        for (int i = t; i < op.steps * op.steps; i += kThreads) {
            const int now = i / op.steps, then = i % op.steps;
            if (then <= now)
                weights[i] = h.scale * dot(h.q + std::int64_t{now} * h.stride,
                                           h.k + std::int64_t{then} * h.stride, h.width);
        }
    });
    block.each([&](int t) {
        for (int now = t; now < op.steps; now += kThreads) {
            float* row = weights + std::int64_t{now} * op.steps;
            float top = row[0], sum = 0;
            for (int s = 1; s <= now; ++s) top = row[s] > top ? row[s] : top;
            for (int s = 0; s <= now; ++s) sum += row[s] = exp_of(row[s] - top);
            for (int s = 0; s <= now; ++s) row[s] /= sum;
        }
    });
    block.each([&](int t) {
        for (int i = t; i < op.steps * h.width; i += kThreads) {
            const int now = i / h.width, c = i % h.width;
            const float* row = weights + std::int64_t{now} * op.steps;
            float sum = 0;
            for (int s = 0; s <= now; ++s)
                sum = fmaf(row[s], h.v[std::int64_t{s} * h.stride + c], sum);
            room.arena[op.out + h.mixed + std::int64_t{now} * op.channels + c] = sum;
        }
    });
}

// in: of the mixed values; out: of q, k and v, where `second` has them; `from`: room for scores.
GOSSAMER_BODY void attend_back(Block& block, const Op& op, const Room& room, int tile) {
    const Head h = head_of(op, room.arena + op.second, tile);
    const float* weights = room.arena + op.kept + h.scores;
    float* scores = room.arena + op.from + h.scores;
    const float* d = room.arena + op.in + h.mixed;
    float* dq = room.arena + op.out + (h.q - (room.arena + op.second));
    block.each([&](int t) {
        for (int i = t; i < op.steps * op.steps; i += kThreads) {
            const int now = i / op.steps, then = i % op.steps;
            if (then <= now)
                scores[i] = dot(d + std::int64_t{now} * op.channels,
                                h.v + std::int64_t{then} * h.stride, h.width);
        }
    });
    block.each([&](int t) {
        for (int now = t; now < op.steps; now += kThreads) {
            const float* row = weights + std::int64_t{now} * op.steps;
            float* to = scores + std::int64_t{now} * op.steps;
            const float mean = dot(row, to, now + 1);
            for (int s = 0; s <= now; ++s) to[s] = h.scale * row[s] * (to[s] - mean);
        }
        for (int i = t; i < op.steps * h.width; i += kThreads) {
            const int then = i / h.width, c = i % h.width;
            float sum = 0;
            for (int s = then; s < op.steps; ++s)
                sum = fmaf(weights[std::int64_t{s} * op.steps + then],
                           d[std::int64_t{s} * op.channels + c], sum);
            dq[std::int64_t{then} * h.stride + 2 * op.channels + c] = sum;
        }
    });
    block.each([&](int t) {
        for (int i = t; i < op.steps * h.width; i += kThreads) {
            const int at = i / h.width, c = i % h.width;
            float query = 0, key = 0;
            for (int s = 0; s <= at; ++s)
                query = fmaf(scores[std::int64_t{at} * op.steps + s],
                             h.k[std::int64_t{s} * h.stride + c], query);
            for (int s = at; s < op.steps; ++s)
                key = fmaf(scores[std::int64_t{s} * op.steps + at],
                           h.q[std::int64_t{s} * h.stride + c], key);
            dq[std::int64_t{at} * h.stride + c] = query;
            dq[std::int64_t{at} * h.stride + op.channels + c] = key;
        }
    });
}

}  // namespace gossamer::cuda
