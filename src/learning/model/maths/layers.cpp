// What stands between the products: borders, pooling, activations.
#include "learning/model/maths/layers.hpp"
#include "learning/model/maths/functions.hpp"
#include "learning/model/maths/vec.hpp"

#include <algorithm>
#include <utility>

namespace gossamer::model::maths {

void pad(float* out, const float* in, Index count, Index height, Index width, Index channels,
         const Padding& p) {
    const Index line = p.width * channels;
    std::fill_n(out, count * p.height * line, 0.0f);
    for (Index i = 0; i < count; ++i)
        for (Index y = 0; y < height; ++y) {
            float* to = out + ((i * p.height + p.top + y * p.gap) * p.width + p.left) * channels;
            const float* from = in + (i * height + y) * width * channels;
            if (p.gap == 1) {
                std::copy_n(from, width * channels, to);
                continue;
            }
            for (Index x = 0; x < width; ++x)
                std::copy_n(from + x * channels, channels, to + x * p.gap * channels);
        }
}

namespace {

template <int W, int Size, int... Lane>
void exchange_lanes(Vec<W>& upper, Vec<W>& lower, std::integer_sequence<int, Lane...>) {
    const Vec<W> a = upper, b = lower;
    upper = __builtin_shufflevector(a, b, (Lane & Size ? W + Lane - Size : Lane)...);
    lower = __builtin_shufflevector(a, b, (Lane & Size ? W + Lane : Lane + Size)...);
}

// In each square of 2 Size lanes and rows, exchanges the two squares of Size off the diagonal.
template <int W, int Size>
void exchange(Vec<W>* rows) {
#pragma GCC unroll 16
    for (int r = 0; r < W; ++r)
        if (!(r & Size))
            exchange_lanes<W, Size>(rows[r], rows[r + Size], std::make_integer_sequence<int, W>());
    if constexpr (Size > 1) exchange<W, Size / 2>(rows);
}

// rows x columns to columns x rows: squares of registers, for whole lines of memory at a time; one
// float after the other, lines far apart in the result fight for the same places of the cache.
void transpose(float* out, const float* in, Index rows, Index columns) {
    constexpr Index W = kWidth;
    const Index whole_rows = rows / W * W, whole_columns = columns / W * W;
    for (Index c = 0; c < whole_columns; c += W)
        for (Index r = 0; r < whole_rows; r += W) {
            Vec<W> square[W];
#pragma GCC unroll 16
            for (Index i = 0; i < W; ++i) square[i] = load<W>(in + (r + i) * columns + c);
            exchange<W, W / 2>(square);
#pragma GCC unroll 16
            for (Index i = 0; i < W; ++i) store<W>(out + (c + i) * rows + r, square[i]);
        }
    for (Index r = 0; r < rows; ++r)
        for (Index c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
            out[c * rows + r] = in[r * columns + c];
}

}  // namespace

void turn_weights(float* out, const float* w, Index kh, Index kw, Index channels_in,
                  Index channels_out) {
    const Index area = kh * kw, size = channels_in * channels_out;
    for (Index a = 0; a < area; ++a)
        transpose(out + (area - 1 - a) * size, w + a * size, channels_in, channels_out);
}

void max_pool(float* out, std::int32_t* winner, const float* in, const Pool& p) {
    for (Index i = 0; i < p.count; ++i)
        for (Index oy = 0; oy < p.out_height; ++oy)
            for (Index ox = 0; ox < p.out_width; ++ox) {
                const Index y = oy * p.stride, x = ox * p.stride, c_count = p.channels;
                const float* from = in + ((i * p.height + y) * p.width + x) * c_count;
                std::copy_n(from, c_count, out);
                std::fill_n(winner, c_count, 0);
                for (Index k = 1; k < p.window * p.window; ++k) {
                    const float* v = from + ((k / p.window) * p.width + k % p.window) * c_count;
                    const auto at = static_cast<std::int32_t>(k);
                    for (Index c = 0; c < c_count; ++c) {
                        const bool more = v[c] > out[c];
                        out[c] = more ? v[c] : out[c];
                        winner[c] = more ? at : winner[c];
                    }
                }
                out += c_count, winner += c_count;
            }
}

void max_pool_gradient(float* dx, const float* dy, const std::int32_t* winner, const Pool& p) {
    std::fill_n(dx, p.count * p.height * p.width * p.channels, 0.0f);
    for (Index i = 0; i < p.count; ++i)
        for (Index oy = 0; oy < p.out_height; ++oy)
            for (Index ox = 0; ox < p.out_width; ++ox) {
                const Index y = oy * p.stride, x = ox * p.stride, c_count = p.channels;
                float* to = dx + ((i * p.height + y) * p.width + x) * c_count;
                for (Index k = 0; k < p.window * p.window; ++k) {
                    float* v = to + ((k / p.window) * p.width + k % p.window) * c_count;
                    const auto at = static_cast<std::int32_t>(k);
                    for (Index c = 0; c < c_count; ++c) v[c] += winner[c] == at ? dy[c] : 0.0f;
                }
                dy += c_count, winner += c_count;
            }
}

void average_pool(float* out, const float* in, const Pool& p) {
    const float share = 1.0f / static_cast<float>(p.window * p.window);
    for (Index i = 0; i < p.count; ++i)
        for (Index oy = 0; oy < p.out_height; ++oy)
            for (Index ox = 0; ox < p.out_width; ++ox, out += p.channels) {
                const float* from =
                    in + ((i * p.height + oy * p.stride) * p.width + ox * p.stride) * p.channels;
                std::fill_n(out, p.channels, 0.0f);
                for (Index k = 0; k < p.window * p.window; ++k) {
                    const float* v = from + ((k / p.window) * p.width + k % p.window) * p.channels;
                    for (Index c = 0; c < p.channels; ++c) out[c] += share * v[c];
                }
            }
}

void average_pool_gradient(float* dx, const float* dy, const Pool& p) {
    const float share = 1.0f / static_cast<float>(p.window * p.window);
    std::fill_n(dx, p.count * p.height * p.width * p.channels, 0.0f);
    for (Index i = 0; i < p.count; ++i)
        for (Index oy = 0; oy < p.out_height; ++oy)
            for (Index ox = 0; ox < p.out_width; ++ox, dy += p.channels) {
                float* to =
                    dx + ((i * p.height + oy * p.stride) * p.width + ox * p.stride) * p.channels;
                for (Index k = 0; k < p.window * p.window; ++k) {
                    float* v = to + ((k / p.window) * p.width + k % p.window) * p.channels;
                    for (Index c = 0; c < p.channels; ++c) v[c] += share * dy[c];
                }
            }
}

void exp(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = exp_of(x[i]);
}
void tanh(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = tanh_of(x[i]);
}
void relu(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = x[i] > 0.0f ? x[i] : 0.0f;
}
void relu_gradient(float* dx, const float* dy, const float* y, Index n) {
    for (Index i = 0; i < n; ++i) dx[i] = y[i] > 0.0f ? dy[i] : 0.0f;
}
void tanh_gradient(float* dx, const float* dy, const float* y, Index n) {
    for (Index i = 0; i < n; ++i) dx[i] = dy[i] * (1.0f - y[i] * y[i]);
}

void sigmoid(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = sigmoid_of(x[i]);
}
void sigmoid_gradient(float* dx, const float* dy, const float* y, Index n) {
    for (Index i = 0; i < n; ++i) dx[i] = dy[i] * y[i] * (1.0f - y[i]);
}
void silu(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] = x[i] * sigmoid_of(x[i]);
}
void silu_gradient(float* dx, const float* dy, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) {
        const float s = sigmoid_of(x[i]);
        dx[i] = dy[i] * s * (1.0f + x[i] * (1.0f - s));
    }
}

