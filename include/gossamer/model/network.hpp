// A network: a list of layers, described as plain data, and checked before anything runs.
//
// Layers have a textual form, one string each, as in model.layers of a configuration:
//   "dense 200"  "dense 200 relu"  "conv 32 5x5 same relu"  "conv 16 3x3 stride 2 valid"
//   "maxpool 2x2"  "maxpool 3x3 stride 2"  "relu"  "tanh"  "flatten"
// Samples are rows of floats; images are height x width x channels (a shape {28, 28} is taken as
// {28, 28, 1} by a convolution). A dense layer takes any shape as one row.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::model {

enum class LayerKind : std::uint8_t { dense, conv, max_pool, relu, tanh, flatten };
enum class Activation : std::uint8_t { none, relu, tanh };
enum class Padding : std::uint8_t { valid, same };
enum class Loss : std::uint8_t {
    softmax_cross_entropy,  // of labels
    mean_squared_error,     // of targets, or of labels as one-hot rows; mean over all elements
};

struct LayerSpec {
    LayerKind kind = LayerKind::dense;
    std::uint32_t units = 0;                   // outputs of dense, channels out of conv
    std::uint32_t window = 0;                  // side of the square kernel or pool
    std::uint32_t stride = 0;                  // 0: 1 for conv, the window for pools
    Padding padding = Padding::valid;          // conv; `same` with stride s gives ceil(size / s)
    Activation activation = Activation::none;  // of dense and conv

    bool operator==(const LayerSpec&) const = default;
};
// kModelShape with the text and the forms known.
Result<LayerSpec> parse_layer(std::string_view text);
std::string to_string(const LayerSpec& layer);

struct NetworkSpec {
    std::string name;                  // "mlp-200-200"; for people
    std::vector<std::uint32_t> input;  // shape of one sample
    std::vector<LayerSpec> layers;
    Loss loss = Loss::softmax_cross_entropy;

    bool operator==(const NetworkSpec&) const = default;
};

// One step of the network as it runs: activations folded into the layer before them, flatten gone.
struct Stage {
    LayerKind kind = LayerKind::dense;
    std::string name;  // "conv1"
    Activation activation = Activation::none;
    std::uint32_t height = 1, width = 1, channels = 0;  // in; dense: 1 x 1 x inputs
    std::uint32_t out_height = 1, out_width = 1, out_channels = 0;
    std::uint32_t window = 1, stride = 1, pad_top = 0, pad_left = 0;
    std::uint32_t padded_height = 0, padded_width = 0;  // of conv's input
    std::size_t weight_offset = 0, bias_offset = 0;     // in the flat parameters

    std::size_t in_count() const { return std::size_t{height} * width * channels; }
    std::size_t out_count() const { return std::size_t{out_height} * out_width * out_channels; }
    std::size_t weight_count() const;
    bool padded() const { return padded_height != height || padded_width != width; }
};

class Network {
public:
    // kModelShape, naming the layer and both shapes, when the layers do not fit.
    static Result<Network> create(NetworkSpec spec);

    const NetworkSpec& spec() const { return spec_; }
    const std::vector<Stage>& stages() const { return stages_; }
    // "dense1.weight" inputs x units, "conv1.weight" window x window x in x out, "….bias".
    const tensor::LayoutRef& layout() const { return layout_; }
    std::size_t input_count() const { return input_count_; }    // floats of a sample
    std::size_t output_count() const { return output_count_; }  // classes, or target values

    // The run's first parameters: He-uniform before ReLU, Glorot-uniform elsewhere, biases 0; the
    // same bits on every machine. REQUIRES out.size() == layout()->parameter_count().
    void initialise(std::span<float> out, RunSeed seed) const;

private:
    NetworkSpec spec_;
    std::vector<Stage> stages_;
    tensor::LayoutRef layout_;
    std::size_t input_count_ = 0, output_count_ = 0;
};

// Networks by name, for samples of this shape and this many classes (or target values):
//   softmax-regression  one dense layer
//   mlp-200-200         two hidden layers of 200, ReLU (the 2NN of McMahan et al. 2017: 199,210
//                       parameters on 28 x 28, 10 classes)
//   fedavg-cnn          two 5x5 convolutions of 32 and 64 with pools, 512 (McMahan et al. 2017:
//                       1,663,370 parameters)
// kModelUnknown lists the names.
Result<NetworkSpec> zoo(std::string_view name, std::vector<std::uint32_t> input,
                        std::uint32_t outputs);
std::span<const std::string_view> zoo_names();

}  // namespace gossamer::model
