// Built with -march=x86-64-v4 where the compiler targets x86-64; elsewhere there is no limit to
// state. Weights are [inputs][outputs]; a batch is packed in chunks of 10 or 11 samples, input by
// input, so that the multiply-adds of a chunk read their factors in a row.
#include "bench/bare_step.hpp"

#ifdef __AVX512VL__
#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gossamer::bench {
namespace {

using V = __m512;
constexpr int kIn = 784, kHidden = 200, kOut = 10;
constexpr int kRow = 208;  // of hidden activations, in whole vectors

__mmask16 first(int n) { return n >= 16 ? __mmask16(0xffff) : __mmask16((1u << n) - 1); }

struct Dense {
    int in, out;
    std::vector<float> w, b;
    Dense(int inputs, int outputs) : in(inputs), out(outputs), w(inputs * outputs), b(outputs) {
        for (std::size_t i = 0; i < w.size(); ++i)  // any spread of weights will do
            w[i] = 0.12f * (float(i * 2654435761u % 65536) / 65536.0f - 0.5f);
    }
};

// y[rows][N vectors from column c] = bias + x · w, then max(·, 0).
template <int R, int N>
void forward(const Dense& l, int c, const float* x, float* y, int stride, bool relu) {
    const __mmask16 last = first(l.out - c - 16 * (N - 1));
    auto mask = [&](int i) { return i == N - 1 ? last : first(16); };
    V sum[R][N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) sum[r][i] = _mm512_maskz_loadu_ps(mask(i), &l.b[c] + 16 * i);
    const float* w = &l.w[c];
    for (int k = 0; k < l.in; ++k, w += l.out) {
        V v[N];
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) v[i] = _mm512_maskz_loadu_ps(mask(i), w + 16 * i);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const V f = _mm512_set1_ps(x[k * R + r]);
#pragma GCC unroll 16
            for (int i = 0; i < N; ++i) sum[r][i] = _mm512_fmadd_ps(f, v[i], sum[r][i]);
        }
    }
    const V least = _mm512_set1_ps(relu ? 0.0f : -INFINITY);
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            _mm512_mask_storeu_ps(y + r * stride + c + 16 * i, mask(i),
                                  _mm512_max_ps(sum[r][i], least));
}

// w += xᵀ · d, where d is scaled by -rate already: the factors stay in registers, w passes by.
template <int R, int N>
void update(Dense& l, int c, const float* x, const float* d, int stride) {
    const __mmask16 last = first(l.out - c - 16 * (N - 1));
    auto mask = [&](int i) { return i == N - 1 ? last : first(16); };
    V g[R][N];
#pragma GCC unroll 16
    for (int i = 0; i < N; ++i)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
            g[r][i] = _mm512_maskz_loadu_ps(mask(i), d + r * stride + c + 16 * i);
    float* w = &l.w[c];
    for (int k = 0; k < l.in; ++k, w += l.out) {
        V v[N];
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) v[i] = _mm512_maskz_loadu_ps(mask(i), w + 16 * i);
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const V f = _mm512_set1_ps(x[k * R + r]);
#pragma GCC unroll 16
            for (int i = 0; i < N; ++i) v[i] = _mm512_fmadd_ps(f, g[r][i], v[i]);
        }
#pragma GCC unroll 16
        for (int i = 0; i < N; ++i) _mm512_mask_storeu_ps(w + 16 * i, mask(i), v[i]);
    }
}

// Calls f.operator()<N>(column) for columns two vectors at a time, the rest one by one.
template <class F>
void panels(int columns, F&& f) {
    int c = 0;
    for (; c + 32 <= columns; c += 32) f.template operator()<2>(c);
    for (; c < columns; c += 16) f.template operator()<1>(c);
}

// Lane i is the sum of all lanes of v[i].
[[gnu::always_inline]] inline V sums(const V (&v)[16]) {
    V a[8], b[4];
#pragma GCC unroll 16
    for (int i = 0; i < 8; ++i)
        a[i] = _mm512_add_ps(_mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]),
                             _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]));
#pragma GCC unroll 16
    for (int i = 0; i < 4; ++i)
        b[i] = _mm512_add_ps(_mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0x44),
                             _mm512_shuffle_ps(a[2 * i], a[2 * i + 1], 0xee));
    V c[2];
#pragma GCC unroll 16
    for (int i = 0; i < 2; ++i)
        c[i] = _mm512_add_ps(_mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0x44),
                             _mm512_shuffle_f32x4(b[2 * i], b[2 * i + 1], 0xee));
    return _mm512_add_ps(_mm512_shuffle_f32x4(c[0], c[1], 0x88),
                         _mm512_shuffle_f32x4(c[0], c[1], 0xdd));
}

