// The first parameters of each kind of layer.
#include <algorithm>
#include <cmath>

#include "gossamer/base/assert.hpp"
#include "gossamer/model/network.hpp"

namespace gossamer::model {
namespace {

// Largest absolute value of the uniform distribution a stage's weights are drawn from.
double limit_of(const Stage& s) {
    switch (s.kind) {
        case LayerKind::lstm:
        case LayerKind::gru: return 1.0 / std::sqrt(double(s.out_channels));
        case LayerKind::embedding: return std::sqrt(3.0 / s.out_channels);
        case LayerKind::position: return 0.05;
        case LayerKind::factors: return std::sqrt(3.0) * 0.1;
        case LayerKind::attention: return std::sqrt(6.0 / (4.0 * s.channels));
        default: break;
    }
    const double fan_in = double(s.weight_count()) / s.out_channels;
    const double fan_out = s.kind == LayerKind::conv ? double(s.window) * s.window * s.out_channels
                                                     : double(s.out_channels);
    return std::sqrt(6.0 / (s.activation == Activation::relu ? fan_in : fan_in + fan_out));
}

bool is_norm(LayerKind kind) {
    return kind == LayerKind::group_norm || kind == LayerKind::layer_norm ||
           kind == LayerKind::rms_norm;
}

}  // namespace

// Draws are counted through all tensors of a stage, learnt or frozen, so that what is drawn for one
// does not hang on what is learnt.
void Network::draw(RunSeed seed, float* learnt, float* frozen) const {
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        const Stage& s = stages_[i];
        if (s.weight_count() == 0) continue;
        RngStream draws = stream(seed, Purpose::model_init, i);
        auto at = [&](Tensor tensor, std::size_t offset) -> float* {
            float* to = s.learns(tensor) ? learnt : frozen;
            return to ? to + offset : nullptr;
        };
        auto fill = [&](float* to, std::size_t count, double limit) {
            for (std::size_t k = 0; k < count; ++k) {
                const auto w = static_cast<float>((2.0 * draws.uniform() - 1.0) * limit);
                if (to) to[k] = w;
            }
        };
        auto constant = [](float* to, std::size_t count, float value) {
            if (to) std::fill_n(to, count, value);
        };
        if (is_norm(s.kind))
            constant(at(weight_tensor, s.weight_offset), s.weight_count(), 1);
        else
            fill(at(weight_tensor, s.weight_offset), s.weight_count(), limit_of(s));
        float* bias = at(bias_tensor, s.bias_offset);
        constant(bias, s.bias_count(), 0);
        if (s.kind == LayerKind::lstm && bias)  // remember, to begin with (Jozefowicz et al. 2015)
            constant(bias + s.out_channels, s.out_channels, 1);
        if (s.second_count() > 0)
            fill(at(second_tensor, s.second_offset), s.second_count(), limit_of(s));
        constant(at(second_bias_tensor, s.second_bias_offset), s.second_bias_count(), 0);
        if (!s.adapted()) continue;
        fill(at(adapter_a_tensor, s.adapter_a_offset), std::size_t{s.channels} * s.rank,
             1.0 / std::sqrt(double(s.channels)));
        constant(at(adapter_b_tensor, s.adapter_b_offset), std::size_t{s.rank} * s.out_channels, 0);
    }
}

void Network::initialise(std::span<float> out, RunSeed seed) const {
    GOSSAMER_ASSERT(out.size() == layout_->parameter_count(), "one float a parameter");
    draw(seed, out.data(), nullptr);
    for (std::size_t i = 0; i < from_base_.size(); ++i) {
        const auto& t = layout_->tensors()[i];
        if (from_base_[i])
            std::copy_n(first_->floats().data() + t.offset, t.count, out.data() + t.offset);
    }
}

}  // namespace gossamer::model
