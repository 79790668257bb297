// A network in the plugin's words, or which layer the card does not run.
#include "learning/training/cuda_stack.hpp"

#include <algorithm>
#include <optional>

#include "gossamer/base/assert.hpp"
#include "learning/cuda/loader.hpp"

namespace gossamer::training {
namespace {

using model::Activation;
using model::LayerKind;

std::optional<std::uint32_t> activation_of(Activation activation) {
    switch (activation) {
        case Activation::none: return GOSSAMER_CUDA_LINEAR;
        case Activation::relu: return GOSSAMER_CUDA_RELU;
        case Activation::tanh: return GOSSAMER_CUDA_TANH;
        case Activation::sigmoid: return GOSSAMER_CUDA_SIGMOID;
        case Activation::gelu: return GOSSAMER_CUDA_GELU;
        case Activation::silu: return GOSSAMER_CUDA_SILU;
    }
    return std::nullopt;
}

struct Kind {
    std::uint32_t kind, activation = GOSSAMER_CUDA_LINEAR;  // of a stage that is an activation
};
std::optional<Kind> kind_of(LayerKind kind) {
    switch (kind) {
        case LayerKind::dense: return Kind{GOSSAMER_CUDA_DENSE};
        case LayerKind::conv: return Kind{GOSSAMER_CUDA_CONV};
        case LayerKind::max_pool: return Kind{GOSSAMER_CUDA_MAX_POOL};
        case LayerKind::average_pool:
        case LayerKind::global_pool: return Kind{GOSSAMER_CUDA_AVERAGE_POOL};
        case LayerKind::dropout: return Kind{GOSSAMER_CUDA_DROPOUT};
        case LayerKind::relu: return Kind{GOSSAMER_CUDA_ACTIVATION, GOSSAMER_CUDA_RELU};
        case LayerKind::tanh: return Kind{GOSSAMER_CUDA_ACTIVATION, GOSSAMER_CUDA_TANH};
        case LayerKind::sigmoid: return Kind{GOSSAMER_CUDA_ACTIVATION, GOSSAMER_CUDA_SIGMOID};
        case LayerKind::gelu: return Kind{GOSSAMER_CUDA_ACTIVATION, GOSSAMER_CUDA_GELU};
        case LayerKind::silu: return Kind{GOSSAMER_CUDA_ACTIVATION, GOSSAMER_CUDA_SILU};
        case LayerKind::group_norm: return Kind{GOSSAMER_CUDA_GROUP_NORM};
        case LayerKind::layer_norm: return Kind{GOSSAMER_CUDA_LAYER_NORM};
        case LayerKind::rms_norm: return Kind{GOSSAMER_CUDA_RMS_NORM};
        case LayerKind::add: return Kind{GOSSAMER_CUDA_ADD};
        case LayerKind::embedding: return Kind{GOSSAMER_CUDA_EMBEDDING};
        case LayerKind::position: return Kind{GOSSAMER_CUDA_POSITION};
        case LayerKind::lstm: return Kind{GOSSAMER_CUDA_LSTM};
        case LayerKind::gru: return Kind{GOSSAMER_CUDA_GRU};
        case LayerKind::last: return Kind{GOSSAMER_CUDA_LAST};
        case LayerKind::attention: return Kind{GOSSAMER_CUDA_ATTENTION};
        case LayerKind::factors: return Kind{GOSSAMER_CUDA_FACTORS};
        case LayerKind::flatten:
        case LayerKind::residual:
        case LayerKind::shortcut: break;  // never stages
    }
    return std::nullopt;
}

std::uint32_t loss_of(model::Loss loss) {
    switch (loss) {
        case model::Loss::mean_squared_error: return GOSSAMER_CUDA_SQUARED;
        case model::Loss::sigmoid_cross_entropy: return GOSSAMER_CUDA_SIGMOID_CROSS;
        case model::Loss::reconstruction: return GOSSAMER_CUDA_RECONSTRUCTION;
        case model::Loss::softmax_cross_entropy: break;
    }
    return GOSSAMER_CUDA_SOFTMAX;
}

}  // namespace

Result<CudaNetwork> cuda_network(const model::Network& network, std::uint32_t target_count,
                                 std::uint32_t label_count) {
    CudaNetwork made;
    if (const auto& frozen = network.frozen_layout()) {
        const float* values = network.frozen_values();
        GOSSAMER_ASSERT(values, "frozen tensors have got their values");
        made.frozen.assign(values, values + frozen->parameter_count());
    }
    for (const model::Stage& s : network.stages()) {
        gossamer_cuda_layer l{};
        const auto kind = kind_of(s.kind);
        const auto activation = activation_of(s.activation);
        if (!kind || !activation)
            return fail(
                cuda::kGpuModel,
                "the layer " + s.name + " of " + network.spec().name + " does not run on the card",
                "set training.device = \"cpu\"");
        l.kind = kind->kind;
        l.activation = l.kind == GOSSAMER_CUDA_ACTIVATION ? kind->activation : *activation;
        l.height = s.height, l.width = s.width, l.channels = s.channels;
        l.out_height = s.out_height, l.out_width = s.out_width, l.out_channels = s.out_channels;
        l.window_height = l.window_width = l.stride = 1;
        if (s.kind == LayerKind::global_pool) {
            l.window_height = s.height, l.window_width = s.width;
        } else if (l.kind >= GOSSAMER_CUDA_CONV && l.kind <= GOSSAMER_CUDA_AVERAGE_POOL) {
            l.window_height = l.window_width = s.window, l.stride = s.stride;
            l.pad_top = s.pad_top, l.pad_left = s.pad_left;
        }
        l.biased = s.bias_count() > 0;
        const auto place = [&](model::Tensor tensor, std::size_t offset) {
            return s.learns(tensor) ? offset : GOSSAMER_CUDA_FROZEN + offset;
        };
        l.weight_offset = place(model::weight_tensor, s.weight_offset);
        l.bias_offset = place(model::bias_tensor, s.bias_offset);
        l.rate = s.rate;
        l.input = s.input, l.source = s.source >= 0 ? s.source : -1;
        l.groups = s.groups, l.vocabulary = s.vocabulary, l.items = s.items, l.rank = s.rank;
        l.second_offset = place(model::second_tensor, s.second_offset);
        l.second_bias_offset = place(model::second_bias_tensor, s.second_bias_offset);
        l.adapter_a_offset = place(model::adapter_a_tensor, s.adapter_a_offset);
        l.adapter_b_offset = place(model::adapter_b_tensor, s.adapter_b_offset);
        l.adapter_scale = s.adapter_scale;
        made.layers.push_back(l);
    }
    auto& d = made.description;
    d.size = sizeof d;
    d.layer_count = static_cast<std::uint32_t>(made.layers.size());
    d.parameter_count = network.layout()->parameter_count();
    d.frozen_count = made.frozen.size();
    d.input_count = network.input_count(), d.output_count = network.output_count();
    d.loss = loss_of(network.spec().loss);
    d.target_count = d.loss == GOSSAMER_CUDA_RECONSTRUCTION ? 0 : target_count;
    d.label_count = std::max(1u, label_count);
    return made;
}

}  // namespace gossamer::training
