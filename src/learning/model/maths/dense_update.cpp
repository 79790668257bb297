// Weight gradients of few rows (a dense layer's batch): each weight is read once, takes up what all
// rows add to it in registers, and is written once. With scale 1 it starts from itself and the
// update costs nothing beside the sums.
//
// So few rows that registers hold two vectors of each stay there while the weights pass by, two
// columns of vectors at a time: what is written is spread out, where tiles of sums write all they
// hold at once (226 GF/s against 190 of a core's 261, for 10 rows of 200). More rows take tiles.
#include "learning/model/maths/dense_update.hpp"

#include "learning/model/maths/vec.hpp"

#include <algorithm>

namespace gossamer::model::maths {
namespace {

constexpr int kInputs = kTileRows >= 12 ? 6 : 5;   // weight rows of a tile
constexpr int kVectors = kTileRows >= 12 ? 4 : 2;  // and its columns
constexpr int kHeldRows = kTileRows >= 12 ? 12 : 0;
constexpr Index kHeldWeights = 1 << 18;  // beyond a core's caches long runs of weights count more

struct Job {
    float* w;
    Index n;
    const float* x;
    Index x_stride;
    const float* dy;
    Index rows;
    float keep, scale;
    Index part;  // columns of the tile's last vector
};

template <int W, int R, int N, bool Part>
void tile(const Job& given) {
    const Job job = given;  // a copy: what is stored to w might be the job itself
    using V = Vec<W>;
    auto read = [&](const float* p, int j) {
        return Part && j == N - 1 ? load_part<W>(p + j * W, job.part) : load<W>(p + j * W);
    };
    V sum[R][N];
    const bool direct = job.scale == 1.0f && job.keep != 0.0f;
    const float* old = job.w;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r, old = anew(old + job.n))
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
            sum[r][j] = V{};
            if (direct) sum[r][j] = read(old, j);
        }
    if (direct && job.keep != 1.0f) {
        const V keep = splat<W>(job.keep);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[r][j] *= keep;
    }
    const float* x = job.x;
    const float* d = job.dy;
    for (Index b = 0; b < job.rows; ++b, x += job.x_stride, d += job.n) {
        V v[N];
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) v[j] = read(d, j);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            const V in = splat<W>(x[r]);
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) sum[r][j] += in * v[j];
        }
    }
    if (!direct) {
        const V scale = splat<W>(job.scale), keep = splat<W>(job.keep);
        old = anew(job.w);
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r, old = anew(old + job.n))
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) {
                sum[r][j] *= scale;
                if (job.keep != 0.0f) sum[r][j] += keep * read(old, j);
            }
    }
    float* w = anew(job.w);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r, w = anew(w + job.n))
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j)
            if (Part && j == N - 1)
                store_part<W>(w + j * W, sum[r][j], job.part);
            else
                store<W>(w + j * W, sum[r][j]);
}

template <int W, int N, bool Part, int R = 1>
void inputs_of(Index inputs, const Job& job) {
    if constexpr (R < kInputs)
        if (inputs > R) return inputs_of<W, N, Part, R + 1>(inputs, job);
    tile<W, R, N, Part>(job);
}
template <int W, int N = 1>
void vectors_of(Index vectors, Index inputs, const Job& job) {
    if constexpr (N < kVectors)
        if (vectors > N) return vectors_of<W, N + 1>(vectors, inputs, job);
    job.part < W ? inputs_of<W, N, true>(inputs, job) : inputs_of<W, N, false>(inputs, job);
}

