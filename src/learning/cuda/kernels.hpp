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
template <OpKind Kind>
struct RunOther {
    using Args = OpArgs;
    static constexpr int kThreads = cuda::kThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        run_other<Kind>(block, a.op, a.areas, room_of(a.areas, block.z), block.z, block.x);
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
// Narrow tiles are for convolutions alone.
template <class Machine, OpKind Kind>
void launch_tiles(Machine& machine, const OpArgs& a, unsigned replicas) {
    if (a.op.tile == TileKind::small)
        return launch_product<Machine, SmallTile, Kind>(machine, a, replicas);
    if constexpr (Kind >= OpKind::conv_forward)
        if (a.op.tile == TileKind::narrow)
            return launch_product<Machine, NarrowTile, Kind>(machine, a, replicas);
    launch_product<Machine, LargeTile, Kind>(machine, a, replicas);
}
template <class Machine, OpKind... Kinds>
void launch_any(KindList<Kinds...>, Machine& machine, const OpArgs& a, unsigned replicas) {
    const Grid grid{.x = static_cast<unsigned>(tiles_of(a.op)),
                    .z = replicas,
                    .threads = static_cast<unsigned>(cuda::kThreads),
                    .shared_bytes = kScratchBytes};
    ((a.op.kind == Kinds ? machine.template launch<RunOther<Kinds>>(grid, a) : void()), ...);
}
template <class Machine, OpKind... Kinds>
void launch_product_of(KindList<Kinds...>, Machine& machine, const OpArgs& a, unsigned replicas) {
    ((a.op.kind == Kinds ? launch_tiles<Machine, Kinds>(machine, a, replicas) : void()), ...);
}

template <class Machine>
void launch_op(Machine& machine, const OpArgs& a, unsigned replicas) {
    if (is_product(a.op.kind))
        launch_product_of(ProductKinds{}, machine, a, replicas);
    else
        launch_any(OtherKinds{}, machine, a, replicas);
}

}  // namespace gossamer::cuda
