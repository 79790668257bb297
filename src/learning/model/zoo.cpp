#include <array>

#include "gossamer/model/network.hpp"

namespace gossamer::model {
namespace {

constexpr std::array<std::string_view, 3> kNames{"softmax-regression", "mlp-200-200", "fedavg-cnn"};

LayerSpec dense(std::uint32_t units, Activation activation) {
    return {.kind = LayerKind::dense, .units = units, .activation = activation};
}
LayerSpec conv(std::uint32_t channels) {
    return {.kind = LayerKind::conv,
            .units = channels,
            .window = 5,
            .padding = Padding::same,
            .activation = Activation::relu};
}
LayerSpec pool() { return {.kind = LayerKind::max_pool, .window = 2}; }

}  // namespace

std::span<const std::string_view> zoo_names() { return kNames; }

Result<NetworkSpec> zoo(std::string_view name, std::vector<std::uint32_t> input,
                        std::uint32_t outputs) {
    NetworkSpec spec{.name = std::string(name), .input = std::move(input)};
    const LayerSpec last = dense(outputs, Activation::none);
    if (name == "softmax-regression") {
        spec.layers = {last};
    } else if (name == "mlp-200-200") {
        spec.layers = {dense(200, Activation::relu), dense(200, Activation::relu), last};
    } else if (name == "fedavg-cnn") {
        spec.layers = {conv(32), pool(), conv(64), pool(), dense(512, Activation::relu), last};
    } else {
        std::string names;
        for (auto known : kNames) names += (names.empty() ? "" : ", ") + std::string(known);
        return fail(ErrorCode::kModelUnknown, "no model is called \"" + std::string(name) + "\"",
                    "the names are " + names + "; or list model.layers");
    }
    return spec;
}

}  // namespace gossamer::model
