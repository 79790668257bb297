// Products of matrices that need not be stored: dense layers and convolutions, forth and back.
//
// A block makes one tile of the result. Sixteen terms at a time lie in shared memory, twice: while
// one pair of panels is multiplied, the next is fetched into registers and put beside it, so there
// is one barrier per sixteen terms. A convolution's window is read through two small tables (where
// a pixel's window begins; how far a term lies from there), so no im2col is ever stored, and the
// same two tables, exchanged, give the gradient of the weights. Where there are too few tiles to
// fill the card the terms are divided among blocks; the last of them to finish adds the parts up in
// order.
#pragma once

#include "learning/cuda/op.hpp"

namespace gossamer::cuda {

constexpr int kDepth = 16;  // terms in shared memory at once

template <int Rows, int Columns, int ThreadRows, int ThreadColumns>
struct TileShape {
    static constexpr int kRows = Rows, kColumns = Columns;
    static constexpr int kThreadRows = ThreadRows, kThreadColumns = ThreadColumns;
    static constexpr int kAcross = Columns / ThreadColumns;
    static constexpr int kBlock = Rows / ThreadRows * kAcross;  // threads
    static constexpr int kValues = ThreadRows * ThreadColumns;
    static_assert(ThreadRows % 4 == 0 && ThreadColumns % 4 == 0, "fragments are read as Fours");
    static_assert(kBlock % kDepth == 0 && kBlock % Rows == 0 && kBlock % Columns == 0);
};
using SmallTile = TileShape<32, 64, 4, 4>;    // 128 threads: batches, single replicas
using NarrowTile = TileShape<128, 32, 4, 4>;  // 256 threads: convolutions of up to 32 channels
using LargeTile = TileShape<128, 64, 8, 4>;   // 256 threads

template <class T>
struct alignas(16) Panels {
    float a[2][kDepth][T::kRows + 4];  // 4: spreads the columns over the banks, keeps Fours aligned
    float b[2][kDepth][T::kColumns + 4];
    unsigned ticket;
};

// ---- Sides of a product: value(line, term), zero outside ----

// A stored matrix. Adjacent: terms lie side by side, lines `stride` apart; else the other way.
template <bool Adjacent>
struct Stored {
    static constexpr bool kTermsAdjacent = Adjacent;
    const float* data;
    int lines, terms, stride;
    struct Line {
        const float* at;
    };
    struct Term {
        std::int64_t at;
    };
    GOSSAMER_BODY Line line(int i) const {
        return {i < lines ? data + (Adjacent ? std::int64_t{i} * stride : i) : nullptr};
    }
    GOSSAMER_BODY Term term(int i) const {
        return {i < terms ? (Adjacent ? i : std::int64_t{i} * stride) : -1};
    }
    GOSSAMER_BODY static float value(const Line& l, const Term& t) {
        return l.at != nullptr && t.at >= 0 ? l.at[t.at] : 0.0f;
    }
};

// Windows over images; PixelLines: a line is a pixel and a term its place in the window.
template <bool PixelLines>
struct Windows {
    static constexpr bool kTermsAdjacent = PixelLines;
    const float* data;
    const Pixel* pixels;
    const Window* windows;
    int pixel_count, window_count, height, width, channels, divide;

    struct Place {
        int y, x, offset;  // offset: the image's base, or the channel
    };
    using Line = Place;
    using Term = Place;
    GOSSAMER_BODY Place pixel(int i) const {
        if (i >= pixel_count) return {kOutside, 0, 0};
        const Pixel p = pixels[i];
        return {p.y, p.x, p.base};
    }
    GOSSAMER_BODY Place window(int i) const {
        if (i >= window_count) return {kOutside, 0, 0};
        const Window w = windows[i];
        return {w.y, w.x, w.channel};
    }
    GOSSAMER_BODY Line line(int i) const { return PixelLines ? pixel(i) : window(i); }
    GOSSAMER_BODY Term term(int i) const { return PixelLines ? window(i) : pixel(i); }
    GOSSAMER_BODY float value(const Line& l, const Term& t) const {
        int y = l.y + t.y, x = l.x + t.x;
        if (divide > 1) {  // the way back through a stride: only every `divide`-th was an output
            if (y < 0 || x < 0 || y % divide != 0 || x % divide != 0) return 0.0f;
            y /= divide, x /= divide;
        }
        if (static_cast<unsigned>(y) >= static_cast<unsigned>(height) ||
            static_cast<unsigned>(x) >= static_cast<unsigned>(width))
            return 0.0f;
        return data[l.offset + t.offset + (y * width + x) * channels];
    }
};

// A convolution's weights on the way back: lines are channels in, terms those of the table.
struct BackWeights {
    static constexpr bool kTermsAdjacent = true;
    const float* data;
    const Window* windows;
    int lines, terms, stride;
    struct Line {
        int at;
    };
    struct Term {
        int at;
    };
    GOSSAMER_BODY Line line(int i) const { return {i < lines ? i * stride : -1}; }
    GOSSAMER_BODY Term term(int i) const { return {i < terms ? windows[i].weight : -1}; }
    GOSSAMER_BODY float value(const Line& l, const Term& t) const {
        return l.at >= 0 && t.at >= 0 ? data[l.at + t.at] : 0.0f;
    }
};

// ---- A tile ----

// What one thread carries of one side: neighbours in memory are read by neighbouring threads.
template <class T, class Side, int Extent>
struct Feed {
    static constexpr bool kAdjacent = Side::kTermsAdjacent;
    static constexpr int kLoads = Extent * kDepth / T::kBlock;
    static constexpr int kLines = kAdjacent ? kLoads : 1;
    typename Side::Line lines[kLines];
    float values[kLoads];

