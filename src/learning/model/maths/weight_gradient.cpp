// Weight gradients, updating in place (keep · w + scale · sum): a tile of up to kTileRows weights ×
// 2 vectors stays in registers while the rows (a convolution's pixels) pass, then is written once.
// Few rows (a dense layer's batch) take dense_update. Many rows, of which nothing is left out (the
// steps of a recurrent layer), are cut: what is read of the gradients then comes from a panel whose
// rows lie one behind the other. Where they lie, rows of a power of two fall into the same few
// places of the caches, and each of the many tiles that read them would wait for memory.
#include "learning/model/maths/dense_update.hpp"
#include "learning/model/maths/vec.hpp"

namespace gossamer::model::maths {
namespace {

constexpr Index kFewRows = 256;  // beyond, the inputs of a tile no longer stay in the nearest cache
constexpr Index kPanelRows = 512;
constexpr Index kPanelTiles = 4;  // fewer do not repay the panel they read

struct TileJob {
    float* w;  // first weight row of the tile
    Index n;
    Index column[2], fresh[2];
    const float* x;  // first element of the tile in row 0
    Index lines, line_stride, pixels, pixel_stride;
    const float* dy;
    Index dy_stride, dy_column[2];
    Index dy_skip;  // from the end of a line's gradients to the next line's, in floats
    float keep, scale;
};

template <int W, int R, int N>
void tile(const TileJob& job) {
    using V = Vec<W>;
    V sum[R][N];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
        for (int j = 0; j < N; ++j) sum[r][j] = V{};
    const float* d0 = job.dy + job.dy_column[0];
    const Index d1 = N == 2 ? job.dy_column[1] - job.dy_column[0] : 0;
    for (Index line = 0; line < job.lines; ++line, d0 += job.dy_skip) {
        const float* x = job.x + line * job.line_stride;
        for (Index i = 0; i < job.pixels; ++i, x += job.pixel_stride, d0 += job.dy_stride) {
            V d[N];
            d[0] = load<W>(d0);
            if constexpr (N == 2) d[1] = load<W>(d0 + d1);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                V v = splat<W>(x[r]);
#pragma GCC unroll 2
                for (int j = 0; j < N; ++j) sum[r][j] += v * d[j];
            }
        }
    }
    // Lanes that another vector already wrote keep their value.
    for (int j = 0; j < N; ++j) {
        const V mask = lanes_from<W>(job.fresh[j]);
        const V scale = splat<W>(job.scale) * mask;
        const V keep = splat<W>(job.keep) * mask + (splat<W>(1.0f) - mask);
        float* w = job.w + job.column[j];
        const bool read = job.keep != 0.0f || job.fresh[j] != 0;
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            V v = scale * sum[r][j];
            if (read) {
                V old = load<W>(w + r * job.n);
                // Nothing was ever written there, and 0 times that may be NaN.
                if (job.keep == 0.0f) old = mask > V{} ? V{} : old;
                v += keep * old;
            }
            store<W>(w + r * job.n, v);
        }
    }
}

template <int W, int N, int R = 1>
void tile_of(Index rows, const TileJob& job) {
    if constexpr (R < kTileRows)
        if (rows > R) return tile_of<W, N, R + 1>(rows, job);
    tile<W, R, N>(job);
}

void scalar_tile(Index rows, const TileJob& job) {
    for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < job.n; ++c) {
            float sum = 0;
            const float* d = job.dy + c;
            for (Index line = 0; line < job.lines; ++line, d += job.dy_skip)
                for (Index i = 0; i < job.pixels; ++i, d += job.n)
                    sum += job.x[line * job.line_stride + i * job.pixel_stride + r] * *d;
            float& w = job.w[r * job.n + c];
            w = job.keep != 0.0f ? job.keep * w + job.scale * sum : job.scale * sum;
        }
}

// One vector of columns, or a pair of them; says which.
template <int W>
bool take(TileJob& job, const Columns<W>& columns, Index first) {
    const bool pair = first + 1 < columns.count();
    for (int j = 0; j < (pair ? 2 : 1); ++j)
        job.column[j] = columns.start(first + j), job.fresh[j] = columns.fresh(first + j);
    return pair;
}

// `count` rows of weights, all their columns.
void all_columns(Index count, TileJob& job) {
    with_width(job.n, [&]<int W>() {
        if constexpr (W == 1) {
            scalar_tile(count, job);
        } else {
            const Columns<W> columns{job.n};
            job.dy_stride = job.n;
            for (Index c = 0; c < columns.count(); c += 2) {
                const bool pair = take(job, columns, c);
                for (int j = 0; j < 2; ++j) job.dy_column[j] = job.column[j];
                pair ? tile_of<W, 2>(count, job) : tile_of<W, 1>(count, job);
            }
        }
    });
}

