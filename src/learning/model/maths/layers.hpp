// More of libgossamer_maths, with the same contract as maths.hpp: what layers do besides products.
#pragma once

#include "learning/model/maths/maths.hpp"

namespace gossamer::model::maths {

GOSSAMER_MATHS void average_pool(float* out, const float* in, const Pool& p);
GOSSAMER_MATHS void average_pool_gradient(float* dx, const float* dy, const Pool& p);

// Normalisation over rows x (channels / groups) elements of each sample: group norm (Wu & He 2018),
// layer norm with one row and one group, RMS norm (Zhang & Sennrich 2019) without the mean.
struct Norm {
    Index samples, rows, channels, groups;
    bool centred = true;  // false: RMS, without shift
};
// kept: mean and 1 / deviation of each (sample, group). work: 2 · channels floats.
GOSSAMER_MATHS void normalise(float* out, float* kept, float* work, const float* in,
                              const float* gain, const float* shift, const Norm& norm);
// dx null: not wanted. d_gain, d_shift (null: none) are written. work: 4 · channels floats.
GOSSAMER_MATHS void normalise_gradient(float* dx, float* d_gain, float* d_shift, float* work,
                                       const float* dy, const float* in, const float* kept,
                                       const float* gain, const Norm& norm);

// Recurrent cells, one step of `count` sequences. LSTM (Hochreiter & Schmidhuber 1997, with forget
// gates): gates[count, 4 · units] holds x·W + b in the order input, forget, cell, output; `from` is
// h·U (null: 0) of the same shape. Leaves the activated gates. c_before null: 0.
GOSSAMER_MATHS void lstm_step(float* h, float* c, float* gates, const float* from,
                              const float* c_before, Index count, Index units);
// dh, dc: with respect to this step's outputs; dc becomes that of the step before, gates its own
// gradient.
GOSSAMER_MATHS void lstm_step_back(float* gates, float* dc, const float* dh, const float* c,
                                   const float* c_before, Index count, Index units);
// GRU (Cho et al. 2014, the reset gate after the product): gates[count, 3 · units] in the order
// update, reset, new; `from` = h·U. h_before null: 0.
GOSSAMER_MATHS void gru_step(float* h, float* gates, const float* from, const float* h_before,
                             Index count, Index units);
// gates becomes the gradient of x·W + b, `from` that of h·U; dh the part that passes straight on.
GOSSAMER_MATHS void gru_step_back(float* gates, float* from, float* dh, const float* h_before,
                                  Index count, Index units);

// Causal attention of `heads` heads (Vaswani et al. 2017) over qkv[steps, 3 · channels] of one
// sequence: out[steps, channels], weights[heads, steps, steps].
struct Attention {
    Index steps, channels, heads;
};
GOSSAMER_MATHS void attend(float* out, float* weights, const float* qkv, const Attention& a);
// d_qkv is written. work: `steps` floats.
GOSSAMER_MATHS void attend_back(float* d_qkv, float* work, const float* d_out, const float* weights,
                                const float* qkv, const Attention& a);

GOSSAMER_MATHS void sigmoid(float* y, const float* x, Index n);
GOSSAMER_MATHS void sigmoid_gradient(float* dx, const float* dy, const float* y, Index n);
// From the activation's input x: dx = dy · f'(x). gelu is the form with tanh.
GOSSAMER_MATHS void silu(float* y, const float* x, Index n);
GOSSAMER_MATHS void silu_gradient(float* dx, const float* dy, const float* x, Index n);
GOSSAMER_MATHS void gelu(float* y, const float* x, Index n);
GOSSAMER_MATHS void gelu_gradient(float* dx, const float* dy, const float* x, Index n);

GOSSAMER_MATHS void add(float* y, const float* x, Index n);  // y += x
// y = x / (1 - rate), or 0 with probability `rate`; the same elements for the same draws. y may
// be x. The gradient is the same function of dy.
GOSSAMER_MATHS void dropout(float* y, const float* x, Index n, float rate, std::uint64_t draws);

}  // namespace gossamer::model::maths
