// Ops that are no products: the batch, pools, activations, dropout. A tile is kThreads · kPerThread
// elements; every element has one thread that writes it, so nothing is ever added atomically.
#pragma once

#include "learning/cuda/op.hpp"

namespace gossamer::cuda {

template <class Use>
GOSSAMER_BODY void each_of(Block& block, int tile, int count, Use&& use) {
    block.each([&](int t) {
        for (int i = 0; i < kPerThread; ++i) {
            const std::int64_t e = (std::int64_t{tile} * kPerThread + i) * kThreads + t;
            if (e < count) use(static_cast<int>(e));
        }
    });
}

// Rows beyond the batch's size become zeros with label -1, and add nothing to any gradient.
GOSSAMER_BODY void gather_batch(Block& block, const Op& op, const Room& room, int tile) {
    const ReplicaJob& job = *room.job;
    const Slot slot = slot_of(job, room.state->step, room.state->failed, op.batch);
    float* out = room.arena + op.out;
    auto* labels = reinterpret_cast<std::int32_t*>(room.arena + op.labels);
    each_of(block, tile, op.count, [&](int e) {
        const int row = e / op.features, feature = e % op.features;
        const bool there = row < slot.size;
        const std::int64_t from = there ? job.order[slot.first + row] : 0;
        float value = 0;
        if (there)
            value =
                job.bytes != nullptr
                    ? static_cast<float>(job.bytes[from * op.features + feature]) * job.byte_scale
                    : job.floats[from * op.features + feature];
        out[e] = value;
        for (int j = feature; j < op.label_count; j += op.features)
            labels[std::int64_t{row} * op.label_count + j] =
                there && job.labels != nullptr ? job.labels[from * op.label_count + j] : -1;
        if (op.targets < 0) return;
        for (int j = feature; j < op.target_count; j += op.features)
            room.arena[op.targets + std::int64_t{row} * op.target_count + j] =
                there && job.targets != nullptr ? job.targets[from * op.target_count + j] : 0.0f;
    });
}

struct PoolPlace {
    int image, y, x, channel;
};
GOSSAMER_BODY PoolPlace place_in(int e, int height, int width, int channels) {
    const int channel = e % channels, rest = e / channels;
    return {rest / width / height, rest / width % height, rest % width, channel};
}
GOSSAMER_BODY std::int64_t place_of(int image, int y, int x, int channel, int height, int width,
                                    int channels) {
    return ((std::int64_t{image} * height + y) * width + x) * channels + channel;
}

GOSSAMER_BODY void pool_forward(Block& block, const Op& op, const Room& room, int tile, bool most) {
    const float* in = room.arena + op.in;
    float* out = room.arena + op.out;
    auto* winner = reinterpret_cast<std::int32_t*>(room.arena + op.kept);
    const float share = 1.0f / static_cast<float>(op.window_height * op.window_width);
    each_of(block, tile, op.count, [&](int e) {
        const PoolPlace p = place_in(e, op.out_height, op.out_width, op.channels);
        float value = 0;
        int best = 0;
        for (int k = 0; k < op.window_height * op.window_width; ++k) {
            const int y = p.y * op.stride + k / op.window_width;
            const int x = p.x * op.stride + k % op.window_width;
            const float v =
                in[place_of(p.image, y, x, p.channel, op.height, op.width, op.channels)];
            if (!most)
                value = fmaf(share, v, value);
            else if (k == 0 || v > value)
                value = v, best = k;
        }
        out[e] = activate(op.activation, value);
        if (most) winner[e] = best;
    });
}

// Each input element asks the windows it lies in, top to bottom, left to right.
GOSSAMER_BODY void pool_back(Block& block, const Op& op, const Room& room, int tile, bool most) {
    const float* dy = room.arena + op.in;
    const auto* winner = reinterpret_cast<const std::int32_t*>(room.arena + op.kept);
    const float share = 1.0f / static_cast<float>(op.window_height * op.window_width);
    each_of(block, tile, op.count, [&](int e) {
        const PoolPlace p = place_in(e, op.height, op.width, op.channels);
        float sum = 0;
        const int top = p.y < op.window_height ? 0 : (p.y - op.window_height) / op.stride + 1;
        const int left = p.x < op.window_width ? 0 : (p.x - op.window_width) / op.stride + 1;
        for (int oy = top; oy < op.out_height && oy * op.stride <= p.y; ++oy)
            for (int ox = left; ox < op.out_width && ox * op.stride <= p.x; ++ox) {
                const std::int64_t at =
                    place_of(p.image, oy, ox, p.channel, op.out_height, op.out_width, op.channels);
                const int k = (p.y - oy * op.stride) * op.window_width + p.x - ox * op.stride;
                if (!most)
                    sum = fmaf(share, dy[at], sum);
                else if (winner[at] == k)
                    sum += dy[at];
            }
        give(op, room, e, sum);
    });
}

GOSSAMER_BODY void activate_all(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count,
            [&](int e) { room.arena[op.out + e] = activate(op.function, room.arena[op.in + e]); });
}
// By the slope of this stage the gradient was multiplied when it was made, unless it needs the
// input; so only that of the stage before is left.
GOSSAMER_BODY void activate_back(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        const float d = room.arena[op.in + e];
        give(op, room, e,
             needs_input(op.function) ? slope_at(op.function, d, room.arena[op.second + e]) : d);
    });
}

GOSSAMER_BODY void add_stages(Block& block, const Op& op, const Room& room, int tile) {
    each_of(block, tile, op.count, [&](int e) {
        room.arena[op.out + e] =
            activate(op.activation, room.arena[op.in + e] + room.arena[op.second + e]);
    });
}

GOSSAMER_BODY void drop_out(Block& block, const Op& op, const Areas& areas, const Room& room,
                            int replica, int tile) {
    const int step = room.state->step;
    const bool drops = op.training && op.rate > 0 && step < room.job->step_count;
    const std::uint64_t draws =
        drops
            ? draws_of_stage(areas.steps[std::int64_t{step} * areas.replica_count + replica].draws,
                             static_cast<std::uint64_t>(op.stage))
            : 0;
    const float more = 1.0f / (1.0f - op.rate);
    each_of(block, tile, op.count, [&](int e) {
        const float x = room.arena[op.in + e];
        const bool kept = !drops || kept_by_dropout(static_cast<std::uint32_t>(e), op.rate, draws);
        room.arena[op.out + e] = kept ? (drops ? x * more : x) : 0.0f;
    });
}
GOSSAMER_BODY void drop_out_back(Block& block, const Op& op, const Room& room, int tile) {
    const std::uint64_t draws =
        draws_of_stage(room.state->draws, static_cast<std::uint64_t>(op.stage));
    const float more = 1.0f / (1.0f - op.rate);
    each_of(block, tile, op.count, [&](int e) {
        const bool kept =
            op.rate <= 0 || kept_by_dropout(static_cast<std::uint32_t>(e), op.rate, draws);
        give(op, room, e, kept ? room.arena[op.in + e] * (op.rate > 0 ? more : 1.0f) : 0.0f);
    });
}

}  // namespace gossamer::cuda
