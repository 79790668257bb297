#include <array>

#include "gossamer/model/network.hpp"

namespace gossamer::model {
namespace {

constexpr std::array<std::string_view, 11> kNames{
    "softmax-regression",  "linear-regression", "mlp-200-200", "fedavg-cnn",       "emnist-cnn",
    "autoencoder",         "resnet-8",          "resnet-18",   "shakespeare-lstm", "transformer",
    "matrix-factorization"};

using Texts = std::vector<std::string>;

std::string number(std::uint32_t n) { return std::to_string(n); }

void append(Texts& to, std::initializer_list<const char*> texts) {
    to.insert(to.end(), texts.begin(), texts.end());
}

// Two 3x3 convolutions around the values as they were (He et al. 2016), with group norm.
void residual_block(Texts& t, std::uint32_t channels, std::uint32_t groups, bool first_of_many) {
    const std::string conv = "conv " + number(channels) + " ";
    const std::string norm = "groupnorm " + number(groups);
    const std::string stride = first_of_many ? " stride 2" : "";
    t.insert(t.end(), {"residual", conv + "3x3" + stride + " same nobias", norm, "relu",
                       conv + "3x3 same nobias", norm});
    if (first_of_many) t.insert(t.end(), {"shortcut", conv + "1x1 stride 2 same nobias", norm});
    append(t, {"add", "relu"});
}

Texts residual_network(std::uint32_t channels, std::uint32_t levels, std::uint32_t blocks) {
    const std::uint32_t groups = channels / 8;
    Texts t{"conv " + number(channels) + " 3x3 same nobias", "groupnorm " + number(groups), "relu"};
    for (std::uint32_t level = 0; level < levels; ++level)
        for (std::uint32_t block = 0; block < blocks; ++block)
            residual_block(t, channels << level, groups << level, level > 0 && block == 0);
    t.push_back("globalpool");
    return t;
}

Texts transformer() {
    Texts t{"embedding 96 128", "position"};
    for (int block = 0; block < 3; ++block)
        append(t, {"residual", "layernorm", "attention 4", "add", "residual", "layernorm",
                   "dense 512 each gelu", "dense 128 each", "add"});
    return t;
}

// All but the last, dense layer.
bool body_of(std::string_view name, Texts& t) {
    if (name == "softmax-regression" || name == "linear-regression") return true;
    if (name == "mlp-200-200")
        append(t, {"dense 200 relu", "dense 200 relu"});
    else if (name == "fedavg-cnn")
        append(t, {"conv 32 5x5 same relu", "maxpool 2x2", "conv 64 5x5 same relu", "maxpool 2x2",
                   "dense 512 relu"});
    else if (name == "emnist-cnn")
        append(t, {"conv 32 3x3 valid relu", "conv 64 3x3 valid relu", "maxpool 2x2",
                   "dropout 0.25", "dense 128 relu", "dropout 0.5"});
    else if (name == "autoencoder")
        append(t, {"dense 1000 sigmoid", "dense 500 sigmoid", "dense 250 sigmoid", "dense 30",
                   "dense 250 sigmoid", "dense 500 sigmoid", "dense 1000 sigmoid"});
    else if (name == "resnet-8")
        t = residual_network(16, 3, 1);
    else if (name == "resnet-18")
        t = residual_network(64, 4, 2);
    else if (name == "shakespeare-lstm")
        append(t, {"embedding 90 8", "lstm 256", "lstm 256", "last"});
    else if (name == "transformer")
        t = transformer();
    else if (name == "matrix-factorization")
        t = {"factors 6041 3953 50"};
    else
        return false;
    return true;
}

}  // namespace

std::span<const std::string_view> zoo_names() { return kNames; }

Result<NetworkSpec> zoo(std::string_view name, std::vector<std::uint32_t> input,
                        std::uint32_t outputs) {
    NetworkSpec spec{.name = std::string(name), .input = std::move(input)};
    Texts texts;
    if (!body_of(name, texts)) {
        std::string names;
        for (auto known : kNames) names += (names.empty() ? "" : ", ") + std::string(known);
        return fail(ErrorCode::kModelUnknown, "no model is called \"" + std::string(name) + "\"",
                    "the names are " + names + "; or list model.layers");
    }
    std::string last = "dense " + number(outputs);
    if (name == "matrix-factorization") last = texts.back(), texts.pop_back();
    if (name == "transformer") last += " each";
    if (name == "autoencoder") last += " sigmoid", spec.loss = Loss::reconstruction;
    if (name == "linear-regression" || name == "matrix-factorization")
        spec.loss = Loss::mean_squared_error;
    texts.push_back(last);
    for (const auto& text : texts) {
        GOSSAMER_TRY(const auto layer, parse_layer(text));
        spec.layers.push_back(layer);
    }
    return spec;
}

}  // namespace gossamer::model
