#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "gossamer/model/network.hpp"
#include "gossamer/model/plan.hpp"

using namespace gossamer;
using namespace gossamer::model;

namespace {

Result<Network> build(std::vector<std::uint32_t> input, std::vector<const char*> layers) {
    NetworkSpec spec{.name = "test", .input = std::move(input)};
    for (auto text : layers) spec.layers.push_back(parse_layer(text).value());
    return Network::create(spec);
}

}  // namespace

TEST_CASE("The zoo has the sizes that the papers state") {
    auto count = [](const char* name, std::vector<std::uint32_t> input,
                    std::uint32_t outputs = 10) {
        return Network::create(zoo(name, std::move(input), outputs).value())
            .value()
            .layout()
            ->parameter_count();
    };
    CHECK(count("emnist-cnn", {28, 28}, 62) == 1'206'590);
    CHECK(count("emnist-cnn", {28, 28}, 10) == 1'199'882);
    CHECK(count("autoencoder", {28, 28}, 784) == 2'837'314);
    CHECK(count("shakespeare-lstm", {80}, 90) == 820'522);
    CHECK(count("resnet-18", {32, 32, 3}, 100) == 11'220'132);
    CHECK(count("resnet-8", {32, 32, 3}, 10) == 78'042);
    CHECK(count("transformer", {64}, 96) == 627'680);
    CHECK(count("linear-regression", {13}, 1) == 14);
    CHECK(count("matrix-factorization", {2}, 1) == (6041 + 3953) * 51 + 1);
    CHECK(count("softmax-regression", {28, 28}) == 7'850);
    CHECK(count("mlp-200-200", {28, 28}) == 199'210);
    CHECK(count("mlp-200-200", {784}) == 199'210);
    CHECK(count("fedavg-cnn", {28, 28}) == 1'663'370);
    CHECK(count("fedavg-cnn", {28, 28, 1}) == 1'663'370);
    const auto unknown = zoo("mlp-300", {28, 28}, 10);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().code == ErrorCode::kModelUnknown);
    for (auto name : zoo_names()) CHECK(unknown.error().hint.find(name) != std::string::npos);
}

TEST_CASE("The layout names tensors as people expect them") {
    const auto net = Network::create(zoo("fedavg-cnn", {28, 28}, 10).value()).value();
    const auto* weight = net.layout()->find("conv2.weight");
    REQUIRE(weight);
    CHECK(weight->shape == std::vector<std::uint32_t>{5, 5, 32, 64});
    const auto* dense = net.layout()->find("dense1.weight");
    REQUIRE(dense);
    CHECK(dense->shape == std::vector<std::uint32_t>{3136, 512});
    CHECK(net.layout()->find("dense2.bias")->count == 10);
    CHECK(net.output_count() == 10);
}

TEST_CASE("Layers read as they are written") {
    for (const char* text : {"dense 200",
                             "dense 200 relu",
                             "dense 7 tanh",
                             "conv 32 5x5 same relu",
                             "conv 16 3x3 stride 2 valid",
                             "maxpool 2x2",
                             "maxpool 3x3 stride 1",
                             "relu",
                             "tanh",
                             "flatten",
                             "dense 90 each",
                             "dense 5 gelu nobias",
                             "conv 8 1x1 stride 2 same nobias",
                             "avgpool 2x2",
                             "globalpool",
                             "groupnorm 8",
                             "layernorm",
                             "rmsnorm",
                             "dropout 0.25",
                             "sigmoid",
                             "silu",
                             "embedding 90 8",
                             "position",
                             "lstm 256",
                             "gru 3",
                             "last",
                             "attention 4",
                             "residual",
                             "shortcut",
                             "add",
                             "factors 943 1682 16"}) {
        const auto layer = parse_layer(text);
        REQUIRE(layer);
        CHECK(to_string(*layer) == text);
        CHECK(parse_layer(to_string(*layer)).value() == *layer);
    }
    CHECK(parse_layer("conv 32 5 same").value() == parse_layer("conv 32  5x5 same").value());
    for (const char* text : {"",
                             " ",
                             "dense",
                             "dense 0",
                             "dense -3",
                             "dense 2000000",
                             "dense 20 gelo",
                             "conv 32",
                             "conv 32 5x4",
                             "conv 32 5x5 stride",
                             "maxpool 2x2 relu",
                             "relu 3",
                             "dense 20 stride 2",
                             "lstm",
                             "lstm 20 relu",
                             "dropout 1",
                             "dropout -0.1",
                             "embedding 9",
                             "attention 0",
                             "factors 943 1682",
                             "factors 943 0 3",
                             "maxpool 2x2 each",
                             "dense 99999999999999999999",
                             "dense 20x"}) {
        CAPTURE(text);
        const auto layer = parse_layer(text);
        REQUIRE_FALSE(layer);
        CHECK(layer.error().code == ErrorCode::kModelShape);
    }
}

TEST_CASE("Layers that do not fit are named with their shapes before anything starts") {
    const auto flat = build({784}, {"dense 100", "conv 8 3x3"});
    REQUIRE_FALSE(flat);
    CHECK(flat.error().code == ErrorCode::kModelShape);
    CHECK(flat.error().what.find("conv1") != std::string::npos);
    CHECK(flat.error().what.find("100") != std::string::npos);
    const auto small = build({6, 6}, {"maxpool 2x2", "conv 8 3x3 valid", "maxpool 2x2", "dense 3"});
    REQUIRE_FALSE(small);
    CHECK(small.error().what.find("maxpool2") != std::string::npos);
    CHECK(small.error().what.find("2x2") != std::string::npos);
    CHECK(small.error().what.find("1x1x8") != std::string::npos);
    CHECK_FALSE(build({28, 28}, {"relu", "flatten"}));
    CHECK_FALSE(build({0, 28}, {"dense 3"}));
    CHECK_FALSE(build({}, {"dense 3"}));
    CHECK_FALSE(build({1u << 20, 1u << 20}, {"dense 3"}));
    CHECK_FALSE(build({1'000'000}, {"dense 1000000"}));
    NetworkSpec raw{.name = "raw", .input = {4, 4}, .layers = {{.kind = LayerKind::conv}}};
    CHECK_FALSE(Network::create(raw));
}

TEST_CASE("Activations fold into the layer before them and flatten costs nothing") {
    const auto a = build({8, 8}, {"conv 4 3x3 same", "relu", "flatten", "dense 3", "tanh"});
    REQUIRE(a);
    CHECK(a->stages().size() == 2);
    CHECK(a->stages()[0].activation == Activation::relu);
    CHECK(a->stages()[1].activation == Activation::tanh);
}

TEST_CASE("The first parameters depend on the seed alone and have the right spread") {
    const auto net = Network::create(zoo("mlp-200-200", {784}, 10).value()).value();
    std::vector<float> a(net.layout()->parameter_count()), b(a.size()), c(a.size());
    net.initialise(a, RunSeed{1});
    net.initialise(b, RunSeed{1});
    net.initialise(c, RunSeed{2});
    CHECK(a == b);
    CHECK(a != c);
    // dense1 feeds a ReLU: He, variance 2 / fan-in. dense3 does not: Glorot.
    auto variance = [&](const char* name) {
        const auto* t = net.layout()->find(name);
        double sum = 0;
        for (std::size_t i = 0; i < t->count; ++i) sum += std::pow(a[t->offset + i], 2);
        return sum / double(t->count);
    };
    CHECK(variance("dense1.weight") == doctest::Approx(2.0 / 784).epsilon(0.02));
    CHECK(variance("dense3.weight") == doctest::Approx(2.0 / 210).epsilon(0.1));
    CHECK(variance("dense1.bias") == 0);
    // The same bits on every machine: the sum of all bits, once recorded.
    std::uint64_t bits = 0;
    for (float v : a) {
        std::uint32_t word = 0;
        std::memcpy(&word, &v, sizeof word);
        bits = bits * 1099511628211ull + word;
    }
    CHECK(bits == 9815851476646077319ull);
}

TEST_CASE("The loader finds one of the builds of the maths library") {
    const std::string set = maths_instruction_set();
    MESSAGE("instruction set ", set);
    CHECK((set == "x86-64" || set == "x86-64-v3" || set == "x86-64-v4" || set == "aarch64"));
}
