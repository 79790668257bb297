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

// "dense*.bias" against "dense1.bias": * stands for any letters, also none.
bool matches(std::string_view pattern, std::string_view name) {
    const std::size_t star = pattern.find('*');
    if (star == std::string_view::npos) return pattern == name;
    if (!name.starts_with(pattern.substr(0, star))) return false;
    pattern.remove_prefix(star + 1), name.remove_prefix(star);
    for (std::size_t skip = 0; skip <= name.size(); ++skip)
        if (matches(pattern, name.substr(skip))) return true;
    return false;
}

// Puts tensors into the whole layout, and into the learnt or the frozen one.
struct Layouts {
    const std::vector<std::string>& trainable;
    std::shared_ptr<tensor::Layout> whole = std::make_shared<tensor::Layout>();
    std::shared_ptr<tensor::Layout> learnt = std::make_shared<tensor::Layout>();
    std::shared_ptr<tensor::Layout> frozen = std::make_shared<tensor::Layout>();
    std::vector<bool> used = std::vector<bool>(trainable.size());

    void add(Stage& s, Tensor which, std::size_t& offset, const char* name,
             std::vector<std::uint32_t> shape) {
        const std::string full = s.name + "." + name;
        bool learns = trainable.empty();
        for (std::size_t i = 0; i < trainable.size(); ++i)
            if (matches(trainable[i], full)) learns = used[i] = true;
        whole->add(full, shape);
        s.tensors |= which;
        if (!learns) s.frozen |= which;
        offset = (learns ? learnt : frozen)->add(full, std::move(shape));
    }
};

std::string names_of(const tensor::Layout& layout) {
    std::string names;
    for (const auto& t : layout.tensors()) names += (names.empty() ? "" : ", ") + t.name;
    return names;
}

void lay_out(Layouts& to, Stage& s) {
    auto weight = [&](const char* name, std::vector<std::uint32_t> shape) {
        to.add(s, weight_tensor, s.weight_offset, name, std::move(shape));
    };
    auto second = [&](const char* name, std::vector<std::uint32_t> shape) {
        to.add(s, second_tensor, s.second_offset, name, std::move(shape));
    };
    const std::uint32_t gates = s.groups * s.out_channels;
    switch (s.kind) {
        case LayerKind::dense: weight("weight", {s.channels, s.out_channels}); break;
        case LayerKind::conv:
            weight("weight", {s.window, s.window, s.channels, s.out_channels});
            break;
        case LayerKind::embedding: weight("weight", {s.vocabulary, s.out_channels}); break;
        case LayerKind::position: weight("weight", {s.width, s.channels}); break;
        case LayerKind::lstm:
        case LayerKind::gru:
            weight("weight", {s.channels, gates});
            second("recurrent", {s.out_channels, gates});
            break;
        case LayerKind::attention: weight("weight", {s.channels, 3 * s.channels}); break;
        case LayerKind::factors:
            weight("users", {s.vocabulary, s.rank});
            second("items", {s.items, s.rank});
            break;
        default:
            if (s.weight_count() > 0) weight("weight", {s.channels});
    }
    if (s.bias_count() > 0)
        to.add(s, bias_tensor, s.bias_offset, "bias", {static_cast<std::uint32_t>(s.bias_count())});
    if (s.adapted()) {
        to.add(s, adapter_a_tensor, s.adapter_a_offset, "adapter_a", {s.channels, s.rank});
        to.add(s, adapter_b_tensor, s.adapter_b_offset, "adapter_b", {s.rank, s.out_channels});
    }
    if (s.kind == LayerKind::attention) {
        second("output", {s.channels, s.channels});
        to.add(s, second_bias_tensor, s.second_bias_offset, "output_bias", {s.channels});
    }
}

}  // namespace

Result<Network> Network::create(NetworkSpec spec) {
    Network network;
    Shape shape = spec.input;
    Layouts layouts{spec.trainable};
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
        lay_out(layouts, s);
        if (layouts.whole->parameter_count() > kFloatsMax)
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
    for (std::size_t i = 0; i < spec.trainable.size(); ++i)
        if (!layouts.used[i])
            return fail(ErrorCode::kModelShape,
                        "model.trainable: no tensor is called \"" + spec.trainable[i] + "\"",
                        "the model has " + names_of(*layouts.whole));
    if (layouts.whole->parameter_count() == 0)
        return fail(ErrorCode::kModelShape, "the model \"" + spec.name + "\" has no parameters",
                    "add a dense or conv layer");
    network.output_count_ = static_cast<std::size_t>(product_of(shape));
    network.layout_ = std::move(layouts.learnt);
    network.whole_layout_ = std::move(layouts.whole);
    if (layouts.frozen->parameter_count() > 0) network.frozen_layout_ = std::move(layouts.frozen);
    network.spec_ = std::move(spec);
    return network;
}

}  // namespace gossamer::model
