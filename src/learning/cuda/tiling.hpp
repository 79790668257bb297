// How a product is cut: which tiles, and among how many blocks its terms are divided.
#pragma once

#include <algorithm>
#include <vector>

#include "learning/cuda/run_op.hpp"

namespace gossamer::cuda {

struct Cut {
    TileKind tile;
    int rows, columns, threads, values;
    double rate;  // how fast a block of it is, against others
};
template <class T>
Cut cut_of(TileKind tile, double rate) {
    return {tile, T::kRows, T::kColumns, T::kBlock, T::kValues, rate};
}

// Returns the tiles of all replicas.
inline std::int64_t cut_up(Op& op, const Cut& cut, int replicas, bool persistent) {
    op.tile = cut.tile;
    op.row_tiles = (op.m + cut.rows - 1) / cut.rows;
    op.column_tiles = (op.n + cut.columns - 1) / cut.columns;
    const std::int64_t tiles = std::int64_t{op.row_tiles} * op.column_tiles * replicas;
    const std::int64_t depths = (std::int64_t{op.k} + kDepth - 1) / kDepth;
    const std::int64_t most = op.kind == OpKind::conv_weights ? 32 : 12;
    std::int64_t splits = std::min({most, 264 / tiles, depths / 2});
    if (persistent || splits < 2) splits = 1;
    const std::int64_t part = (depths + splits - 1) / splits;
    op.k_part = static_cast<int>(part) * kDepth;
    op.splits = static_cast<int>((depths + part - 1) / part);
    return tiles;
}

// Chooses for a product; `workspace` and `tickets` grow by what its split parts need.
inline void divide(Op& op, int replicas, bool persistent, std::int64_t& workspace,
                   std::int64_t& tickets) {
    const bool conv = op.kind >= OpKind::conv_forward;
    std::vector<Cut> cuts{cut_of<SmallTile>(TileKind::small, 0.6)};
    if (!persistent) {
        if (conv) cuts.push_back(cut_of<NarrowTile>(TileKind::narrow, 0.8));
        cuts.push_back(cut_of<LargeTile>(TileKind::large, 1.0));
    }
    const Cut* chosen = nullptr;
    double best = 0;
    for (const Cut& cut : cuts) {
        Op tried = op;
        const std::int64_t tiles = cut_up(tried, cut, replicas, persistent);
        // A card of about 132 processors works on that many blocks at least.
        const double blocks = double(std::max<std::int64_t>(tiles * tried.splits, 132));
        const double cost = blocks * cut.rows * cut.columns * (tried.k_part + 64) / cut.rate;
        if (chosen == nullptr || cost < best) chosen = &cut, best = cost;
    }
    const std::int64_t tiles = cut_up(op, *chosen, replicas, persistent);
    if (op.splits == 1) return;
    op.partials = workspace, op.tickets = tickets;
    workspace += tiles * op.splits * chosen->threads * (chosen->values + 1);
    tickets += tiles;
}

}  // namespace gossamer::cuda
