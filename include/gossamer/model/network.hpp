// A network: a list of layers, described as plain data, and checked before anything runs.
//
// Layers have a textual form, one string each, as in model.layers of a configuration:
//   "dense 200 lora 8"  "dense 200 relu lora 8 alpha 16" (with a low-rank adapter, see below)
//   "dense 200"  "dense 200 relu"  "dense 90 each" (at every position)  "dense 64 nobias"
//   "conv 32 5x5 same relu"  "conv 16 3x3 stride 2 valid nobias"
//   "maxpool 2x2"  "maxpool 3x3 stride 2"  "avgpool 2x2"  "globalpool"
//   "groupnorm 8"  "layernorm"  "rmsnorm"  "dropout 0.25"  "flatten"
//   "relu"  "tanh"  "sigmoid"  "gelu"  "silu" (alone, or after dense, conv, norms and add)
//   "embedding 90 8" (first: numbers below 90 become 8 values)  "position" (adds learned places)
//   "factors 943 1682 16" (alone: two numbers below 943 and 1682 become one value)
//   "lstm 256"  "gru 128"  "last" (the last step alone)  "attention 4" (causal, 4 heads)
//   "residual" … "add": the values at "residual" are added to those before "add". Layers between
//   "shortcut" and "add" work on the values at "residual" instead: "residual", "conv 64 3x3 same",
//   "shortcut", "conv 64 1x1", "add".
// Samples are rows of floats; images are height x width x channels (a shape {28, 28} is taken as
// {28, 28, 1} by a convolution), sequences steps x channels. Plain dense takes any shape as a row.
//
// A low-rank adapter (Hu et al. 2021) adds alpha/rank · x·A·B to x·W: "dense1.adapter_a" is drawn,
// "dense1.adapter_b" begins as zeros, and alpha is the rank unless said. It is of use where W is
// frozen: spec.trainable names what is learnt, and with it exchanged; all else rests on a base
// model, which all members of a run must share.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::model {

enum class LayerKind : std::uint8_t {
    dense,
    conv,
    max_pool,
    relu,
    tanh,
    flatten,
    average_pool,
    global_pool,
    group_norm,
    layer_norm,
    rms_norm,
    dropout,
    sigmoid,
    gelu,
    silu,
    embedding,
    position,
    lstm,
    gru,
    last,
    attention,
    residual,
    shortcut,
    add,
    factors,  // matrix factorisation: user · item + biases
};
enum class Activation : std::uint8_t { none, relu, tanh, sigmoid, gelu, silu };
enum class Padding : std::uint8_t { valid, same };
enum class Loss : std::uint8_t {
    softmax_cross_entropy,  // of labels
    mean_squared_error,     // of targets, or of labels as one-hot rows; mean over all elements
    sigmoid_cross_entropy,  // likewise: every output a yes or no of its own
    reconstruction,         // mean squared error against the sample itself
};

// Whether an output is right or wrong, so that there is an accuracy; `targets`: instead of labels.
inline bool knows_answers(Loss loss, bool targets) {
    return loss != Loss::reconstruction && !targets;
}

struct LayerSpec {
    LayerKind kind = LayerKind::dense;
    std::uint32_t units = 0;           // outputs of dense, channels out of conv, groups, heads
    std::uint32_t window = 0;          // side of the square kernel or pool
    std::uint32_t stride = 0;          // 0: 1 for conv, the window for pools
    Padding padding = Padding::valid;  // conv; `same` with stride s gives ceil(size / s)
    Activation activation = Activation::none;  // of dense and conv
    std::uint32_t vocabulary = 0;              // of embedding: numbers known; of factors: users
    std::uint32_t items = 0;                   // of factors
    float rate = 0;                            // of dropout: share of values left out
    std::uint32_t rank = 0;                    // of dense: its adapter's; 0: it has none
    float alpha = 0;                           // 0: the rank
    bool biased = true;                        // dense, conv
    bool each = false;                         // dense: at every position, not on the whole

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
    // Names of the tensors that are learnt, with * for any letters; empty: all.
    std::vector<std::string> trainable;

    bool operator==(const NetworkSpec&) const = default;
};

// A stage's tensors, as bits.
enum Tensor : std::uint8_t {
    weight_tensor = 1,
    bias_tensor = 2,
    second_tensor = 4,
    second_bias_tensor = 8,
    adapter_a_tensor = 16,
    adapter_b_tensor = 32,
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
    // In the flat parameters or, of a frozen tensor, in the frozen values.
    std::size_t weight_offset = 0, bias_offset = 0;
    // Recurrent weights [units, gates]; of attention: the projection after it, and its bias; of
    // factors: [items, rank].
    std::size_t second_offset = 0, second_bias_offset = 0;
    std::size_t adapter_a_offset = 0, adapter_b_offset = 0;  // [in, rank], [rank, out]
    std::uint8_t frozen = 0;                                 // tensors that are not learnt
    std::uint8_t tensors = 0;                                // those there are
    std::uint32_t vocabulary = 0, groups = 0;                // groups of a norm, heads of attention
    std::uint32_t items = 0, rank = 0;                       // of factors; rank of an adapter
    float adapter_scale = 0;                                 // alpha / rank
    float rate = 0;
    bool biased = false;
    int input = -1;         // the stage whose output this one reads; -1: the sample
    int source = kNoStage;  // of add: the stage whose output is added
    static constexpr int kNoStage = -2;