// All rows are one line.
void many_rows(TileJob job, Index rows, Index inputs) {
    const EvenParts blocks{rows, kPanelRows}, parts{inputs, kTileRows};
    const float *x = job.x, *dy = job.dy;
    float* w = job.w;
    with_width(job.n, [&]<int W>() {
        if constexpr (W > 1) {
            alignas(64) float panel[kPanelRows * 2 * W];
            const Columns<W> columns{job.n};
            for (Index b = 0; b < blocks.count(); ++b, job.keep = 1.0f) {
                const Index first = blocks.start(b);
                job.pixels = blocks.start(b + 1) - first;
                for (Index c = 0; c < columns.count(); c += 2) {
                    const bool pair = take(job, columns, c);
                    job.dy_stride = pair ? 2 * W : W, job.dy_column[1] = W;
                    job.dy = panel;
                    for (Index r = 0; r < job.pixels; ++r)
                        for (int j = 0; j < (pair ? 2 : 1); ++j)
                            store<W>(panel + r * job.dy_stride + j * W,
                                     load<W>(dy + (first + r) * job.n + job.column[j]));
                    for (Index i = 0; i < parts.count(); ++i) {
                        const Index begin = parts.start(i), count = parts.start(i + 1) - begin;
                        job.x = x + first * job.pixel_stride + begin;
                        job.w = w + begin * job.n;
                        pair ? tile_of<W, 2>(count, job) : tile_of<W, 1>(count, job);
                    }
                }
            }
        }
    });
}

// The outputs whose window has a given tap within the input: [begin, end).
struct Outputs {
    Index begin, end;
    Outputs(Index at, Index stride, Index size, Index outputs)  // at: the tap's place for output 0
        : begin(at < 0 ? (-at + stride - 1) / stride : 0), end((size - at + stride - 1) / stride) {
        if (end > outputs) end = outputs;
        if (end < begin) end = begin;
    }
    Index count() const { return end - begin; }
};

}  // namespace

// Tap by tap, so that the outputs a tap has no part in can be left out.
void convolve_weights(float* w, const float* x, const float* dy, const Conv& c, float keep,
                      float scale) {
    TileJob job{};
    job.n = c.out_channels, job.keep = keep, job.scale = scale;
    const Index line = c.width * c.channels;
    job.line_stride = c.stride * line, job.pixel_stride = c.stride * c.channels;
    const EvenParts parts{c.channels, kTileRows};
    for (Index image = 0; image < c.count; ++image, job.keep = 1.0f)
        for (Index tap = 0; tap < c.window * c.window; ++tap) {
            const Index at_y = tap / c.window - c.top, at_x = tap % c.window - c.left;
            const Outputs down(at_y, c.stride, c.height, c.out_height);
            const Outputs across(at_x, c.stride, c.width, c.out_width);
            job.lines = across.count() > 0 ? down.count() : 0, job.pixels = across.count();
            if (job.lines == 0 && image > 0) continue;
            const float* from = x + image * c.height * line +
                                (at_y + down.begin * c.stride) * line +
                                (at_x + across.begin * c.stride) * c.channels;
            job.dy =
                dy + ((image * c.out_height + down.begin) * c.out_width + across.begin) * job.n;
            job.dy_skip = (c.out_width - across.count()) * job.n;
            for (Index i = 0; i < parts.count(); ++i) {
                job.x = from + parts.start(i);
                job.w = w + (tap * c.channels + parts.start(i)) * job.n;
                all_columns(parts.start(i + 1) - parts.start(i), job);
            }
        }
}

void weight_gradient(float* w, const Rows& a, const float* dy, Index n, float keep, float scale) {
    TileJob job{};
    job.n = n, job.keep = keep, job.scale = scale;
    job.lines = a.lines, job.line_stride = a.line_stride;
    job.pixels = a.pixels, job.pixel_stride = a.pixel_stride;
    if (a.images == 1 && a.lines == 1 && a.segments == 1) {
        if (a.pixels <= kFewRows)
            return dense_update(w, a.data, a.pixel_stride, dy, a.pixels, a.run, n, keep, scale);
        job.w = w, job.x = a.data, job.dy = dy;
        if (n >= 4 && a.run >= kPanelTiles * kTileRows) return many_rows(job, a.pixels, a.run);
    }
    const EvenParts parts{a.run, kTileRows};
    for (Index image = 0; image < a.images; ++image, job.keep = 1.0f) {
        job.dy = dy + image * a.lines * a.pixels * n;
        for (Index segment = 0; segment < a.segments; ++segment)
            for (Index i = 0; i < parts.count(); ++i) {
                const Index first = parts.start(i), count = parts.start(i + 1) - first;
                job.x = a.data + image * a.image_stride + segment * a.segment_stride + first;
                job.w = w + (segment * a.run + first) * n;
                all_columns(count, job);
            }
    }
}

void bias_gradient(float* b, const float* dy, Index rows, Index n, float keep, float scale) {
    constexpr Index kBlock = 64;
    for (Index c = 0; c < n; c += kBlock) {
        const Index width = n - c < kBlock ? n - c : kBlock;
        float sum[kBlock] = {};
        for (Index r = 0; r < rows; ++r)
            for (Index j = 0; j < width; ++j) sum[j] += dy[r * n + c + j];
        for (Index j = 0; j < width; ++j)
            b[c + j] = keep != 0.0f ? keep * b[c + j] + scale * sum[j] : scale * sum[j];
    }
}

}  // namespace gossamer::model::maths
