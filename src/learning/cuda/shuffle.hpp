// The order of a peer's samples in one epoch: data::Loader's, draw for draw.
#pragma once

#include "learning/cuda/arithmetic.hpp"

namespace gossamer::cuda {

struct ShuffleRow {             // one epoch of one replica
    const std::uint32_t* rows;  // null: 0, 1, 2, …
    std::uint32_t* out;
    Draws draws;
    int count;
    int shuffled;
};
struct ShuffleArgs {
    const ShuffleRow* table;
    int serial;  // 1: draws one after another, as after a draw that must be repeated
};

// Fisher–Yates with draws one after another.
GOSSAMER_BOTH void shuffle_serially(std::uint32_t* order, int count, const Draws& draws) {
    std::uint64_t next = 0;
    for (int i = count; i > 1; --i) {
        std::uint64_t j = 0;
        while (!below(draw(draws, next++), static_cast<std::uint64_t>(i), j)) {
        }
        const std::uint32_t kept = order[i - 1];
        order[i - 1] = order[j], order[j] = kept;
    }
}

// Shared memory: the order, the places to exchange, a flag.
GOSSAMER_BOTH std::size_t shuffle_bytes(int count) {
    return (2 * static_cast<std::size_t>(count) + 1) * sizeof(std::uint32_t);
}
constexpr int kShuffleMax = 6000;  // more samples are put in order by the host

struct Shuffle {
    using Args = ShuffleArgs;
    static constexpr int kThreads = 128;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        const ShuffleRow row = a.table[block.x];
        auto* order = reinterpret_cast<std::uint32_t*>(block.shared);
        std::uint32_t* places = order + row.count;
        unsigned* repeats = places + row.count;
        block.each([&](int t) {
            if (t == 0) *repeats = a.serial != 0 ? 1u : 0u;
            for (int i = t; i < row.count; i += kThreads)
                order[i] = row.rows != nullptr ? row.rows[i] : static_cast<std::uint32_t>(i);
        });
        if (row.shuffled != 0) {
            block.each([&](int t) {
                for (int i = t; i + 1 < row.count; i += kThreads) {
                    std::uint64_t j = 0;
                    const auto bound = static_cast<std::uint64_t>(row.count - i);
                    if (!below(draw(row.draws, static_cast<std::uint64_t>(i)), bound, j))
                        Block::add(repeats, 1u);
                    places[i] = static_cast<std::uint32_t>(j);
                }
            });
            block.each([&](int t) {
                if (t != 0) return;
                if (*repeats != 0) {
                    shuffle_serially(order, row.count, row.draws);
                    return;
                }
                for (int i = 0; i + 1 < row.count; ++i) {
                    const int last = row.count - 1 - i;
                    const std::uint32_t kept = order[last];
                    order[last] = order[places[i]], order[places[i]] = kept;
                }
            });
        }
        block.each([&](int t) {
            for (int i = t; i < row.count; i += kThreads) row.out[i] = order[i];
        });
    }
};

}  // namespace gossamer::cuda
