#include "gossamer/model/network.hpp"

#include <array>
#include <cmath>
#include <map>

#include "gossamer/base/assert.hpp"

namespace gossamer::model {
namespace {

using Shape = std::vector<std::uint32_t>;

constexpr std::uint64_t kFloatsMax = std::uint64_t{1} << 31;  // of one sample, or of the parameters

// {28, 28} is an image of one channel; {784} is none.
bool is_image(const Shape& shape) { return shape.size() == 2 || shape.size() == 3; }

std::uint64_t product_of(const Shape& shape) {
    std::uint64_t product = 1;
    for (auto n : shape) product = product > kFloatsMax ? product : product * n;
    return product;
}

std::string_view word_of(LayerKind kind) {
    constexpr std::array<std::string_view, 6> kWords{"dense", "conv", "maxpool",
                                                     "relu",  "tanh", "flatten"};
    return kWords[static_cast<std::size_t>(kind)];
}

tl::unexpected<Error> refuse(const Stage& s, const std::string& why) {
    return fail(ErrorCode::kModelShape, s.name + ": " + why);
}

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

Activation activation_of(LayerKind kind) {
    return kind == LayerKind::relu ? Activation::relu : Activation::tanh;
}

}  // namespace

std::size_t Stage::weight_count() const {
    if (kind == LayerKind::dense) return in_count() * out_channels;
    if (kind == LayerKind::conv) return std::size_t{window} * window * channels * out_channels;
    return 0;
}

Result<Network> Network::create(NetworkSpec spec) {
    Network network;
    Shape shape = spec.input;
    auto layout = std::make_shared<tensor::Layout>();
    std::map<LayerKind, int> numbers;
    if (shape.empty() || product_of(shape) == 0 || product_of(shape) > kFloatsMax)
        return fail(ErrorCode::kModelShape,
                    "the samples have the shape " + tensor::shape_text(shape));
    network.input_count_ = static_cast<std::size_t>(product_of(shape));
    for (const LayerSpec& layer : spec.layers) {
        Stage s;
        s.kind = layer.kind, s.activation = layer.activation;
        s.name = std::string(word_of(layer.kind)) + std::to_string(++numbers[layer.kind]);
        auto* before = network.stages_.empty() ? nullptr : &network.stages_.back();
        switch (layer.kind) {
            case LayerKind::flatten:
                shape = {static_cast<std::uint32_t>(product_of(shape))};
                continue;
            case LayerKind::relu:
            case LayerKind::tanh:
                if (before && before->weight_count() > 0 &&
                    before->activation == Activation::none) {
                    before->activation = activation_of(layer.kind);
                    continue;
                }
                s.channels = s.out_channels = static_cast<std::uint32_t>(product_of(shape));
                break;
            case LayerKind::dense:
                if (layer.units == 0) return refuse(s, "has no outputs");
                s.channels = static_cast<std::uint32_t>(product_of(shape));
                s.out_channels = layer.units;
                shape = {layer.units};
                break;
            case LayerKind::conv:
            case LayerKind::max_pool: GOSSAMER_CHECK(place_window(layer, s, shape)); break;
        }
        if (product_of(shape) > kFloatsMax || s.weight_count() > kFloatsMax)
            return refuse(s, "is too large: " + std::to_string(s.in_count()) + " to " +
                                 tensor::shape_text(shape));
        if (layer.kind == LayerKind::dense)
            s.weight_offset = layout->add(s.name + ".weight", {s.channels, s.out_channels});
        if (layer.kind == LayerKind::conv)
            s.weight_offset =
                layout->add(s.name + ".weight", {s.window, s.window, s.channels, s.out_channels});
        if (s.weight_count() > 0) s.bias_offset = layout->add(s.name + ".bias", {s.out_channels});
        if (layout->parameter_count() > kFloatsMax)
            return refuse(s, "the model is larger than 2^31 parameters");
        network.stages_.push_back(std::move(s));
    }
    if (layout->parameter_count() == 0)
        return fail(ErrorCode::kModelShape, "the model \"" + spec.name + "\" has no parameters",
                    "add a dense or conv layer");
    network.output_count_ = static_cast<std::size_t>(product_of(shape));
    network.layout_ = std::move(layout);
    network.spec_ = std::move(spec);
    return network;
}

void Network::initialise(std::span<float> out, RunSeed seed) const {
    GOSSAMER_ASSERT(out.size() == layout_->parameter_count(), "one float a parameter");
    for (std::size_t i = 0; i < stages_.size(); ++i) {
        const Stage& s = stages_[i];
        const std::size_t count = s.weight_count();
        if (count == 0) continue;
        const double fan_in = double(count) / s.out_channels;
        const double fan_out = s.kind == LayerKind::conv
                                   ? double(s.window) * s.window * s.out_channels
                                   : double(s.out_channels);
        const double fan = s.activation == Activation::relu ? fan_in : fan_in + fan_out;
        const double limit = std::sqrt(6.0 / fan);
        RngStream draws = stream(seed, Purpose::model_init, i);
        for (float& w : out.subspan(s.weight_offset, count))
            w = static_cast<float>((2.0 * draws.uniform() - 1.0) * limit);
        for (float& b : out.subspan(s.bias_offset, s.out_channels)) b = 0;
    }
}

}  // namespace gossamer::model
