#include "gossamer/model/network.hpp"

#include <algorithm>
#include <map>

#include "gossamer/base/assert.hpp"
#include "learning/model/place.hpp"

namespace gossamer::model {
namespace {

// An activation that its own output suffices to go back through runs inside the layer before it.
bool folds(LayerKind kind) {
    return kind == LayerKind::relu || kind == LayerKind::tanh || kind == LayerKind::sigmoid;
}
Activation activation_of(LayerKind kind) {
    if (kind == LayerKind::relu) return Activation::relu;
    return kind == LayerKind::tanh ? Activation::tanh : Activation::sigmoid;
}
LayerKind stage_of(Activation activation) {
    return activation == Activation::gelu ? LayerKind::gelu : LayerKind::silu;
}
bool takes_activation(LayerKind kind) {
    return kind == LayerKind::dense || kind == LayerKind::conv || kind == LayerKind::add ||
           kind == LayerKind::group_norm || kind == LayerKind::layer_norm ||
           kind == LayerKind::rms_norm;
}

// What "residual" opened and "add" has not closed: where it began, and the end of the main branch
// once "shortcut" has turned back.
struct Branch {
    int source;
    Shape shape;
    bool turned = false;
    int main = 0;
    Shape main_shape;
};

void lay_out(tensor::Layout& layout, Stage& s) {
    const std::string& n = s.name;
    switch (s.kind) {
        case LayerKind::dense:
            s.weight_offset = layout.add(n + ".weight", {s.channels, s.out_channels});
            break;
        case LayerKind::conv:
            s.weight_offset =
                layout.add(n + ".weight", {s.window, s.window, s.channels, s.out_channels});
            break;
        case LayerKind::embedding:
            s.weight_offset = layout.add(n + ".weight", {s.vocabulary, s.out_channels});
            break;
        case LayerKind::position:
            s.weight_offset = layout.add(n + ".weight", {s.width, s.channels});
            break;
        case LayerKind::lstm:
        case LayerKind::gru: {
            const std::uint32_t gates = s.groups * s.out_channels;
            s.weight_offset = layout.add(n + ".weight", {s.channels, gates});
            s.second_offset = layout.add(n + ".recurrent", {s.out_channels, gates});
            break;
        }
        case LayerKind::attention:
            s.weight_offset = layout.add(n + ".weight", {s.channels, 3 * s.channels});
            break;
        case LayerKind::factors:
            s.weight_offset = layout.add(n + ".users", {s.vocabulary, s.rank});
            s.second_offset = layout.add(n + ".items", {s.items, s.rank});
            break;
        default:
            if (s.weight_count() > 0) s.weight_offset = layout.add(n + ".weight", {s.channels});
    }
    if (s.bias_count() > 0)
        s.bias_offset = layout.add(n + ".bias", {static_cast<std::uint32_t>(s.bias_count())});
    if (s.kind == LayerKind::attention) {
        s.second_offset = layout.add(n + ".output", {s.channels, s.channels});
        s.second_bias_offset = layout.add(n + ".output_bias", {s.channels});
    }
}

}  // namespace

Result<Network> Network::create(NetworkSpec spec) {
    Network network;
    Shape shape = spec.input;
    auto layout = std::make_shared<tensor::Layout>();
    std::map<LayerKind, int> numbers;
    std::vector<Branch> open;
    int current = -1;  // the stage whose output is at hand
    auto& stages = network.stages_;
    if (shape.empty() || product_of(shape) == 0 || product_of(shape) > kFloatsMax)
        return fail(ErrorCode::kModelShape,
                    "the samples have the shape " + tensor::shape_text(shape));
    network.input_count_ = static_cast<std::size_t>(product_of(shape));
    auto place = [&](const LayerSpec& layer) -> Status {
        Stage s;
        s.kind = layer.kind, s.input = current;
        s.name = std::string(word_of(layer.kind)) + std::to_string(++numbers[layer.kind]);
        const bool branch_here = std::ranges::any_of(open, [&](const Branch& b) {
            return b.source == current || (b.turned && b.main == current);
        });
        if (folds(layer.kind) && current >= 0 && !branch_here &&
            stages.back().activation == Activation::none && takes_activation(stages.back().kind)) {
            stages.back().activation = activation_of(layer.kind);
            --numbers[layer.kind];
            return {};
        }
        switch (layer.kind) {
            case LayerKind::flatten:
                shape = {static_cast<std::uint32_t>(product_of(shape))};
                return {};
            case LayerKind::residual: open.push_back({current, shape, false, 0, {}}); return {};
            case LayerKind::shortcut:
                if (open.empty() || open.back().turned)
                    return refuse(s, "has no \"residual\" before it");
                open.back().turned = true;
                open.back().main = current, open.back().main_shape = shape;
                current = open.back().source, shape = open.back().shape;
                return {};
            case LayerKind::add: {
                if (open.empty()) return refuse(s, "has no \"residual\" before it");
                const Branch b = open.back();
                open.pop_back();
                s.input = b.turned ? b.main : current;
                s.source = b.turned ? current : b.source;
                const Shape& other = b.turned ? b.main_shape : b.shape;
                if (other != shape)
                    return refuse(s, "its two inputs have the shapes " + tensor::shape_text(other) +
                                         " and " + tensor::shape_text(shape));
                break;
            }
            default: break;
        }
        GOSSAMER_CHECK(place_layer(layer, s, shape));
        s.activation = layer.activation;
        const bool apart = s.activation == Activation::gelu || s.activation == Activation::silu;
        if (apart) s.activation = Activation::none;
        if (product_of(shape) > kFloatsMax || s.weight_count() > kFloatsMax ||
            s.second_count() > kFloatsMax)
            return refuse(s, "is too large: " + std::to_string(s.in_count()) + " to " +
                                 tensor::shape_text(shape));
        lay_out(*layout, s);
        if (layout->parameter_count() > kFloatsMax)
            return refuse(s, "the model is larger than 2^31 parameters");
        current = static_cast<int>(stages.size());
        stages.push_back(std::move(s));
        return {};
    };
    for (const LayerSpec& layer : spec.layers) {
        GOSSAMER_CHECK(place(layer));
        if (layer.activation == Activation::gelu || layer.activation == Activation::silu)
            GOSSAMER_CHECK(place({.kind = stage_of(layer.activation)}));
    }
    if (!open.empty())
        return fail(ErrorCode::kModelShape, "a \"residual\" has no \"add\" after it");
    if (layout->parameter_count() == 0)
        return fail(ErrorCode::kModelShape, "the model \"" + spec.name + "\" has no parameters",
                    "add a dense or conv layer");
    network.output_count_ = static_cast<std::size_t>(product_of(shape));
    network.layout_ = std::move(layout);
    network.spec_ = std::move(spec);
    return network;
}

}  // namespace gossamer::model
