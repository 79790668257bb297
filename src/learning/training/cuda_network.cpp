// A network in the plugin's words, or which layer the card does not run.
#include "learning/training/cuda_stack.hpp"

#include "learning/cuda/loader.hpp"

namespace gossamer::training {
namespace {

using model::Activation;
using model::LayerKind;

bool kind_of(const model::Stage& s, std::uint32_t& kind, std::uint32_t& activation) {
    switch (s.activation) {
        case Activation::none: activation = GOSSAMER_CUDA_LINEAR; break;
        case Activation::relu: activation = GOSSAMER_CUDA_RELU; break;
        case Activation::tanh: activation = GOSSAMER_CUDA_TANH; break;
        case Activation::sigmoid: activation = GOSSAMER_CUDA_SIGMOID; break;
        default: return false;
    }
    kind = GOSSAMER_CUDA_ACTIVATION;
    switch (s.kind) {
        case LayerKind::dense: kind = GOSSAMER_CUDA_DENSE; return true;
        case LayerKind::conv: kind = GOSSAMER_CUDA_CONV; return true;
        case LayerKind::max_pool: kind = GOSSAMER_CUDA_MAX_POOL; return true;
        case LayerKind::average_pool:
        case LayerKind::global_pool: kind = GOSSAMER_CUDA_AVERAGE_POOL; return true;
        case LayerKind::dropout: kind = GOSSAMER_CUDA_DROPOUT; return true;
        case LayerKind::relu: activation = GOSSAMER_CUDA_RELU; return true;
        case LayerKind::tanh: activation = GOSSAMER_CUDA_TANH; return true;
        case LayerKind::sigmoid: activation = GOSSAMER_CUDA_SIGMOID; return true;
        default: return false;
    }
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

Result<CudaNetwork> cuda_network(const model::Network& network, std::uint32_t target_count) {
    CudaNetwork made;
    if (network.frozen_layout())
        return fail(cuda::kGpuModel,
                    "models of which a part is frozen (model.trainable) do not run on the card",
                    "set training.device = \"cpu\"");
    int number = 0;
    for (const model::Stage& s : network.stages()) {
        gossamer_cuda_layer l{};
        if (!kind_of(s, l.kind, l.activation) || s.adapted() || s.input != number - 1)
            return fail(
                cuda::kGpuModel,
                "the layer " + s.name + " of " + network.spec().name + " does not run on the card",
                "set training.device = \"cpu\"");
        ++number;
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
        l.weight_offset = s.weight_offset, l.bias_offset = s.bias_offset;
        l.rate = s.rate;
        made.layers.push_back(l);
    }
    auto& d = made.description;
    d.size = sizeof d;
    d.layer_count = static_cast<std::uint32_t>(made.layers.size());
    d.parameter_count = network.layout()->parameter_count();
    d.input_count = network.input_count(), d.output_count = network.output_count();
    d.loss = loss_of(network.spec().loss);
    d.target_count = d.loss == GOSSAMER_CUDA_RECONSTRUCTION ? 0 : target_count;
    return made;
}

}  // namespace gossamer::training
