// What stands between the products: borders, pooling, activations.
#include "learning/model/maths/vec.hpp"

#include <algorithm>
#include <bit>

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

void turn_weights(float* out, const float* w, Index kh, Index kw, Index channels_in,
                  Index channels_out) {
    const Index area = kh * kw, size = channels_in * channels_out;
    for (Index a = 0; a < area; ++a) {
        const float* from = w + a * size;
        float* to = out + (area - 1 - a) * size;
        for (Index i = 0; i < channels_in; ++i)
            for (Index o = 0; o < channels_out; ++o)
                to[o * channels_in + i] = from[i * channels_out + o];
    }
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

namespace {

// Cephes expf: x = n ln 2 + r, then a polynomial in r. The magic number leaves n in the low bits.
inline float exp_of(float x) {
    constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23
    x = x < -87.0f ? -87.0f : x > 88.0f ? 88.0f : x;
    const float shifted = x * 1.44269504088896341f + kMagic;
    const float n = shifted - kMagic;
    const float r = x - n * 0.693359375f - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    const std::uint32_t bits = std::bit_cast<std::uint32_t>(shifted) + 127u;
    return p * std::bit_cast<float>(bits << 23);
}

inline float tanh_of(float x) {  // Cephes tanhf
    const float a = x < 0 ? -x : x, z = x * x;
    float p = -5.70498872745e-3f;
    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    const float small = p * z * x + x;
    const float far = 1.0f - 2.0f / (exp_of(2.0f * (a > 20.0f ? 20.0f : a)) + 1.0f);
    return a < 0.625f ? small : x < 0 ? -far : far;
}

}  // namespace

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

const char* instruction_set() { return GOSSAMER_INSTRUCTION_SET; }

}  // namespace gossamer::model::maths
