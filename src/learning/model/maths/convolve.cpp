// Direct convolution. The same pixel of several images is a tile: all its rows then have the same
// taps within the input, so those beyond an edge cost nothing (a sixth of all for 5x5 on 14x14 with
// a border of 2), nothing is copied into a border, and the weights pass by once for all images.
#include "learning/model/maths/vec.hpp"

#include <algorithm>

namespace gossamer::model::maths {
namespace {

constexpr bool kManyRegisters = kTileRows >= 12;
constexpr int kVectors = kManyRegisters ? 4 : 2;
// Images of a tile of N vectors: as many as leave room for N weights and one input. Narrow vectors
// are for few channels, and not worth many forms.
template <int W, int N>
constexpr int kImages = !kManyRegisters || W < kWidth ? 6
                        : N == 2                      ? 10
                        : N == 4                      ? 6
                                                      : 8;

struct Job {
    float* y;  // the pixel in the first image
    Index y_stride;
    const float* x;  // the first tap's input there
    Index image_stride, lines, line_stride, run;
    const float* w;  // the first tap's weights, first vector
    Index w_last;    // from there to its last vector; the others lie in a row
    Index w_stride;  // from one input's weights to the next one's
    Index w_skip;    // from the end of a line's weights to the next line's
    Index n;
    const float* bias;  // null: none
    bool relu;
};

template <int W, int R, int N>
void tile(const Job& job, const Index* columns) {
    using V = Vec<W>;
    V sum[R][N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
        const V b = job.bias ? load<W>(job.bias + columns[j]) : V{};
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][j] = b;
    }
    const float* w = job.w;
    const Index last = job.w_last;
    const Index stride = job.image_stride;
    for (Index line = 0; line < job.lines; ++line, w += job.w_skip) {
        const float* p[(R + 2) / 3];
#pragma GCC unroll 16
        for (int i = 0; i < (R + 2) / 3; ++i)
            p[i] = job.x + line * job.line_stride + 3 * i * stride;
        for (Index k = 0; k < job.run; ++k, w += job.w_stride) {
            V v[N];
#pragma GCC unroll 4
            for (int j = 0; j < N; ++j) v[j] = load<W>(j + 1 < N ? w + j * W : w + last);
#pragma GCC unroll 16
            for (int r = 0; r < R; ++r) {
                const V in = splat<W>(p[r / 3][k + (r % 3) * stride]);
#pragma GCC unroll 4
                for (int j = 0; j < N; ++j) sum[r][j] += in * v[j];
            }
        }
    }
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            store<W>(job.y + r * job.y_stride + columns[j],
                     job.relu ? positive<W>(sum[r][j]) : sum[r][j]);
}

template <int W, int N, int R = 1>
void images_of(Index images, const Job& job, const Index* columns) {
    if constexpr (R < kImages<W, N>)
        if (images > R) return images_of<W, N, R + 1>(images, job, columns);
    tile<W, R, N>(job, columns);
}

void scalar(Index images, const Job& job) {
    for (Index i = 0; i < images; ++i)
        for (Index c = 0; c < job.n; ++c) {
            float sum = job.bias ? job.bias[c] : 0.0f;
            const float* w = job.w + c;
            for (Index line = 0; line < job.lines; ++line, w += job.w_skip) {
                const float* x = job.x + i * job.image_stride + line * job.line_stride;
                for (Index k = 0; k < job.run; ++k, w += job.n) sum += x[k] * *w;
            }
            job.y[i * job.y_stride + c] = job.relu && !(sum > 0) ? 0.0f : sum;
        }
}

// Part of a window's side that lies within the input: taps [begin, end).
struct Taps {
    Index begin, end;
    Taps(Index window, Index at, Index size)  // at: of the first tap; may be below 0
        : begin(at < 0 ? -at : 0), end(at + window > size ? size - at : window) {
        if (end < begin) end = begin;
    }
    Index count() const { return end - begin; }
};

// Calls body(image count, job) for the pixels of all images, at most `most` images at once.
template <class Body>
void each_pixel(float* y, const float* x, const float* w, const Conv& c, Index most, Job job,
                Body&& body) {
    const Index line = c.width * c.channels, image = c.height * line;
    const Index out_image = c.out_height * c.out_width * job.n;
    const EvenParts parts{c.count, most};
    job.image_stride = image, job.y_stride = out_image, job.line_stride = line;
    job.w_stride = job.n;
    for (Index i = 0; i < parts.count(); ++i)
        for (Index oy = 0; oy < c.out_height; ++oy)
            for (Index ox = 0; ox < c.out_width; ++ox) {
                const Index at_y = oy * c.stride - c.top, at_x = ox * c.stride - c.left;
                const Taps down(c.window, at_y, c.height), across(c.window, at_x, c.width);
                const Index first = parts.start(i);
                job.x = x + first * image + (at_y + down.begin) * line +
                        (at_x + across.begin) * c.channels;
                job.y = y + first * out_image + (oy * c.out_width + ox) * job.n;
                job.lines = down.count(), job.run = across.count() * c.channels;
                job.w = w + (down.begin * c.window + across.begin) * c.channels * job.n;
                job.w_skip = (c.window - across.count()) * c.channels * job.n;
                body(parts.start(i + 1) - first, job);
            }
}

template <int W, int N = 1>
void vectors_of(Index vectors, const Index* columns, float* y, const float* x, const float* w,
                const Conv& c, const Job& job) {
    if constexpr (N < kVectors && (W == kWidth || N < 2))
        if (vectors > N) return vectors_of<W, N + 1>(vectors, columns, y, x, w, c, job);
    Job first = job;
    first.w_last = columns[N - 1] - columns[0];  // it may overlap the vector before it
    each_pixel(y, x, w + columns[0], c, kImages<W, N>, first,
               [&](Index images, const Job& pixel) { images_of<W, N>(images, pixel, columns); });
}

// Calls body(first, count) for the vectors of columns that a tile takes at once.
template <int W, class Body>
void each_group(const Columns<W>& all, Body&& body) {
    const EvenParts parts{all.count(), W == kWidth ? kVectors : 2};
    for (Index i = 0; i < parts.count(); ++i)
        body(parts.start(i), parts.start(i + 1) - parts.start(i));
}

template <int W, int N = 1>
void panel_product(Index vectors, const Index* columns, float* y, const float* x, Index rows,
                   Job job) {
    if constexpr (N < kVectors && (W == kWidth || N < 2))
        if (vectors > N) return panel_product<W, N + 1>(vectors, columns, y, x, rows, job);
    job.w_last = (N - 1) * W, job.w_stride = N * W;
    const EvenParts parts{rows, kImages<W, N>};
    for (Index i = 0; i < parts.count(); ++i) {
        const Index first = parts.start(i);
        job.x = x + first * job.image_stride, job.y = y + first * job.y_stride;
        images_of<W, N>(parts.start(i + 1) - first, job, columns);
    }
}

}  // namespace