// 0.5 x (1 + tanh(a (x + b x³))), Hendrycks & Gimpel 2016.
constexpr float kGeluA = 0.7978845608028654f, kGeluB = 0.044715f;
void gelu(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) {
        const float v = x[i];
        y[i] = 0.5f * v * (1.0f + tanh_of(kGeluA * (v + kGeluB * v * v * v)));
    }
}
void gelu_gradient(float* dx, const float* dy, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) {
        const float v = x[i], t = tanh_of(kGeluA * (v + kGeluB * v * v * v));
        const float inner = kGeluA * (1.0f + 3.0f * kGeluB * v * v);
        dx[i] = dy[i] * (0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * inner);
    }
}

void add(float* y, const float* x, Index n) {
    for (Index i = 0; i < n; ++i) y[i] += x[i];
}

// Whether element i stays is a hash of (draws, i) alone, so the way back needs no stored mask.
void dropout(float* y, const float* x, Index n, float rate, std::uint64_t draws) {
    const auto limit = static_cast<std::uint32_t>(double(rate) * 4294967295.0);
    const float more = 1.0f / (1.0f - rate);
    const auto low = static_cast<std::uint32_t>(draws);
    const auto high = static_cast<std::uint32_t>(draws >> 32);
    for (Index i = 0; i < n; ++i) {
        std::uint32_t h = static_cast<std::uint32_t>(i) * 0x9e3779b9u + low;
        h = (h ^ (h >> 16)) * 0x85ebca6bu;
        h = ((h ^ (h >> 13)) + high) * 0xc2b2ae35u;
        h = (h ^ (h >> 16)) * 0x27d4eb2fu;
        h ^= h >> 15;
        y[i] = h >= limit ? x[i] * more : 0.0f;
    }
}

const char* instruction_set() { return GOSSAMER_INSTRUCTION_SET; }

}  // namespace gossamer::model::maths
