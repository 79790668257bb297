// Forward products: a tile of up to kTileRows rows × 2 vectors of columns stays in registers while
// the window runs over w. No packing: the rows are read where they lie, broadcast one by one.
#include "learning/model/maths/vec.hpp"

namespace gossamer::model::maths {
namespace {

// A long dense product is cut here, so that the part of w in use stays in the nearest caches.
constexpr Index kRunMax = 256;
// Rows of w asked for ahead of their use. Without it the tile waits for the second-level cache and
// runs at half speed.
constexpr Index kAhead = 8;

struct TileJob {
    float* y;
    Index y_stride;
    const float* x;
    Index pixel_stride, segments, segment_stride, run;
    const float* w;
    Index n;
    Index column[2], fresh[2];
    const float* bias;  // null: none
    bool resume;        // y holds the sum so far
    bool relu;
};

template <int W, int R, int N>
void tile(const TileJob& job) {
    using V = Vec<W>;
    V sum[R][N];
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j) {
        V b = job.bias ? load<W>(job.bias + job.column[j]) : V{};
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            sum[r][j] = job.resume ? load<W>(job.y + r * job.y_stride + job.column[j]) : b;
    }
    const float* w0 = job.w + job.column[0];
    const Index w1 = N == 2 ? job.column[1] - job.column[0] : 0;
    const Index stride = job.pixel_stride;
    for (Index s = 0; s < job.segments; ++s) {
        const float* p[(R + 2) / 3];
#pragma GCC unroll 16
        for (int i = 0; i < (R + 2) / 3; ++i)
            p[i] = job.x + s * job.segment_stride + 3 * i * stride;
        for (Index k = 0; k < job.run; ++k) {
            V b[N];
            b[0] = load<W>(w0);
            __builtin_prefetch(w0 + kAhead * job.n);
            if constexpr (N == 2) {
                b[1] = load<W>(w0 + w1);
                __builtin_prefetch(w0 + w1 + kAhead * job.n);
            }
            w0 += job.n;
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                V x = splat<W>(p[r / 3][k + (r % 3) * stride]);
#pragma GCC unroll 2
                for (int j = 0; j < N; ++j) sum[r][j] += x * b[j];
            }
        }
    }
    // A resumed vector leaves alone the lanes that the vector before it has brought forward.
#pragma GCC unroll 2
    for (int j = 0; j < N; ++j) {
        const V fresh = lanes_from<W>(job.resume ? job.fresh[j] : 0);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            float* y = job.y + r * job.y_stride + job.column[j];
            V v = job.relu ? positive<W>(sum[r][j]) : sum[r][j];
            if (job.resume && job.fresh[j] != 0) v = fresh > V{} ? v : load<W>(y);
            store<W>(y, v);
        }
    }
}

template <int W, int N, int R = 1>
void tile_of(Index rows, const TileJob& job) {
    if constexpr (R < kTileRows)
        if (rows > R) return tile_of<W, N, R + 1>(rows, job);
    tile<W, R, N>(job);
}

void scalar_rows(Index rows, const TileJob& job, Index columns) {
    for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < columns; ++c) {
            float* y = job.y + r * job.y_stride + c;
            float sum = job.resume ? *y : job.bias ? job.bias[c] : 0.0f;
            const float* w = job.w + c;
            for (Index s = 0; s < job.segments; ++s) {
                const float* x = job.x + r * job.pixel_stride + s * job.segment_stride;
                for (Index k = 0; k < job.run; ++k, w += job.n) sum += x[k] * *w;
            }
            *y = job.relu && !(sum > 0) ? 0.0f : sum;
        }
}

// All lines of one image, two vectors of columns at a time.
template <int W>
void image_product(float* y, const Rows& a, const float* x, TileJob job) {
    const EvenParts parts{a.pixels, kTileRows};
    auto rows_of = [&](auto&& body) {
        for (Index line = 0; line < a.lines; ++line)
            for (Index i = 0; i < parts.count(); ++i) {
                const Index first = parts.start(i), count = parts.start(i + 1) - first;
                job.x = x + line * a.line_stride + first * a.pixel_stride;
                job.y = y + (line * a.pixels + first) * job.n;
                body(count);
            }
    };
    if constexpr (W == 1) {
        rows_of([&](Index count) { scalar_rows(count, job, job.n); });
    } else {
        const Columns<W> columns{job.n};
        for (Index c = 0; c < columns.count(); c += 2) {
            const bool pair = c + 1 < columns.count();
            for (int j = 0; j < (pair ? 2 : 1); ++j)
                job.column[j] = columns.start(c + j), job.fresh[j] = columns.fresh(c + j);
            rows_of(
                [&](Index count) { pair ? tile_of<W, 2>(count, job) : tile_of<W, 1>(count, job); });
        }
    }
}

}  // namespace

void product(float* y, const Rows& a, const float* w, Index n, const float* bias, bool relu) {
    // Rows that lie one behind the other are images of one pixel to the direct convolution, whose
    // tiles of fewer rows and more columns read w in longer runs: 1.05 to 1.25 times as fast, but
    // for products too short to repay what a tile costs to begin.
    constexpr Index kRunMin = 16;
    if (a.images == 1 && a.lines == 1 && a.segments == 1 && a.pixel_stride == a.run &&
        a.run >= kRunMin)
        return convolve(y, a.data, w,
                        {{.count = a.pixels,
                          .height = 1,
                          .width = 1,
                          .channels = a.run,
                          .window = 1,
                          .stride = 1,
                          .out_height = 1,
                          .out_width = 1},
                         0,
                         0,
                         n},
                        bias, relu);
    TileJob job{};
    job.y_stride = n, job.n = n;
    job.pixel_stride = a.pixel_stride, job.segment_stride = a.segment_stride;
    job.segments = a.segments, job.bias = bias;
    const bool cut = a.segments == 1 && a.run > kRunMax;
    const EvenParts runs{a.run, cut ? kRunMax : a.run};
    for (Index image = 0; image < a.images; ++image) {
        float* out = y + image * a.lines * a.pixels * n;
        for (Index i = 0; i < runs.count(); ++i) {
            const Index first = runs.start(i);
            job.run = runs.start(i + 1) - first;
            job.w = w + first * n;
            job.resume = i > 0;
            job.relu = relu && i + 1 == runs.count();
            const float* x = a.data + image * a.image_stride + first;
            with_width(n, [&]<int W>() { image_product<W>(out, a, x, job); });
        }
    }
}

}  // namespace gossamer::model::maths