    std::size_t rows() const { return std::size_t{height} * width; }
    std::size_t in_count() const { return std::size_t{height} * width * channels; }
    std::size_t out_count() const { return std::size_t{out_height} * out_width * out_channels; }
    std::size_t weight_count() const;
    std::size_t bias_count() const;
    std::size_t second_count() const;
    std::size_t second_bias_count() const { return kind == LayerKind::attention ? channels : 0; }
    bool learns(Tensor tensor) const { return (frozen & tensor) == 0; }
    bool learns_any() const { return (tensors & ~frozen) != 0; }
    bool adapted() const { return kind == LayerKind::dense && rank > 0; }
    bool padded() const { return padded_height != height || padded_width != width; }
};

class Network {
public:
    // kModelShape, naming the layer and both shapes, when the layers do not fit, or the name in
    // spec.trainable that no tensor has.
    static Result<Network> create(NetworkSpec spec);

    const NetworkSpec& spec() const { return spec_; }
    const std::vector<Stage>& stages() const { return stages_; }
    // What is learnt and exchanged: "dense1.weight" inputs x units, "conv1.weight" window² x
    // in x out, "….bias". Where some tensors are frozen it ends with a tensor of no elements whose
    // name tells their values' identity, so that models on different bases have different layouts.
    const tensor::LayoutRef& layout() const { return layout_; }
    const tensor::LayoutRef& frozen_layout() const { return frozen_layout_; }  // null: none is
    const tensor::LayoutRef& whole_layout() const { return whole_layout_; }    // in layers' order
    std::size_t input_count() const { return input_count_; }                   // floats of a sample
    std::size_t output_count() const { return output_count_; }  // classes, or target values

    // The run's first parameters: He-uniform before ReLU, Glorot-uniform elsewhere, biases 0; the
    // same bits on every machine. REQUIRES out.size() == layout()->parameter_count().
    void initialise(std::span<float> out, RunSeed seed) const;

    // Gives frozen tensors their values and learnt ones, where `base` has them, their first, by
    // name. Errors: kModelLayout with all tensors that are missing or of another shape.
    Status rest_on(const tensor::Layout& base, std::span<const float> values,
                   tensor::BufferPool& pool);
    // Without a base: frozen tensors keep what initialise() would draw for them.
    void rest_on_draws(RunSeed seed, tensor::BufferPool& pool);
    // REQUIRES one of them, before a plan runs, where some tensors are frozen.
    const float* frozen_values() const { return frozen_ ? frozen_->floats().data() : nullptr; }
    // The whole model, in the order of whole_layout(). REQUIRES sizes of the two layouts.
    void join(std::span<float> whole, std::span<const float> learnt) const;

private:
    void draw(RunSeed seed, float* learnt, float* frozen) const;
    void mark_frozen();

    NetworkSpec spec_;
    std::vector<Stage> stages_;
    tensor::LayoutRef layout_, frozen_layout_, whole_layout_;
    std::shared_ptr<const tensor::Buffer> frozen_;  // values of frozen_layout_
    std::shared_ptr<const tensor::Buffer> first_;   // of layout_, out of a base
    std::vector<bool> from_base_;                   // which of its tensors that has
    std::size_t input_count_ = 0, output_count_ = 0;
};

// Networks by name, for samples of this shape and this many classes (or target values):
//   softmax-regression, linear-regression  one dense layer
//   mlp-200-200         two hidden layers of 200, ReLU (the 2NN of McMahan et al. 2017: 199,210
//                       parameters on 28 x 28, 10 classes)
//   fedavg-cnn          two 5x5 convolutions of 32 and 64 with pools, 512 (McMahan et al. 2017:
//                       1,663,370 parameters)
//   emnist-cnn          two 3x3 convolutions, pool, dropout, 128 (TFF; 1,206,590 for 62 classes)
//   autoencoder         1000-500-250-30-250-500-1000 (TFF; 2,837,314 on 28 x 28)
//   resnet-8, resnet-18 residual networks with group norm (resnet-18: 11,220,132 on 32 x 32 x 3,
//                       100 classes)
//   shakespeare-lstm    characters below 90, two LSTMs of 256 (820,522 for 90 outputs)
//   matrix-factorization  6,041 users x 3,953 items, the numbers of MovieLens-1M as its files have
//                       them (from 1), rank 50 and biases (509,695)
//   transformer         characters below 96, three blocks of 128 (627,680 for 96 outputs, 64 steps)
// kModelUnknown lists the names.
Result<NetworkSpec> zoo(std::string_view name, std::vector<std::uint32_t> input,
                        std::uint32_t outputs);
std::span<const std::string_view> zoo_names();

}  // namespace gossamer::model
