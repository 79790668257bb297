#include "learning/model/stage_run.hpp"

#include <algorithm>

namespace gossamer::model {
namespace {

void copy_or_drop(const Stage& s, float* to, const float* from, std::size_t count,
                  std::uint64_t draws, bool training) {
    const Index n = index(count * s.in_count());
    if (training && s.rate > 0)
        maths::dropout(to, from, n, s.rate, draws);
    else
        std::copy_n(from, n, to);
}

}  // namespace

maths::Pool windows_of(const Stage& s, std::size_t count) {
    return {.count = index(count),
            .height = s.height,
            .width = s.width,
            .channels = s.channels,
            .window = s.window,
            .stride = s.stride,
            .out_height = s.out_height,
            .out_width = s.out_width};
}

void learn(const Stage& s, const maths::Rows& rows, const float* delta, const Sink& sink) {
    const Index n = index(s.weight_count()) / rows.column_count();
    if (s.learns(weight_tensor))
        maths::weight_gradient(sink.out + s.weight_offset, rows, delta, n, sink.keep, sink.scale);
    if (s.bias_count() > 0 && s.learns(bias_tensor))
        maths::bias_gradient(sink.out + s.bias_offset, delta, rows.row_count(), n, sink.keep,
                             sink.scale);
}

std::size_t kept_floats(const Stage& s, std::size_t count) {
    switch (s.kind) {
        case LayerKind::dense: return s.adapted() ? count * s.rows() * s.rank : 0;
        case LayerKind::conv:
            return s.padded() ? count * s.padded_height * s.padded_width * s.channels : 0;
        case LayerKind::max_pool: return count * s.out_count();
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: return norm_kept(s, count);
        case LayerKind::lstm:
        case LayerKind::gru: return recurrent_kept(s, count);
        case LayerKind::attention: return attention_kept(s, count);
        default: return 0;
    }
}

std::size_t work_floats(const Stage& s, std::size_t count, bool gradients) {
    switch (s.kind) {
        case LayerKind::dense: return s.adapted() ? adapter_work(s, count) : 0;
        case LayerKind::conv: return gradients ? conv_work(s, count) : 0;
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: return 6 * std::size_t{s.channels};
        case LayerKind::lstm:
        case LayerKind::gru: return recurrent_work(s, count);
        case LayerKind::attention: return attention_work(s, count);
        case LayerKind::factors: return 2 * count * s.rank;
        default: return 0;
    }
}

void run_stage(const StageRun& r) {
    const Index n = index(r.count * r.s.out_count());
    switch (r.s.kind) {
        case LayerKind::dense: forward_dense(r); break;
        case LayerKind::conv: forward_conv(r); break;
        case LayerKind::max_pool:
        case LayerKind::average_pool:
        case LayerKind::global_pool: forward_pool(r); break;
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: forward_norm(r); break;
        case LayerKind::relu: maths::relu(r.out, r.in, n); break;
        case LayerKind::tanh: maths::tanh(r.out, r.in, n); break;
        case LayerKind::sigmoid: maths::sigmoid(r.out, r.in, n); break;
        case LayerKind::gelu: maths::gelu(r.out, r.in, n); break;
        case LayerKind::silu: maths::silu(r.out, r.in, n); break;
        case LayerKind::dropout:
            copy_or_drop(r.s, r.out, r.in, r.count, r.draws, r.training);
            break;
        case LayerKind::embedding: forward_embedding(r); break;
        case LayerKind::position: forward_position(r); break;
        case LayerKind::factors: forward_factors(r); break;
        case LayerKind::lstm:
        case LayerKind::gru: forward_recurrent(r); break;
        case LayerKind::last:
            for (std::size_t i = 0; i < r.count; ++i)
                std::copy_n(r.in + (i + 1) * r.s.in_count() - r.s.channels, r.s.channels,
                            r.out + i * r.s.channels);
            break;
        case LayerKind::attention: forward_attention(r); break;
        case LayerKind::add:
            std::copy_n(r.in, n, r.out);
            maths::add(r.out, r.shortcut, n);
            if (r.s.activation == Activation::relu) maths::relu(r.out, r.out, n);
            break;
        case LayerKind::flatten:
        case LayerKind::residual:
        case LayerKind::shortcut: break;  // never stages
    }
    if (r.s.activation == Activation::tanh) maths::tanh(r.out, r.out, n);
    if (r.s.activation == Activation::sigmoid) maths::sigmoid(r.out, r.out, n);
}

void run_back(const StageBack& r) {
    const Index n = index(r.count * r.s.out_count());
    const Activation a = r.s.activation;
    if (a == Activation::relu) maths::relu_gradient(r.delta, r.delta, r.out, n);
    if (a == Activation::tanh) maths::tanh_gradient(r.delta, r.delta, r.out, n);
    if (a == Activation::sigmoid) maths::sigmoid_gradient(r.delta, r.delta, r.out, n);
    switch (r.s.kind) {
        case LayerKind::dense: return back_dense(r);
        case LayerKind::conv: return back_conv(r);
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: return back_norm(r);
        case LayerKind::embedding: return back_embedding(r);
        case LayerKind::position: return back_position(r);
        case LayerKind::factors: return back_factors(r);
        case LayerKind::lstm:
        case LayerKind::gru: return back_recurrent(r);
        case LayerKind::attention: return back_attention(r);
        default: break;
    }
    if (!r.next) return;  // nothing to learn below
    switch (r.s.kind) {
        case LayerKind::max_pool:
        case LayerKind::average_pool:
        case LayerKind::global_pool: return back_pool(r);
        case LayerKind::relu: return maths::relu_gradient(r.next, r.delta, r.out, n);
        case LayerKind::tanh: return maths::tanh_gradient(r.next, r.delta, r.out, n);
        case LayerKind::sigmoid: return maths::sigmoid_gradient(r.next, r.delta, r.out, n);
        case LayerKind::gelu: return maths::gelu_gradient(r.next, r.delta, r.in, n);
        case LayerKind::silu: return maths::silu_gradient(r.next, r.delta, r.in, n);
        case LayerKind::dropout: return copy_or_drop(r.s, r.next, r.delta, r.count, r.draws, true);
        case LayerKind::last:
            std::fill_n(r.next, r.count * r.s.in_count(), 0.0f);
            for (std::size_t i = 0; i < r.count; ++i)
                std::copy_n(r.delta + i * r.s.channels, r.s.channels,
                            r.next + (i + 1) * r.s.in_count() - r.s.channels);
            return;
        case LayerKind::add: std::copy_n(r.delta, n, r.next); return;
        default: return;
    }
}

}  // namespace gossamer::model
