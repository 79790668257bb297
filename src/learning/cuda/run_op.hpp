// One tile of any op, and the persistent kernel made of them.
#pragma once

#include "learning/cuda/learn.hpp"
#include "learning/cuda/product.hpp"

namespace gossamer::cuda {

GOSSAMER_BOTH bool is_product(OpKind kind) {
    return kind >= OpKind::dense_forward && kind <= OpKind::conv_weights;
}
// Tiles of one replica; row_tiles and column_tiles of products were set when the op was made.
GOSSAMER_BOTH int tiles_of(const Op& op) {
    if (op.kind == OpKind::loss) return 1;
    if (is_product(op.kind)) return op.row_tiles * op.column_tiles;
    const int each = kThreads * (op.kind == OpKind::squares ? kSquaresPerThread : kPerThread);
    return (op.count + each - 1) / each;
}

// Bytes of shared memory that any op but a large product needs: a small tile's panels, and room for
// the sums of a block.
constexpr std::size_t kScratchBytes = (sizeof(Panels<SmallTile>) + 15) / 16 * 16;
static_assert(kScratchBytes >= 2 * kThreads * sizeof(double));

// What is no product.
GOSSAMER_BODY void run_simple(Block& block, const Op& op, const Areas& areas, const Room& room,
                              int replica, int tile) {
    const int tiles = tiles_of(op);
    switch (op.kind) {
        case OpKind::gather: gather_batch(block, op, room, tile); break;
        case OpKind::max_pool: pool_forward(block, op, room, tile, true); break;
        case OpKind::average_pool: pool_forward(block, op, room, tile, false); break;
        case OpKind::max_pool_back: pool_back(block, op, room, tile, true); break;
        case OpKind::average_pool_back: pool_back(block, op, room, tile, false); break;
        case OpKind::activate: activate_all(block, op, room, tile); break;
        case OpKind::activate_back: activate_back(block, op, room, tile); break;
        case OpKind::dropout: drop_out(block, op, areas, room, replica, tile); break;
        case OpKind::dropout_back: drop_out_back(block, op, room, tile); break;
        case OpKind::loss: loss_of_batch(block, op, areas, room, replica); break;
        case OpKind::squares:
            sum_squares(block, op, areas, room, tile, replica * tiles + tile);
            break;
        case OpKind::optimise: optimise_all(block, op, areas, room, tile, replica * op.k); break;
        default: break;
    }
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
            for (int tile = 0; tile < tiles; ++tile) switch (op.kind) {
                    case OpKind::dense_forward:
                        run_product<SmallTile, OpKind::dense_forward>(block, op, areas, room, tile,
                                                                      0, 0);
                        break;
                    case OpKind::dense_data:
                        run_product<SmallTile, OpKind::dense_data>(block, op, areas, room, tile, 0,
                                                                   0);
                        break;
                    case OpKind::dense_weights:
                        run_product<SmallTile, OpKind::dense_weights>(block, op, areas, room, tile,
                                                                      0, 0);
                        break;
                    case OpKind::conv_forward:
                        run_product<SmallTile, OpKind::conv_forward>(block, op, areas, room, tile,
                                                                     0, 0);
                        break;
                    case OpKind::conv_data:
                        run_product<SmallTile, OpKind::conv_data>(block, op, areas, room, tile, 0,
                                                                  0);
                        break;
                    case OpKind::conv_weights:
                        run_product<SmallTile, OpKind::conv_weights>(block, op, areas, room, tile,
                                                                     0, 0);
                        break;
                    default: run_simple(block, op, areas, room, replica, tile);
                }
        }
    }
    if (!p.weights_on_chip) return;
    block.each([&](int t) {
        for (int i = t; i < areas.parameter_count; i += kThreads) home[i] = room.parameters[i];
    });
}

}  // namespace gossamer::cuda