    GOSSAMER_BODY static int line_of(int thread, int i) {
        return kAdjacent ? thread / kDepth + i * (T::kBlock / kDepth) : thread % Extent;
    }
    GOSSAMER_BODY static int term_of(int thread, int i) {
        return kAdjacent ? thread % kDepth : thread / Extent + i * (T::kBlock / Extent);
    }
    GOSSAMER_BODY void aim(const Side& side, int thread, int first) {
        GOSSAMER_UNROLL
        for (int i = 0; i < kLines; ++i) lines[i] = side.line(first + line_of(thread, i));
    }
    GOSSAMER_BODY void load(const Side& side, int thread, int k) {
        if constexpr (kAdjacent) {
            const auto term = side.term(k + term_of(thread, 0));
            GOSSAMER_UNROLL
            for (int i = 0; i < kLoads; ++i) values[i] = side.value(lines[i], term);
        } else {
            GOSSAMER_UNROLL
            for (int i = 0; i < kLoads; ++i)
                values[i] = side.value(lines[0], side.term(k + term_of(thread, i)));
        }
    }
    GOSSAMER_BODY void store(float (*panel)[Extent + 4], int thread) const {
        GOSSAMER_UNROLL
        for (int i = 0; i < kLoads; ++i) panel[term_of(thread, i)][line_of(thread, i)] = values[i];
    }
};

template <class T>
struct Sums {
    float v[T::kThreadRows][T::kThreadColumns];
    float column;  // sum of one column of the second side
};

template <class T>
GOSSAMER_BODY void accumulate(Sums<T>& sums, const float (*a)[T::kRows + 4],
                              const float (*b)[T::kColumns + 4], int thread) {
    const int row = thread / T::kAcross * T::kThreadRows;
    const int column = thread % T::kAcross * T::kThreadColumns;
    GOSSAMER_UNROLL
    for (int d = 0; d < kDepth; ++d) {
        Four x[T::kThreadRows / 4], y[T::kThreadColumns / 4];
        GOSSAMER_UNROLL
        for (int i = 0; i < T::kThreadRows / 4; ++i)
            x[i] = *reinterpret_cast<const Four*>(&a[d][row + 4 * i]);
        GOSSAMER_UNROLL
        for (int j = 0; j < T::kThreadColumns / 4; ++j)
            y[j] = *reinterpret_cast<const Four*>(&b[d][column + 4 * j]);
        GOSSAMER_UNROLL
        for (int i = 0; i < T::kThreadRows; ++i) GOSSAMER_UNROLL
        for (int j = 0; j < T::kThreadColumns; ++j)
            sums.v[i][j] = fmaf(x[i / 4].v[i % 4], y[j / 4].v[j % 4], sums.v[i][j]);
    }
}

struct Part {  // of a product: a tile, and which terms
    int row, column, k_first, k_last;
    bool column_sums;
};

template <class T, class A, class B>
GOSSAMER_BODY void multiply_tile(Block& block, PerThread<Sums<T>, T::kBlock>& sums, const A& a,
                                 const B& b, const Part& part) {
    auto& panels = *reinterpret_cast<Panels<T>*>(block.shared);
    PerThread<Feed<T, A, T::kRows>, T::kBlock> feed_a;
    PerThread<Feed<T, B, T::kColumns>, T::kBlock> feed_b;
    block.each([&](int t) {
        GOSSAMER_UNROLL
        for (int i = 0; i < T::kThreadRows; ++i) GOSSAMER_UNROLL
        for (int j = 0; j < T::kThreadColumns; ++j) sums[t].v[i][j] = 0.0f;
        sums[t].column = 0.0f;
        feed_a[t].aim(a, t, part.row), feed_b[t].aim(b, t, part.column);
        feed_a[t].load(a, t, part.k_first), feed_b[t].load(b, t, part.k_first);
        feed_a[t].store(panels.a[0], t), feed_b[t].store(panels.b[0], t);
    });
    int now = 0;
    for (int k = part.k_first; k < part.k_last; k += kDepth, now ^= 1) {
        block.each([&](int t) {
            const bool more = k + kDepth < part.k_last;
            if (more) feed_a[t].load(a, t, k + kDepth), feed_b[t].load(b, t, k + kDepth);
            accumulate<T>(sums[t], panels.a[now], panels.b[now], t);
            if (part.column_sums && t < T::kColumns)
                for (int d = 0; d < kDepth; ++d) sums[t].column += panels.b[now][d][t];
            if (more) feed_a[t].store(panels.a[now ^ 1], t), feed_b[t].store(panels.b[now ^ 1], t);
        });
    }
}

// True when `sums` is the whole sum: at once, or, in the last block of a split product to come
// here, after adding up the parts in their order.
template <class T>
GOSSAMER_BODY bool gather_parts(Block& block, PerThread<Sums<T>, T::kBlock>& sums, const Op& op,
                                const Areas& areas, int tile, int split) {
    if (op.splits == 1) return true;
    auto& panels = *reinterpret_cast<Panels<T>*>(block.shared);
    constexpr std::int64_t kPart = std::int64_t{T::kBlock} * (T::kValues + 1);
    float* parts = areas.workspace + op.partials + std::int64_t{tile} * op.splits * kPart;
    unsigned* ticket = areas.tickets + op.tickets + tile;
    block.each([&](int t) {
        float* mine = parts + split * kPart + t;
        GOSSAMER_UNROLL
        for (int i = 0; i < T::kThreadRows; ++i) GOSSAMER_UNROLL
        for (int j = 0; j < T::kThreadColumns; ++j)
            mine[(i * T::kThreadColumns + j) * T::kBlock] = sums[t].v[i][j];
        mine[T::kValues * T::kBlock] = sums[t].column;
        Block::publish();
    });
    block.each([&](int t) {
        if (t != 0) return;
        Block::publish();
        panels.ticket = Block::add(ticket, 1u);
        Block::publish();
    });
    if (panels.ticket + 1 != static_cast<unsigned>(op.splits)) return false;
    block.each([&](int t) {
        if (t == 0) *ticket = 0;  // for the next launch
        GOSSAMER_UNROLL_2
        for (int s = 0; s < op.splits; ++s) {
            const float* from = parts + s * kPart + t;
            GOSSAMER_UNROLL
            for (int i = 0; i < T::kThreadRows; ++i) GOSSAMER_UNROLL
            for (int j = 0; j < T::kThreadColumns; ++j) {
                const float v = Block::fresh(from + (i * T::kThreadColumns + j) * T::kBlock);
                sums[t].v[i][j] = s == 0 ? v : sums[t].v[i][j] + v;
            }
            const float c = Block::fresh(from + T::kValues * T::kBlock);
            sums[t].column = s == 0 ? c : sums[t].column + c;
        }
    });
    return true;
}

// Calls use(row, column, value) for this tile's elements inside the result.
template <class T, class Use>
GOSSAMER_BODY void each_element(Block& block, PerThread<Sums<T>, T::kBlock>& sums, const Op& op,
                                const Part& part, Use&& use) {
    block.each([&](int t) {
        const int row = part.row + t / T::kAcross * T::kThreadRows;
        const int column = part.column + t % T::kAcross * T::kThreadColumns;
        GOSSAMER_UNROLL
        for (int i = 0; i < T::kThreadRows; ++i) GOSSAMER_UNROLL
        for (int j = 0; j < T::kThreadColumns; ++j)
            if (row + i < op.m && column + j < op.n) use(row + i, column + j, sums[t].v[i][j]);
    });
}

template <class T>
GOSSAMER_BODY Part part_of(const Op& op, int tile, int split) {
    const int first = split * op.k_part, last = first + op.k_part;
    return {tile / op.column_tiles * T::kRows, tile % op.column_tiles * T::kColumns, first,
            last < op.k ? last : op.k, false};
}

// `slot`: which of all tiles of all replicas this is, for the parts of split products. False:
// another block has the whole.
template <class T, class A, class B>
GOSSAMER_BODY bool whole_sums(Block& block, PerThread<Sums<T>, T::kBlock>& sums, const Op& op,
                              const Areas& areas, int slot, int split, const A& a, const B& b,
                              const Part& part) {
    multiply_tile<T>(block, sums, a, b, part);
    return gather_parts<T>(block, sums, op, areas, slot, split);
}

template <class T, class A, class B>
GOSSAMER_BODY void forward_product(Block& block, const Op& op, const Areas& areas, const Room& room,
                                   int tile, int slot, int split, const A& a, const B& b) {
    const Part part = part_of<T>(op, tile, split);
    PerThread<Sums<T>, T::kBlock> sums;
    if (!whole_sums<T>(block, sums, op, areas, slot, split, a, b, part)) return;
    float* out = room.arena + op.out;
    const float* bias = op.bias >= 0 ? room.values(op.bias) : nullptr;
    const float* other = op.second >= 0 ? room.arena + op.second : nullptr;
    each_element<T>(block, sums, op, part, [&](int row, int column, float value) {
        const std::int64_t e = std::int64_t{row} * op.out_stride + column;
        float x = value * op.scale;
        if (bias != nullptr) x = x + bias[column];
        if (other != nullptr) x = x + other[e];
        out[e] = activate(op.activation, x);
    });
}

template <class T, class A, class B>
GOSSAMER_BODY void data_product(Block& block, const Op& op, const Areas& areas, const Room& room,
                                int tile, int slot, int split, const A& a, const B& b) {
    const Part part = part_of<T>(op, tile, split);
    PerThread<Sums<T>, T::kBlock> sums;
    if (!whole_sums<T>(block, sums, op, areas, slot, split, a, b, part)) return;
    each_element<T>(block, sums, op, part, [&](int row, int column, float value) {
        give(op, room, std::int64_t{row} * op.out_stride + column, value * op.scale);
    });
}

template <class T, class A, class B>
GOSSAMER_BODY void weights_product(Block& block, const Op& op, const Areas& areas, const Room& room,
                                   int tile, int slot, int split, const A& a, const B& b) {
    if (room.state->size == 0) return;  // the same for all blocks of this replica
    Part part = part_of<T>(op, tile, split);
    part.column_sums = op.bias >= 0 && part.row == 0;
    PerThread<Sums<T>, T::kBlock> sums;
    if (!whole_sums<T>(block, sums, op, areas, slot, split, a, b, part)) return;
    const Learner learner(op, areas, room);
    if (op.weights >= 0)
        each_element<T>(block, sums, op, part, [&](int row, int column, float value) {
            learner.take(op.weights + std::int64_t{row} * op.n + column, value);
        });
    if (!part.column_sums) return;
    block.each([&](int t) {
        if (t < T::kColumns && part.column + t < op.n)
            learner.take(op.bias + part.column + t, sums[t].column);
    });
}

// One tile of a product op.
template <class T, OpKind Kind>
GOSSAMER_BODY void run_product(Block& block, const Op& op, const Areas& areas, const Room& room,
                               int tile, int slot, int split) {
    const float* in = room.arena + op.in;
    const float* w = room.values(op.weights);
    if constexpr (Kind == OpKind::dense_forward)
        forward_product<T>(block, op, areas, room, tile, slot, split,
                           Stored<true>{in, op.m, op.k, op.in_stride},
                           Stored<false>{w, op.n, op.k, op.n});
    else if constexpr (Kind == OpKind::dense_data)
        data_product<T>(block, op, areas, room, tile, slot, split,
                        Stored<true>{in, op.m, op.k, op.in_stride},
                        Stored<true>{w, op.n, op.k, op.k});
    else if constexpr (Kind == OpKind::dense_weights)
        weights_product<T>(block, op, areas, room, tile, slot, split,
                           Stored<false>{in, op.m, op.k, op.m},
                           Stored<false>{room.arena + op.kept, op.n, op.k, op.n});
    else if constexpr (Kind == OpKind::conv_forward)
        forward_product<T>(block, op, areas, room, tile, slot, split,
                           Windows<true>{in, op.pixels, op.windows, op.m, op.k, op.height, op.width,
                                         op.channels, op.divide},
                           Stored<false>{w, op.n, op.k, op.n});
    else if constexpr (Kind == OpKind::conv_data)
        data_product<T>(block, op, areas, room, tile, slot, split,
                        Windows<true>{in, op.pixels, op.windows, op.m, op.k, op.height, op.width,
                                      op.channels, op.divide},
                        BackWeights{w, op.windows, op.n, op.k, op.channels});
    else
        weights_product<T>(block, op, areas, room, tile, slot, split,
                           Windows<false>{in, op.pixels, op.windows, op.k, op.m, op.height,
                                          op.width, op.channels, op.divide},
                           Stored<false>{room.arena + op.kept, op.n, op.k, op.n});
}

}  // namespace gossamer::cuda
