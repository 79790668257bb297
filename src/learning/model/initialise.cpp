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

void Network::initialise(std::span<float> out, RunSeed seed) const {
    GOSSAMER_ASSERT(out.size() == layout_->parameter_count(), "one float a parameter");
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        const Stage& s = stages_[i];
        if (s.weight_count() == 0) continue;
        RngStream draws = stream(seed, Purpose::model_init, i);
        auto fill = [&](std::size_t offset, std::size_t count, double limit) {
            for (float& w : out.subspan(offset, count))
                w = static_cast<float>((2.0 * draws.uniform() - 1.0) * limit);
        };
        if (is_norm(s.kind))
            std::ranges::fill(out.subspan(s.weight_offset, s.weight_count()), 1.0f);
        else
            fill(s.weight_offset, s.weight_count(), limit_of(s));
        std::ranges::fill(out.subspan(s.bias_offset, s.bias_count()), 0.0f);
        if (s.kind == LayerKind::lstm)  // remember, to begin with (Jozefowicz et al. 2015)
            std::ranges::fill(out.subspan(s.bias_offset + s.out_channels, s.out_channels), 1.0f);
        if (s.second_count() > 0) fill(s.second_offset, s.second_count(), limit_of(s));
        std::ranges::fill(out.subspan(s.second_bias_offset, s.second_bias_count()), 0.0f);
    }
}

}  // namespace gossamer::model
