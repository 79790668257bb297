// The arithmetic of training, apart from everything else: libgossamer_maths, one source built once
// per instruction set; the loader picks the best under glibc-hwcaps/. Plain pointers and sizes,
// no allocation, no threads; callers own all memory. Sizes are in floats unless said.
//
// Results are the same bits on every machine with one instruction set: loops are cut at fixed
// places, never by the sizes of the caches found.
//
// Matrices are row-major. Images are NHWC, so a row of a convolution's window is one contiguous run
// and its weights are the matrix [window height · window width · channels in, channels out].
#pragma once

#include <cstddef>
#include <cstdint>

#define GOSSAMER_MATHS __attribute__((visibility("default")))

namespace gossamer::model::maths {

using Index = std::ptrdiff_t;

// A matrix that need not be stored: its row (image, line, pixel) is made of `segments` runs of
// `run` floats, its columns number segments · run. A dense batch is one image of one line with a
// pixel per sample and one segment; a convolution's window has one segment per kernel line.
struct Rows {
    const float* data = nullptr;
    Index images = 1, image_stride = 0;
    Index lines = 1, line_stride = 0;
    Index pixels = 0, pixel_stride = 0;
    Index segments = 1, segment_stride = 0;
    Index run = 0;

    Index row_count() const { return images * lines * pixels; }
    Index column_count() const { return segments * run; }
};
inline Rows dense_rows(const float* data, Index count, Index width) {
    return {.data = data, .pixels = count, .pixel_stride = width, .run = width};
}

// y[rows, n] = a · w[columns, n] + bias[n] (null: none), then max(·, 0) when relu.
GOSSAMER_MATHS void product(float* y, const Rows& a, const float* w, Index n, const float* bias,
                            bool relu);
// The same product of rows that lie one behind the other with w[k, n] laid out for it: what is read
// together then lies together, where rows of w a power of two apart fight for the same few places
// of the caches (10 rows, k 256, n 1,024: 234 GF/s instead of 219, or of 188 where w begins amid a
// line). For a w that is used often.
inline Index panel_floats(Index k, Index n) { return k * ((n + 15) / 16 * 16); }
GOSSAMER_MATHS void to_panels(float* panels, const float* w, Index k, Index n);
GOSSAMER_MATHS void product_of_panels(float* y, const float* x, Index rows, const float* panels,
                                      Index k, Index n, const float* bias);
// w[columns, n] = keep · w + scale · aᵀ · dy[rows, n]. keep 0 writes a gradient without reading w;
// scale = -rate is plain SGD without forming the gradient.
GOSSAMER_MATHS void weight_gradient(float* w, const Rows& a, const float* dy, Index n, float keep,
                                    float scale);
// b[n] = keep · b + scale · column sums of dy[rows, n].
GOSSAMER_MATHS void bias_gradient(float* b, const float* dy, Index rows, Index n, float keep,
                                  float scale);
// dx[rows, k] = dy[rows, n] · w[k, n]ᵀ; zero where active[rows, k] (null: everywhere) is not > 0.
GOSSAMER_MATHS void data_gradient(float* dx, const float* dy, const float* w, Index rows, Index k,
                                  Index n, const float* active);

// Windows over images: of pools and convolutions.
struct Pool {
    Index count, height, width, channels;  // in
    Index window, stride, out_height, out_width;
};

// A convolution that reads images as they are, without a border: taps beyond an edge are left out,
// which adds the same numbers in the same order as a border of zeros would.
struct Conv : Pool {
    Index top, left;  // of the border that is not there
    Index out_channels;
};
// y[count, out…] = x * w[window, window, channels, out_channels] + bias (null: none), or max(·, 0)
// when relu.
GOSSAMER_MATHS void convolve(float* y, const float* x, const float* w, const Conv& c,
                             const float* bias, bool relu);
// w = keep · w + scale · its gradient from dy, as weight_gradient.
GOSSAMER_MATHS void convolve_weights(float* w, const float* x, const float* dy, const Conv& c,
                                     float keep, float scale);

// out[count, height + 2·…, width + …, channels] = in with a border of zeros and `gap` - 1 zeros
// between pixels. out's border is written too.
struct Padding {
    Index top = 0, left = 0, height = 0, width = 0;  // height, width: of the padded image
    Index gap = 1;
};
GOSSAMER_MATHS void pad(float* out, const float* in, Index count, Index height, Index width,
                        Index channels, const Padding& padding);
// The weights of the convolution that carries gradients back: window turned by 180°, in and out
// exchanged. out[kh, kw, channels_out, channels_in] from w[kh, kw, channels_in, channels_out].
GOSSAMER_MATHS void turn_weights(float* out, const float* w, Index kh, Index kw, Index channels_in,
                                 Index channels_out);

// out = largest of each window; winner = its position in the window, the first when several.
GOSSAMER_MATHS void max_pool(float* out, std::int32_t* winner, const float* in, const Pool& p);
GOSSAMER_MATHS void max_pool_gradient(float* dx, const float* dy, const std::int32_t* winner,
                                      const Pool& p);

GOSSAMER_MATHS void relu(float* y, const float* x, Index n);
GOSSAMER_MATHS void tanh(float* y, const float* x, Index n);
// From the activation's output y: dx = dy · f'(x); dx may be dy.
GOSSAMER_MATHS void relu_gradient(float* dx, const float* dy, const float* y, Index n);
GOSSAMER_MATHS void tanh_gradient(float* dx, const float* dy, const float* y, Index n);

// e^x, good to about 2 ulp; below -87 as at -87.
GOSSAMER_MATHS void exp(float* y, const float* x, Index n);

// One pass over parameters w, gradient g and state; all of n floats. decay is added to the
// gradient (decay · w), except in adamw, where it shrinks w on its own.
struct SgdStep {
    float rate, momentum, decay;
    bool nesterov;
};
GOSSAMER_MATHS void sgd_step(float* w, const float* g, Index n, float rate, float decay);
GOSSAMER_MATHS void momentum_step(float* w, float* velocity, const float* g, Index n,
                                  const SgdStep& s);
struct AdamStep {
    float rate, beta1, beta2, epsilon, decay;
    float correction1, correction2;  // 1 / (1 - beta^t)
    bool decoupled;                  // AdamW
};
GOSSAMER_MATHS void adam_step(float* w, float* first, float* second, const float* g, Index n,
                              const AdamStep& s);
// g += mu · (w - anchor): the proximal term of FedProx.
GOSSAMER_MATHS void add_proximal(float* g, const float* w, const float* anchor, Index n, float mu);
GOSSAMER_MATHS void scale(float* x, Index n, float factor);

// "x86-64", "x86-64-v3", "x86-64-v4", "aarch64": which build the loader chose.
GOSSAMER_MATHS const char* instruction_set();

}  // namespace gossamer::model::maths
