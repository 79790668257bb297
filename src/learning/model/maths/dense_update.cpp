// Weight gradients of few rows (a dense layer's batch): a tile of weights is read once, takes up
// what all rows add to it in registers, and is written once, so w passes by in the order it lies.
// With scale 1 it starts from the weights themselves and the update costs nothing beside the sums.
#include "learning/model/maths/dense_update.hpp"

#include "learning/model/maths/vec.hpp"

namespace gossamer::model::maths {
namespace {

constexpr int kInputs = kTileRows >= 12 ? 6 : 5;   // weight rows of a tile
constexpr int kVectors = kTileRows >= 12 ? 4 : 2;  // and its columns

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
void tile(const Job& job) {
    using V = Vec<W>;
    auto read = [&](const float* p, int j) {
        return Part && j == N - 1 ? load_part<W>(p + j * W, job.part) : load<W>(p + j * W);
    };
    V sum[R][N];
    const bool direct = job.scale == 1.0f && job.keep != 0.0f;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
            sum[r][j] = V{};
            if (direct) sum[r][j] = read(job.w + r * job.n, j);
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
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
            for (int j = 0; j < N; ++j) {
                sum[r][j] *= scale;
                if (job.keep != 0.0f) sum[r][j] += keep * read(job.w + r * job.n, j);
            }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int j = 0; j < N; ++j) {
            float* w = job.w + r * job.n + j * W;
            if (Part && j == N - 1)
                store_part<W>(w, sum[r][j], job.part);
            else
                store<W>(w, sum[r][j]);
        }
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

}  // namespace

void dense_update(float* w, const float* x, Index stride, const float* dy, Index rows, Index k,
                  Index n, float keep, float scale) {
    constexpr int W = kWidth;
    const EvenParts inputs{k, kInputs}, vectors{(n + W - 1) / W, kVectors};
    for (Index i = 0; i < inputs.count(); ++i) {
        const Index first = inputs.start(i), count = inputs.start(i + 1) - first;
        for (Index c = 0; c < vectors.count(); ++c) {
            const Index from = vectors.start(c) * W, to = vectors.start(c + 1) * W;
            vectors_of<W>(vectors.start(c + 1) - vectors.start(c), count,
                          {.w = w + first * n + from,
                           .n = n,
                           .x = x + first,
                           .x_stride = stride,
                           .dy = dy + from,
                           .rows = rows,
                           .keep = keep,
                           .scale = scale,
                           .part = to <= n ? W : W - (to - n)});
        }
    }
}

}  // namespace gossamer::model::maths
