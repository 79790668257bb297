// Data gradients of dense layers: dx[row][k] is the dot product of a row of dy with row k of w, so
// w is read once, as it lies. Four rows of w stay in the nearest cache while all rows of dy pass;
// four dot products per row of dy run side by side and are folded together at the end.
#include "learning/model/maths/vec.hpp"

#include <utility>

namespace gossamer::model::maths {
namespace {

constexpr int kDots = 4;
constexpr int kRows = kTileRows >= 12 ? 5 : 2;

// a's and b's lanes interleaved, quarter by quarter of a 64-byte vector: what is cheap to do.
template <int W, int From, int... I>
inline Vec<W> interleaved(Vec<W> a, Vec<W> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (I / 4 * 4 + From + I % 4 / 2 + W * (I % 2))...);
}
template <int W, int From, int... I>
inline Vec<W> pairs(Vec<W> a, Vec<W> b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, (I / 4 * 4 + From + I % 2 + W * (I % 4 / 2))...);
}
template <int W>
inline Vec<W / 2> half(Vec<W> v, int which) {
    Vec<W / 2> out;
    std::memcpy(&out, reinterpret_cast<const char*>(&v) + which * sizeof out, sizeof out);
    return out;
}
// Lane i = sum of all lanes of the vector i.
template <int W>
inline Vec<4> sums(Vec<W> a, Vec<W> b, Vec<W> c, Vec<W> d) {
    constexpr auto lanes = std::make_integer_sequence<int, W>{};
    const Vec<W> ab = interleaved<W, 0>(a, b, lanes) + interleaved<W, 2>(a, b, lanes);
    const Vec<W> cd = interleaved<W, 0>(c, d, lanes) + interleaved<W, 2>(c, d, lanes);
    const Vec<W> all = pairs<W, 0>(ab, cd, lanes) + pairs<W, 2>(ab, cd, lanes);
    if constexpr (W == 4)
        return all;
    else if constexpr (W == 8)
        return half<8>(all, 0) + half<8>(all, 1);
    else {
        const Vec<8> folded = half<16>(all, 0) + half<16>(all, 1);
        return half<8>(folded, 0) + half<8>(folded, 1);
    }
}

struct Job {
    float* dx;
    const float* dy;
    const float* w;  // first of the four rows
    const float* active;
    Index k, n;  // row lengths of dx and w
};

template <int W, int R>
void dots(const Job& job) {
    using V = Vec<W>;
    const Columns<W> columns{job.n};
    const Index last = columns.count() - 1;
    V sum[R][kDots];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
        for (int i = 0; i < kDots; ++i) sum[r][i] = V{};
    auto add = [&](Index c, V mask, bool masked) {
        V v[kDots];
#pragma GCC unroll 8
        for (int i = 0; i < kDots; ++i) {
            v[i] = load<W>(job.w + i * job.n + c);
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
            V d = load<W>(job.dy + r * job.n + c);
            if (masked) d *= mask;
#pragma GCC unroll 8
            for (int i = 0; i < kDots; ++i) sum[r][i] += v[i] * d;
        }
    };
    for (Index c = 0; c < last; ++c) add(c * W, V{}, false);
    if (columns.fresh(last) == 0)
        add(last * W, V{}, false);
    else
        add(columns.start(last), lanes_from<W>(columns.fresh(last)), true);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
        Vec<4> out = sums<W>(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
        if (job.active) out = load<4>(job.active + r * job.k) > Vec<4>{} ? out : Vec<4>{};
        store<4>(job.dx + r * job.k, out);
    }
}

template <int W, int R = 1>
void dots_of(Index rows, const Job& job) {
    if constexpr (R < kRows)
        if (rows > R) return dots_of<W, R + 1>(rows, job);
    dots<W, R>(job);
}

void scalar(float* dx, const float* dy, const float* w, Index rows, Index k, Index n,
            const float* active) {
    for (Index r = 0; r < rows; ++r)
        for (Index i = 0; i < k; ++i) {
            float sum = 0;
            for (Index j = 0; j < n; ++j) sum += dy[r * n + j] * w[i * n + j];
            dx[r * k + i] = !active || active[r * k + i] > 0 ? sum : 0.0f;
        }
}

}  // namespace

void data_gradient(float* dx, const float* dy, const float* w, Index rows, Index k, Index n,
                   const float* active) {
    if (k < kDots) return scalar(dx, dy, w, rows, k, n, active);
    with_width(n, [&]<int W>() {
        if constexpr (W == 1) {
            scalar(dx, dy, w, rows, k, n, active);
        } else {
            const Columns<kDots> groups{k};
            const EvenParts parts{rows, kRows};
            for (Index g = 0; g < groups.count(); ++g) {
                const Index at = groups.start(g);
                for (Index i = 0; i < parts.count(); ++i) {
                    const Index r = parts.start(i);
                    dots_of<W>(parts.start(i + 1) - r,
                               {.dx = dx + r * k + at,
                                .dy = dy + r * n,
                                .w = w + at * n,
                                .active = active ? active + r * k + at : nullptr,
                                .k = k,
                                .n = n});
                }
            }
        }
    });
}

}  // namespace gossamer::model::maths