void convolve(float* y, const float* x, const float* w, const Conv& c, const float* bias,
              bool relu) {
    Job job{};
    job.n = c.out_channels, job.bias = bias, job.relu = relu;
    with_width(job.n, [&]<int W>() {
        if constexpr (W == 1) {
            each_pixel(y, x, w, c, c.count, job, scalar);
        } else {
            const Columns<W> all{job.n};
            each_group(all, [&](Index first, Index count) {
                Index columns[kVectors];
                for (Index j = 0; j < count; ++j) columns[j] = all.start(first + j);
                vectors_of<W>(count, columns, y, x, w, c, job);
            });
        }
    });
}

void to_panels(float* panels, const float* w, Index k, Index n) {
    with_width(n, [&]<int W>() {
        if constexpr (W == 1) {
            std::copy_n(w, k * n, panels);
        } else {
            const Columns<W> all{n};
            each_group(all, [&](Index first, Index count) {
                for (Index i = 0; i < k; ++i)
                    for (Index j = 0; j < count; ++j, panels += W)
                        store<W>(panels, load<W>(w + i * n + all.start(first + j)));
            });
        }
    });
}

void product_of_panels(float* y, const float* x, Index rows, const float* panels, Index k, Index n,
                       const float* bias) {
    Job job{};
    job.image_stride = k, job.lines = 1, job.run = k, job.y_stride = n, job.n = n;
    job.w = panels, job.bias = bias;
    with_width(n, [&]<int W>() {
        if constexpr (W == 1) {
            job.x = x, job.y = y;
            scalar(rows, job);
        } else {
            const Columns<W> all{n};
            each_group(all, [&](Index first, Index count) {
                Index columns[kVectors];
                for (Index j = 0; j < count; ++j) columns[j] = all.start(first + j);
                panel_product<W>(count, columns, y, x, rows, job);
                job.w += k * count * W;
            });
        }
    });
}

}  // namespace gossamer::model::maths