// dx = d · wᵀ where y > 0: sixteen rows of w against two of d at a time.
void backward(const Dense& l, const float* d, int d_stride, int rows, float* dx, const float* y) {
    for (int k = 0; k < l.in; k += 16)
        for (int r = 0; r < rows; r += 2) {
            V sum[2][16];
#pragma GCC unroll 16
            for (int i = 0; i < 16; ++i) sum[0][i] = sum[1][i] = _mm512_setzero_ps();
            for (int j = 0; j < l.out; j += 16) {
                const __mmask16 m = first(l.out - j);
                const V d0 = _mm512_maskz_loadu_ps(m, d + r * d_stride + j);
                const V d1 = _mm512_maskz_loadu_ps(m, d + (r + 1) * d_stride + j);
#pragma GCC unroll 16
                for (int i = 0; i < 16; ++i) {
                    const float* w = &l.w[std::size_t(std::min(k + i, l.in - 1)) * l.out + j];
                    const V v = _mm512_maskz_loadu_ps(m, w);
                    sum[0][i] = _mm512_fmadd_ps(v, d0, sum[0][i]);
                    sum[1][i] = _mm512_fmadd_ps(v, d1, sum[1][i]);
                }
            }
#pragma GCC unroll 16
            for (int h = 0; h < 2; ++h) {
                const __mmask16 m = first(l.in - k);
                const int at = (r + h) * kRow + k;
                const V seen = _mm512_maskz_loadu_ps(m, y + at);
                const __mmask16 on = _mm512_cmp_ps_mask(seen, _mm512_setzero_ps(), _CMP_GT_OQ);
                _mm512_mask_storeu_ps(dx + at, m, _mm512_maskz_mov_ps(on, sums(sum[h])));
            }
        }
}

template <int B>
class Step final : public BareStep {
public:
    float step(const float* x, const std::int32_t* labels, float rate) override {
        pack(x, kIn, kIn, x_);
        forward_all(one_, x_, h1_, kRow, true);
        pack(h1_, kRow, kHidden, p1_);
        forward_all(two_, p1_, h2_, kRow, true);
        pack(h2_, kRow, kHidden, p2_);
        forward_all(three_, p2_, z_, 16, false);
        const float loss = softmax(labels, -rate / B);
        backward(three_, z_, 16, B, d2_, h2_);
        backward(two_, d2_, kRow, B, d1_, h1_);
        update_all(three_, p2_, z_, 16);
        update_all(two_, p1_, d2_, kRow);
        update_all(one_, x_, d1_, kRow);
        return loss;
    }

private:
    static constexpr int kChunks = B == 10 ? 1 : 3, kLong = B == 10 ? 10 : 11;
    template <class F>
    static void chunks(F&& f) {  // 10, or 11 + 11 + 10
        for (int i = 0; i + 1 < kChunks; ++i) f.template operator()<kLong>(i * kLong);
        f.template operator()<10>((kChunks - 1) * kLong);
    }
    static void pack(const float* x, int stride, int count, float* out) {
        chunks([&]<int R>(int row) {
            for (int k = 0; k < count; ++k)
#pragma GCC unroll 16
                for (int r = 0; r < R; ++r)
                    out[row * count + k * R + r] = x[(row + r) * stride + k];
        });
    }
    static void forward_all(const Dense& l, const float* x, float* y, int stride, bool relu) {
        chunks([&]<int R>(int row) {
            panels(l.out, [&]<int N>(int c) {
                forward<R, N>(l, c, x + row * l.in, y + row * stride, stride, relu);
            });
        });
    }
    static void update_all(Dense& l, const float* x, const float* d, int stride) {
        chunks([&]<int R>(int row) {
            panels(l.out, [&]<int N>(int c) {
                update<R, N>(l, c, x + row * l.in, d + row * stride, stride);
            });
        });
        for (int r = 0; r < B; ++r)
            for (int j = 0; j < l.out; ++j) l.b[j] += d[r * stride + j];
    }
    float softmax(const std::int32_t* labels, float scale) {
        float loss = 0;
        for (int b = 0; b < B; ++b) {
            float* z = z_ + b * 16;
            const float top = *std::max_element(z, z + kOut);
            float sum = 0;
            for (int j = 0; j < kOut; ++j) sum += z[j] = std::exp(z[j] - top);
            loss -= std::log(z[labels[b]] / sum);
            for (int j = 0; j < kOut; ++j) z[j] = scale * (z[j] / sum - float(j == labels[b]));
        }
        return loss / B;
    }

    Dense one_{kIn, kHidden}, two_{kHidden, kHidden}, three_{kHidden, kOut};
    alignas(64) float x_[kIn * B], p1_[kHidden * B], p2_[kHidden * B];
    alignas(64) float h1_[kRow * B], h2_[kRow * B], z_[16 * B], d1_[kRow * B], d2_[kRow * B];
};

}  // namespace

std::unique_ptr<BareStep> make_bare_step(int batch) {
    if (!__builtin_cpu_supports("avx512vl")) return nullptr;
    if (batch == 10) return std::make_unique<Step<10>>();
    if (batch == 32) return std::make_unique<Step<32>>();
    return nullptr;
}

bool multiply_adds(int millions) {
    if (!__builtin_cpu_supports("avx512vl")) return false;
    constexpr int kChains = 20;
    V sum[kChains];
    for (int i = 0; i < kChains; ++i) sum[i] = _mm512_set1_ps(1e-9f * float(i));
    const V factor = _mm512_set1_ps(0.999f), term = _mm512_set1_ps(1e-9f);
    for (int i = 0; i < millions * (1'000'000 / kChains); ++i)
#pragma GCC unroll 20
        for (int k = 0; k < kChains; ++k) sum[k] = _mm512_fmadd_ps(sum[k], factor, term);
    volatile float sink = 0;
    for (const V& v : sum) sink = sink + _mm512_reduce_add_ps(v);
    return true;
}

}  // namespace gossamer::bench
#else
namespace gossamer::bench {
std::unique_ptr<BareStep> make_bare_step(int) { return nullptr; }
bool multiply_adds(int) { return false; }
}  // namespace gossamer::bench
#endif
