// One tile of any op, and the persistent kernel made of them.
#pragma once

#include "learning/cuda/learn.hpp"
#include "learning/cuda/norm.hpp"
#include "learning/cuda/product.hpp"
#include "learning/cuda/sequence.hpp"

namespace gossamer::cuda {

template <OpKind... Kinds>
struct KindList {};
using ProductKinds = KindList<OpKind::dense_forward, OpKind::dense_data, OpKind::dense_weights,
                              OpKind::conv_forward, OpKind::conv_data, OpKind::conv_weights>;
using OtherKinds =
    KindList<OpKind::gather, OpKind::max_pool, OpKind::max_pool_back, OpKind::average_pool,
             OpKind::average_pool_back, OpKind::activate, OpKind::activate_back, OpKind::dropout,
             OpKind::dropout_back, OpKind::norm, OpKind::norm_back, OpKind::norm_sums,
             OpKind::norm_weights, OpKind::add, OpKind::embed, OpKind::entry_weights,
             OpKind::add_positions, OpKind::position_weights, OpKind::lstm_cell,
             OpKind::lstm_cell_back, OpKind::gru_cell, OpKind::gru_cell_back, OpKind::last_step,
             OpKind::last_step_back, OpKind::attend, OpKind::attend_back, OpKind::multiply_factors,
             OpKind::loss, OpKind::squares, OpKind::optimise>;

GOSSAMER_BOTH bool is_product(OpKind kind) {
    return kind >= OpKind::dense_forward && kind <= OpKind::conv_weights;
}
// A layer's weights are learned beside what the layers below it do: nothing in the step reads them
// any more.
GOSSAMER_BOTH bool learns_beside(OpKind kind) {
    return kind == OpKind::dense_weights || kind == OpKind::conv_weights;
}
// `count` counts tiles: a block is at one group, part or head.
GOSSAMER_BOTH bool counts_tiles(OpKind kind) {
    return (kind >= OpKind::norm && kind <= OpKind::norm_sums) || kind == OpKind::attend ||
           kind == OpKind::attend_back;
}
// Tiles of one replica; row_tiles and column_tiles of products were set when the op was made.
GOSSAMER_BOTH int tiles_of(const Op& op) {
    if (op.kind == OpKind::loss) return 1;
    if (is_product(op.kind)) return op.row_tiles * op.column_tiles;
    if (counts_tiles(op.kind)) return op.count;
    const int each = kThreads * (op.kind == OpKind::squares ? kSquaresPerThread : kPerThread);
    return (op.count + each - 1) / each;
}

// Bytes of shared memory that any op but a large product needs: a small tile's panels, and room for
// the sums of a block.
constexpr std::size_t kScratchBytes = (sizeof(Panels<SmallTile>) + 15) / 16 * 16;
static_assert(kScratchBytes >= 3 * kThreads * sizeof(double));

// What is no product.
template <OpKind Kind>
GOSSAMER_BODY void run_other(Block& block, const Op& op, const Areas& areas, const Room& room,
                             int replica, int tile) {
    using enum OpKind;
    if constexpr (Kind == gather) gather_batch(block, op, room, tile);
    if constexpr (Kind == max_pool) pool_forward(block, op, room, tile, true);
    if constexpr (Kind == average_pool) pool_forward(block, op, room, tile, false);
    if constexpr (Kind == max_pool_back) pool_back(block, op, room, tile, true);
    if constexpr (Kind == average_pool_back) pool_back(block, op, room, tile, false);
    if constexpr (Kind == activate) activate_all(block, op, room, tile);
    if constexpr (Kind == OpKind::activate_back) cuda::activate_back(block, op, room, tile);
    if constexpr (Kind == dropout) drop_out(block, op, areas, room, replica, tile);
    if constexpr (Kind == dropout_back) drop_out_back(block, op, room, tile);
    if constexpr (Kind == norm) norm_forward(block, op, room, tile);
    if constexpr (Kind == OpKind::norm_back) cuda::norm_back(block, op, room, tile);
    if constexpr (Kind == OpKind::norm_sums) cuda::norm_sums(block, op, room, tile);
    if constexpr (Kind == OpKind::norm_weights) cuda::norm_weights(block, op, areas, room, tile);
    if constexpr (Kind == add) add_stages(block, op, room, tile);
    if constexpr (Kind == OpKind::embed) cuda::embed(block, op, room, tile);
    if constexpr (Kind == OpKind::entry_weights) cuda::entry_weights(block, op, areas, room, tile);
    if constexpr (Kind == OpKind::add_positions) cuda::add_positions(block, op, room, tile);
    if constexpr (Kind == OpKind::position_weights)
        cuda::position_weights(block, op, areas, room, tile);
    if constexpr (Kind == OpKind::lstm_cell) cuda::lstm_cell(block, op, room, tile);
    if constexpr (Kind == OpKind::lstm_cell_back) cuda::lstm_cell_back(block, op, room, tile);
    if constexpr (Kind == OpKind::gru_cell) cuda::gru_cell(block, op, room, tile);
    if constexpr (Kind == OpKind::gru_cell_back) cuda::gru_cell_back(block, op, room, tile);
    if constexpr (Kind == OpKind::last_step) cuda::last_step(block, op, room, tile);
    if constexpr (Kind == OpKind::last_step_back) cuda::last_step_back(block, op, room, tile);
    if constexpr (Kind == OpKind::attend) cuda::attend(block, op, room, tile);
    if constexpr (Kind == OpKind::attend_back) cuda::attend_back(block, op, room, tile);
    if constexpr (Kind == OpKind::multiply_factors) cuda::multiply_factors(block, op, room, tile);
    if constexpr (Kind == loss) loss_of_batch(block, op, areas, room, replica);
    if constexpr (Kind == squares)
        sum_squares(block, op, areas, room, tile, replica * tiles_of(op) + tile);
    if constexpr (Kind == optimise) optimise_all(block, op, areas, room, tile, replica * op.k);
}

// The kind is the same for all threads.
template <OpKind... Kinds>
GOSSAMER_BODY void run_product_of(KindList<Kinds...>, Block& block, const Op& op,
                                  const Areas& areas, const Room& room, int tile) {
    (
        [&] {
            if (op.kind == Kinds) run_product<SmallTile, Kinds>(block, op, areas, room, tile, 0, 0);
        }(),
        ...);
}
template <OpKind... Kinds>
GOSSAMER_BODY void run_other_of(KindList<Kinds...>, Block& block, const Op& op, const Areas& areas,
                                const Room& room, int replica, int tile) {
    (
        [&] {
            if (op.kind == Kinds) run_other<Kinds>(block, op, areas, room, replica, tile);
        }(),
        ...);
}

// A block that runs `step_count` steps of its replica, with the weights (and, where they fit, all
// activations) in shared memory. It waits for no other block.
struct Persistent {
    Areas areas;
    const Op* ops;
    int op_count, step_count;
    int first_replica;
    bool weights_on_chip, arena_on_chip;
};
GOSSAMER_BODY void run_persistent(Block& block, const Persistent& p) {
    const int replica = p.first_replica + block.x;
    const Areas& areas = p.areas;
    Room room = room_of(areas, replica);
    float* home = room.parameters;
    float* chip = reinterpret_cast<float*>(block.shared + kScratchBytes);
    if (p.weights_on_chip) {
        block.each([&](int t) {
            for (int i = t; i < areas.parameter_count; i += kThreads) chip[i] = home[i];
        });
        room.parameters = chip;
        chip += (areas.parameter_count + 3) / 4 * 4;
    }
    if (p.arena_on_chip) room.arena = chip;
    for (int step = 0; step < p.step_count; ++step) {
        // Read by all before any of them can be at the loss, which writes both.
        if (room.state->failed != 0 || room.state->step >= room.job->step_count) break;
        for (int o = 0; o < p.op_count; ++o) {
            const Op& op = p.ops[o];
            const int tiles = tiles_of(op);
            for (int tile = 0; tile < tiles; ++tile) {
                if (is_product(op.kind))
                    run_product_of(ProductKinds{}, block, op, areas, room, tile);
                else
                    run_other_of(OtherKinds{}, block, op, areas, room, replica, tile);
            }
        }
    }
    if (!p.weights_on_chip) return;
    block.each([&](int t) {
        for (int i = t; i < areas.parameter_count; i += kThreads) home[i] = room.parameters[i];
    });
}

}  // namespace gossamer::cuda
