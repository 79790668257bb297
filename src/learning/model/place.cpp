#include "learning/model/place.hpp"

#include <array>

namespace gossamer::model {
namespace {

// {28, 28} is an image of one channel; {784} is none.
bool is_image(const Shape& shape) { return shape.size() == 2 || shape.size() == 3; }

// Sizes along one side: input, padded input, border before, output.
struct Side {
    std::uint32_t padded, before, out;
};
Side side_of(std::uint32_t size, const LayerSpec& layer, std::uint32_t stride) {
    if (layer.padding == Padding::valid)
        return {size, 0, size < layer.window ? 0 : (size - layer.window) / stride + 1};
    const std::uint32_t out = (size + stride - 1) / stride;
    const std::uint32_t needed = (out - 1) * stride + layer.window;
    const std::uint32_t border = needed > size ? needed - size : 0;
    return {size + border, border / 2, out};
}

// Fills in a layer with a window; `shape` becomes its output's.
Status place_window(const LayerSpec& layer, Stage& s, Shape& shape) {
    if (!is_image(shape))
        return refuse(
            s, "needs height x width x channels, but its input is " + tensor::shape_text(shape));
    if (shape.size() == 2) shape.push_back(1);
    const bool conv = layer.kind == LayerKind::conv;
    s.height = shape[0], s.width = shape[1], s.channels = shape[2];
    s.window = layer.window;
    s.stride = layer.stride != 0 ? layer.stride : conv ? 1 : layer.window;
    if (s.window == 0 || (conv && layer.units == 0))
        return refuse(s, "has no window or no outputs");
    const Side vertical = side_of(s.height, layer, s.stride);
    const Side horizontal = side_of(s.width, layer, s.stride);
    const std::string window = std::to_string(s.window) + "x" + std::to_string(s.window);
    if (vertical.out == 0 || horizontal.out == 0)
        return refuse(
            s, "its window " + window + " is larger than its input " + tensor::shape_text(shape));
    s.padded_height = vertical.padded, s.padded_width = horizontal.padded;
    s.pad_top = vertical.before, s.pad_left = horizontal.before;
    s.out_height = vertical.out, s.out_width = horizontal.out;
    s.out_channels = conv ? layer.units : s.channels;
    shape = {s.out_height, s.out_width, s.out_channels};
    return {};
}

// Samples are a user and an item; what may follow (a time) is not read.
Status place_factors(const LayerSpec& layer, Stage& s, Shape& shape) {
    if (s.input >= 0) return refuse(s, "must be the first layer");
    if (layer.units == 0 || layer.vocabulary == 0 || layer.items == 0)
        return refuse(s, "has no users, items or rank");
    if (product_of(shape) < 2)
        return refuse(
            s, "needs a user and an item a sample, but its input is " + tensor::shape_text(shape));
    s.channels = static_cast<std::uint32_t>(product_of(shape));
    s.vocabulary = layer.vocabulary, s.items = layer.items, s.rank = layer.units;
    s.out_channels = 1;
    shape = {1};
    return {};
}

// Positions x channels: everything but the last extent numbers positions.
void place_rows(Stage& s, const Shape& shape, std::uint32_t out_channels) {
    s.channels = shape.back(), s.out_channels = out_channels;
    s.height = s.out_height = 1;
    s.width = s.out_width = static_cast<std::uint32_t>(product_of(shape) / shape.back());
}

Status place_sequence(const LayerSpec& layer, Stage& s, Shape& shape) {
    if (shape.size() != 2)
        return refuse(s, "needs steps x channels, but its input is " + tensor::shape_text(shape));
    place_rows(s, shape, shape[1]);
    switch (layer.kind) {
        case LayerKind::lstm:
        case LayerKind::gru:
            if (layer.units == 0) return refuse(s, "has no outputs");
            s.groups = layer.kind == LayerKind::lstm ? 4 : 3;  // gates
            s.out_channels = shape[1] = layer.units;
            break;
        case LayerKind::last:
            s.out_width = 1;
            shape = {shape[1]};
            break;
        case LayerKind::attention:
            if (layer.units == 0 || shape[1] % layer.units != 0)
                return refuse(s, std::to_string(layer.units) +
                                     " heads do not divide the channels of " +
                                     tensor::shape_text(shape));
            s.groups = layer.units;
            break;
        default: break;  // position
    }
    return {};
}

Status place_norm(const LayerSpec& layer, Stage& s, const Shape& shape) {
    place_rows(s, shape, shape.back());
    s.groups = layer.kind == LayerKind::group_norm ? layer.units : 1;
    if (s.groups == 0 || s.channels % s.groups != 0)
        return refuse(s, std::to_string(s.groups) + " groups do not divide the channels of " +
                             tensor::shape_text(shape));
    return {};
}

Status place_embedding(const LayerSpec& layer, Stage& s, Shape& shape) {
    if (s.input >= 0) return refuse(s, "must be the first layer");
    if (layer.units == 0 || layer.vocabulary == 0) return refuse(s, "has no outputs");
    s.height = s.out_height = 1, s.channels = 1;
    s.width = s.out_width = static_cast<std::uint32_t>(product_of(shape));
    s.out_channels = layer.units, s.vocabulary = layer.vocabulary;
    shape = {s.width, layer.units};
    return {};
}

void place_flat(Stage& s, const Shape& shape, std::uint32_t out) {
    s.channels = static_cast<std::uint32_t>(product_of(shape));
    s.out_channels = out;
}

}  // namespace

std::uint64_t product_of(const Shape& shape) {
    std::uint64_t product = 1;
    for (auto n : shape) product = product > kFloatsMax ? product : product * n;
    return product;
}

std::string_view word_of(LayerKind kind) {
    constexpr std::array<std::string_view, 25> kWords{
        "dense",      "conv",      "maxpool",   "relu",    "tanh",    "flatten", "avgpool",
        "globalpool", "groupnorm", "layernorm", "rmsnorm", "dropout", "sigmoid", "gelu",
        "silu",       "embedding", "position",  "lstm",    "gru",     "last",    "attention",
        "residual",   "shortcut",  "add",       "factors"};
    return kWords[static_cast<std::size_t>(kind)];
}

tl::unexpected<Error> refuse(const Stage& s, const std::string& why) {
    return fail(ErrorCode::kModelShape, s.name + ": " + why);
}

Status place_layer(const LayerSpec& layer, Stage& s, Shape& shape) {
    s.rate = layer.rate, s.biased = layer.biased;
    switch (layer.kind) {
        case LayerKind::dense:
            if (layer.units == 0) return refuse(s, "has no outputs");
            s.rank = layer.rank;
            if (layer.rank > 0)
                s.adapter_scale = layer.alpha > 0 ? layer.alpha / float(layer.rank) : 1.0f;
            if (layer.each) {
                place_rows(s, shape, layer.units);
                shape.back() = layer.units;
            } else {
                place_flat(s, shape, layer.units);
                shape = {layer.units};
            }
            return {};
        case LayerKind::conv:
        case LayerKind::max_pool:
        case LayerKind::average_pool: return place_window(layer, s, shape);
        case LayerKind::global_pool:
            place_rows(s, shape, shape.back());
            s.out_width = 1;
            shape = {s.channels};
            return {};
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: return place_norm(layer, s, shape);
        case LayerKind::embedding: return place_embedding(layer, s, shape);
        case LayerKind::factors: return place_factors(layer, s, shape);
        case LayerKind::position:
        case LayerKind::lstm:
        case LayerKind::gru:
        case LayerKind::last:
        case LayerKind::attention: return place_sequence(layer, s, shape);
        case LayerKind::dropout:
            if (!(layer.rate >= 0 && layer.rate < 1)) return refuse(s, "its rate is not in [0, 1)");
            break;
        default: break;
    }
    place_flat(s, shape, static_cast<std::uint32_t>(product_of(shape)));
    return {};
}

std::size_t Stage::weight_count() const {
    switch (kind) {
        case LayerKind::dense: return std::size_t{channels} * out_channels;
        case LayerKind::conv: return std::size_t{window} * window * channels * out_channels;
        case LayerKind::embedding: return std::size_t{vocabulary} * out_channels;
        case LayerKind::position: return in_count();
        case LayerKind::factors: return std::size_t{vocabulary} * rank;
        case LayerKind::lstm:
        case LayerKind::gru: return std::size_t{channels} * groups * out_channels;
        case LayerKind::attention: return 3 * std::size_t{channels} * channels;
        case LayerKind::group_norm:
        case LayerKind::layer_norm:
        case LayerKind::rms_norm: return channels;
        default: return 0;
    }
}

std::size_t Stage::bias_count() const {
    switch (kind) {
        case LayerKind::dense:
        case LayerKind::conv: return biased ? out_channels : 0;
        case LayerKind::lstm:
        case LayerKind::gru: return std::size_t{groups} * out_channels;
        case LayerKind::attention: return 3 * std::size_t{channels};
        case LayerKind::factors: return std::size_t{vocabulary} + items + 1;
        case LayerKind::group_norm:
        case LayerKind::layer_norm: return channels;
        default: return 0;
    }
}

std::size_t Stage::second_count() const {
    if (kind == LayerKind::attention) return std::size_t{channels} * channels;
    if (kind == LayerKind::factors) return std::size_t{items} * rank;
    if (kind == LayerKind::lstm || kind == LayerKind::gru)
        return std::size_t{out_channels} * groups * out_channels;
    return 0;
}

}  // namespace gossamer::model