// One column of N vectors, all k weight rows, B rows of gradients in registers.
template <int W, int B, int N, bool Part>
void column(const Job& given, Index k) {
    using V = Vec<W>;
    const Job job = given;
    auto read = [&](const float* p, int j) {
        return Part && j == N - 1 ? load_part<W>(p + j * W, job.part) : load<W>(p + j * W);
    };
    V d[B][N];
#pragma GCC unroll 16
    for (int b = 0; b < B; ++b)
#pragma GCC unroll 2
        for (int j = 0; j < N; ++j) d[b][j] = read(job.dy + b * job.n, j);
    const bool direct = job.scale == 1.0f && job.keep != 0.0f;
    const V scale = splat<W>(job.scale), keep = splat<W>(job.keep);
    auto rows = [&]<int U>(Index at) __attribute__((always_inline)) {
        V sum[U][N];
        float* w = job.w + at * job.n;
#pragma GCC unroll 2
        for (int u = 0; u < U; ++u)
#pragma GCC unroll 2
            for (int j = 0; j < N; ++j) {
                sum[u][j] = direct ? read(w + u * job.n, j) : V{};
                if (direct && job.keep != 1.0f) sum[u][j] *= keep;
            }
#pragma GCC unroll 16
        for (int b = 0; b < B; ++b)
#pragma GCC unroll 2
            for (int u = 0; u < U; ++u) {
                const V in = splat<W>(job.x[b * job.x_stride + at + u]);
#pragma GCC unroll 2
                for (int j = 0; j < N; ++j) sum[u][j] += in * d[b][j];
            }
#pragma GCC unroll 2
        for (int u = 0; u < U; ++u)
#pragma GCC unroll 2
            for (int j = 0; j < N; ++j) {
                float* to = w + u * job.n;
                if (!direct) sum[u][j] *= scale;
                if (!direct && job.keep != 0.0f) sum[u][j] += keep * read(to, j);
                if (Part && j == N - 1)
                    store_part<W>(to + j * W, sum[u][j], job.part);
                else
                    store<W>(to + j * W, sum[u][j]);
            }
    };
    Index at = 0;
    for (; at + 2 <= k; at += 2) rows.template operator()<2>(at);
    if (at < k) rows.template operator()<1>(at);
}

template <int W, int B = 1>
void columns(const Job& job, Index k, int vectors) {
    if constexpr (B < kHeldRows)
        if (job.rows > B) return columns<W, B + 1>(job, k, vectors);
    if (vectors == 2)
        job.part < W ? column<W, B, 2, true>(job, k) : column<W, B, 2, false>(job, k);
    else
        job.part < W ? column<W, B, 1, true>(job, k) : column<W, B, 1, false>(job, k);
}

template <int W>
void held(Job job, Index k) {
    const Index n = job.n;
    for (Index at = 0; at < n; at += 2 * W, job.w += 2 * W, job.dy += 2 * W) {
        const Index left = n - at;
        if constexpr (W > 8)
            if (left <= 8) {  // half a vector: better a whole one of half the width
                job.part = left;
                return columns<8>(job, k, 1);
            }
        const Index vectors = left > W ? 2 : 1;
        job.part = std::min<Index>(W, left - (vectors - 1) * W);
        columns<W>(job, k, static_cast<int>(vectors));
    }
}

}  // namespace

void dense_update(float* w, const float* x, Index stride, const float* dy, Index rows, Index k,
                  Index n, float keep, float scale) {
    constexpr int W = kWidth;
    if constexpr (kHeldRows > 0)
        if (rows <= kHeldRows && n >= 2 * W && k * n <= kHeldWeights)
            return held<W>({.w = w,
                            .n = n,
                            .x = x,
                            .x_stride = stride,
                            .dy = dy,
                            .rows = rows,
                            .keep = keep,
                            .scale = scale},
                           k);
    // The first `longer` parts are one longer than the others.
    const Index vectors = (n + W - 1) / W, cuts = (vectors + kVectors - 1) / kVectors;
    const Index width = vectors / cuts, longer = vectors % cuts;
    const EvenParts inputs{k, kInputs};
    Job job{.n = n, .x_stride = stride, .rows = rows, .keep = keep, .scale = scale, .part = W};
    for (Index i = 0; i < inputs.count(); ++i) {
        const Index first = inputs.start(i), count = inputs.start(i + 1) - first;
        job.w = w + first * n, job.x = x + first, job.dy = dy;
        for (Index c = 0; c < cuts; ++c) {
            const Index here = c < longer ? width + 1 : width;
            job.part = c + 1 < cuts ? W : n - (vectors - 1) * W;
            vectors_of<W>(here, count, job);
            job.w += here * W, job.dy += here * W;
        }
    }
}

}  // namespace gossamer::model::maths
