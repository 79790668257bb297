// The kernels an engine launches: ops one by one for all replicas, and the persistent kernel.
#pragma once

#include "learning/cuda/encode.hpp"
#include "learning/cuda/run_op.hpp"
#include "learning/cuda/shuffle.hpp"
#include "learning/cuda/top.hpp"

namespace gossamer::cuda {

struct OpArgs {
    Op op;
    Areas areas;
};

// Blocks: x tiles, y parts of split products, z replicas.
template <class T, OpKind Kind>
struct RunProduct {
    using Args = OpArgs;
    static constexpr int kThreads = T::kBlock;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        const int slot = block.z * (a.op.row_tiles * a.op.column_tiles) + block.x;
        run_product<T, Kind>(block, a.op, a.areas, room_of(a.areas, block.z), block.x, slot,
                             block.y);
    }
};
struct RunSimple {
    using Args = OpArgs;
    static constexpr int kThreads = cuda::kThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        run_simple(block, a.op, a.areas, room_of(a.areas, block.z), block.z, block.x);
    }
};
struct RunPersistent {
    using Args = Persistent;
    static constexpr int kThreads = cuda::kThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) { run_persistent(block, a); }
};

template <class Machine, class T, OpKind Kind>
void launch_product(Machine& machine, const OpArgs& a, unsigned replicas) {
    machine.template launch<RunProduct<T, Kind>>(
        {.x = static_cast<unsigned>(a.op.row_tiles * a.op.column_tiles),
         .y = static_cast<unsigned>(a.op.splits),
         .z = replicas,
         .threads = T::kBlock,
         .shared_bytes = sizeof(Panels<T>)},
        a);
}
template <class Machine, OpKind Kind>
void launch_dense(Machine& machine, const OpArgs& a, unsigned replicas) {
    if (a.op.tile == TileKind::small)
        launch_product<Machine, SmallTile, Kind>(machine, a, replicas);
    else
        launch_product<Machine, LargeTile, Kind>(machine, a, replicas);
}
template <class Machine, OpKind Kind>
void launch_conv(Machine& machine, const OpArgs& a, unsigned replicas) {
    switch (a.op.tile) {
        case TileKind::small: launch_product<Machine, SmallTile, Kind>(machine, a, replicas); break;
        case TileKind::narrow:
            launch_product<Machine, NarrowTile, Kind>(machine, a, replicas);
            break;
        default: launch_product<Machine, LargeTile, Kind>(machine, a, replicas);
    }
}

template <class Machine>
void launch_op(Machine& machine, const OpArgs& a, unsigned replicas) {
    switch (a.op.kind) {
        case OpKind::dense_forward:
            launch_dense<Machine, OpKind::dense_forward>(machine, a, replicas);
            break;
        case OpKind::dense_data:
            launch_dense<Machine, OpKind::dense_data>(machine, a, replicas);
            break;
        case OpKind::dense_weights:
            launch_dense<Machine, OpKind::dense_weights>(machine, a, replicas);
            break;
        case OpKind::conv_forward:
            launch_conv<Machine, OpKind::conv_forward>(machine, a, replicas);
            break;
        case OpKind::conv_data:
            launch_conv<Machine, OpKind::conv_data>(machine, a, replicas);
            break;
        case OpKind::conv_weights:
            launch_conv<Machine, OpKind::conv_weights>(machine, a, replicas);
            break;
        default:
            machine.template launch<RunSimple>(
                {.x = static_cast<unsigned>(tiles_of(a.op)),
                 .z = replicas,
                 .threads = static_cast<unsigned>(RunSimple::kThreads),
                 .shared_bytes = kScratchBytes},
                a);
    }
}

}  // namespace gossamer::cuda
