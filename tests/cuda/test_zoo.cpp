// Every layer and every model of the zoo on the emulated card, beside the processor. Models have
// the layers they always have; their samples are small, for the emulation takes each thread's turn.
#include <doctest/doctest.h>

#include <cmath>

#include "gossamer/training/cpu_trainer.hpp"
#include "learning/cuda/emulation.hpp"
#include "learning/cuda/network_fault.hpp"
#include "learning/training/cuda_trainer.hpp"

using namespace gossamer;
using namespace gossamer::training;

namespace {

constexpr RunSeed kSeed{31};

// What the samples of a case are.
struct Samples {
    std::vector<std::uint32_t> shape;
    std::uint32_t classes = 0, labels = 1, targets = 0;
    std::vector<std::uint32_t> entries;  // of each value: how many numbers it may be; last repeats
    std::size_t count = 7;
};

data::View view_of(const Samples& s, std::uint64_t which) {
    auto r = stream(kSeed, Purpose::user, which);
    data::Dataset::Parts parts{.name = "samples", .shape = s.shape};
    std::size_t features = 1;
    for (auto extent : s.shape) features *= extent;
    for (std::size_t i = 0; i < s.count; ++i)
        for (std::size_t f = 0; f < features; ++f)
            parts.floats.push_back(
                s.entries.empty() ? float(r.normal())
                                  : float(r.below(s.entries[std::min(f, s.entries.size() - 1)])));
    for (std::size_t i = 0; i < s.count * s.labels && s.targets == 0; ++i)
        parts.labels.push_back(s.labels > 1 && i % 5 == 0 ? -1 : std::int32_t(r.below(s.classes)));
    for (std::size_t i = 0; i < s.count * s.targets; ++i)
        parts.targets.push_back(float(r.normal()));
    parts.class_count = s.classes, parts.label_count = s.labels, parts.target_count = s.targets;
    auto made = data::Dataset::make(std::move(parts));
    REQUIRE_MESSAGE(made, (made ? "" : made.error().to_string()));
    return data::View::all(std::move(*made));
}

double apart(std::span<const float> a, std::span<const float> b) {
    double sum = 0, size = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += std::pow(double(a[i]) - b[i], 2), size += std::pow(double(b[i]), 2);
    return std::sqrt(sum / size);
}

// Two batches, the second of them not full, on either (three samples: one batch); the deltas agree
// to `tolerance` of their length, losses and evaluations to a tenth of that. Turned: once more with
// threads, blocks and branches in the other order.
void compare(const model::NetworkSpec& spec, const Samples& samples, double tolerance,
             OptimiserSpec optimiser = {}, double rate = 0.1, bool turned = true) {
    CAPTURE(spec.name);
    auto pool = tensor::BufferPool::create(1 << 26);
    auto network = model::Network::create(spec);
    REQUIRE_MESSAGE(network, (network ? "" : network.error().to_string()));
    network->rest_on_draws(RunSeed{77}, *pool);
    TrainingConfig config;
    config.optimiser = optimiser, config.schedule.rate = rate, config.batch_size = 4;
    auto plans = std::make_shared<PlanStock>(*network, config.batch_size, pool);
    const auto train = view_of(samples, 1), test = view_of(samples, 2);
    auto processor = CpuTrainer::create(plans, train, test, config);
    REQUIRE_MESSAGE(processor, (processor ? "" : processor.error().to_string()));
    auto card = CudaTrainer::create(cuda::emulation(), 0, *processor, *network, train, test);
    REQUIRE_MESSAGE(card, (card ? "" : card.error().to_string()));
    auto first = pool->take_floats((*processor)->layout()->parameter_count());
    (*processor)->initialise(first.floats(), kSeed);
    const auto start = tensor::Model::of((*processor)->layout(), std::move(first));
    const auto trained = [&](Trainer& trainer) {
        TrainRequest r;
        r.start = start, r.round = 1, r.who = PeerId::of_number(4), r.seed = kSeed;
        r.epochs = 1, r.product = Product::delta;
        auto product = trainer.train(std::move(r), *pool);
        REQUIRE_MESSAGE(product, (product ? "" : product.error().to_string()));
        return std::move(*product);
    };
    const auto wanted = trained(**processor), got = trained(**card);
    CHECK(apart(got.weights.floats(), wanted.weights.floats()) < tolerance);
    CHECK(got.loss == doctest::Approx(wanted.loss).epsilon(tolerance / 10));
    const auto a = (*processor)->evaluate(start.values(), EvaluationSet::test, {});
    const auto b = (*card)->evaluate(start.values(), EvaluationSet::test, {});
    REQUIRE(a);
    REQUIRE(b);
    CHECK(b->loss == doctest::Approx(a->loss).epsilon(tolerance / 10));
    CHECK((b->accuracy == a->accuracy || (std::isnan(a->accuracy) && std::isnan(b->accuracy))));
    if (!turned) return;
    cuda::emulate_backwards(true);
    const auto backwards = trained(**card);
    cuda::emulate_backwards(false);
    CHECK(std::ranges::equal(got.weights.floats(), backwards.weights.floats()));
    CHECK(got.loss == backwards.loss);
}

model::NetworkSpec network_of(std::vector<std::uint32_t> input, std::vector<const char*> layers) {
    model::NetworkSpec spec{.name = layers.front(), .input = std::move(input)};
    for (auto text : layers) spec.layers.push_back(model::parse_layer(text).value());
    return spec;
}

}  // namespace

TEST_CASE("each layer learns on the card what it learns on the processor") {
    const Samples images{.shape = {6, 6, 4}, .classes = 3};
    for (const auto& layers : std::vector<std::vector<const char*>>{
             {"conv 8 3x3 same", "groupnorm 4", "relu", "dense 3"},
             {"layernorm", "dense 12", "rmsnorm", "tanh", "dense 3"},
             {"dense 12 gelu", "dense 9 silu", "dense 3"},
             {"residual", "conv 4 3x3 same relu", "groupnorm 2", "add", "relu", "dense 3"},
             {"conv 6 3x3 same", "residual", "conv 8 3x3 stride 2 same", "shortcut",
              "conv 8 1x1 stride 2 same", "add", "silu", "avgpool 3x3", "dense 3"},
             {"conv 6 3x3 same relu", "residual", "residual", "dense 6 each tanh", "add", "add",
              "dropout 0.4", "globalpool", "dense 3"}}) {
        compare(network_of(images.shape, layers), images, 2e-5);
        compare(network_of(images.shape, layers), images, 2e-4,
                {.kind = OptimiserKind::adamw, .clip_norm = 0.5}, 0.01);
    }
    const Samples words{.shape = {9}, .classes = 5, .entries = {11}};
    for (const auto& layers : std::vector<std::vector<const char*>>{
             {"embedding 11 6", "lstm 7", "last", "dense 5"},
             {"embedding 11 6", "gru 7", "gru 5", "last", "dense 5"},
             {"embedding 11 6", "position", "attention 3", "layernorm", "dense 5"},
             {"embedding 11 8", "residual", "attention 2", "lstm 8", "add", "last", "dense 5"}}) {
        compare(network_of(words.shape, layers), words, 2e-5);
        // Not Adam, which makes steps of rounding where a gradient is 0, as of a key's bias.
        compare(network_of(words.shape, layers), words, 2e-5, {.momentum = 0.9, .clip_norm = 0.5});
    }
    // A label at each position, some of them padding.
    const Samples tagged{.shape = {9}, .classes = 5, .labels = 9, .entries = {11}};
    compare(network_of(tagged.shape, {"embedding 11 6", "gru 7", "dense 5 each"}), tagged, 2e-5);
    const Samples sequences{.shape = {5, 3}, .classes = 4};
    compare(network_of(sequences.shape, {"lstm 6", "attention 2", "last", "dense 4"}), sequences,
            2e-5);
}

TEST_CASE("every model of the zoo learns on the card what it learns on the processor") {
    const Samples rows{.shape = {12}, .classes = 4}, images{.shape = {12, 12, 1}, .classes = 5};
    const Samples colours{.shape = {8, 8, 3}, .classes = 10, .count = 5};
    const std::vector<std::pair<std::string, Samples>> cases{
        {"softmax-regression", rows},
        {"linear-regression", {.shape = {12}, .targets = 3}},
        {"mlp-200-200", rows},
        {"fedavg-cnn", images},
        {"emnist-cnn", images},
        {"autoencoder", {.shape = {12}, .classes = 12}},
        {"resnet-8", colours},
        {"resnet-18", {.shape = {8, 8, 3}, .classes = 10, .count = 3}},
        {"shakespeare-lstm", {.shape = {6}, .classes = 90, .entries = {90}, .count = 5}},
        {"transformer", {.shape = {6}, .classes = 96, .labels = 6, .entries = {96}, .count = 5}},
        {"matrix-factorization", {.shape = {2}, .targets = 1, .entries = {6041, 3953}}},
    };
    CHECK(cases.size() == model::zoo_names().size());
    for (const auto& [name, samples] : cases) {
        const auto outputs = samples.targets != 0 ? samples.targets : samples.classes;
        auto spec = model::zoo(name, samples.shape, outputs);
        REQUIRE_MESSAGE(spec, (spec ? "" : spec.error().to_string()));
        const bool large = name == "resnet-18";
        compare(*spec, samples, large ? 1e-3 : 1e-4, {}, 0.1, !large);
    }
}

// Each kind of tensor, learnt while its neighbours are frozen and the other way round.
TEST_CASE(
    "adapters, and a part of a model alone, learn on the card what they do on the processor") {
    struct Case {
        std::vector<std::uint32_t> input;
        std::vector<const char*> layers;
        std::vector<std::string> trainable;
        Samples samples;
    };
    const Samples images{.shape = {6, 6, 4}, .classes = 3};
    const Samples words{.shape = {9}, .classes = 5, .entries = {11}};
    const Samples pairs{.shape = {2}, .targets = 1, .entries = {6, 5}};
    const std::vector<const char*> dense{"dense 9 relu lora 3 alpha 6", "dense 7 tanh",
                                         "dense 3 lora 2"};
    const std::vector<const char*> conv{"conv 6 3x3 same", "groupnorm 2", "relu",
                                        "conv 8 3x3 stride 2 same relu", "dense 3"};
    const std::vector<const char*> lstm{"embedding 11 6", "lstm 7", "gru 5", "last",
                                        "dense 5 lora 1"};
    const std::vector<const char*> attention{
        "embedding 11 8",      "position", "residual", "layernorm", "attention 2", "add", "rmsnorm",
        "dense 8 each lora 4", "last",     "dense 5"};
    const std::vector<Case> cases{
        {{6, 6, 4}, dense, {}, images},
        {{6, 6, 4}, dense, {"*.adapter_*"}, images},
        {{6, 6, 4}, dense, {"*.adapter_b", "*.bias"}, images},
        {{6, 6, 4}, dense, {"dense1.weight", "dense3.adapter_a"}, images},
        {{6, 6, 4}, conv, {"conv2.*"}, images},
        {{6, 6, 4}, conv, {"conv1.weight", "*.bias"}, images},
        {{6, 6, 4}, conv, {"groupnorm1.weight", "dense1.*"}, images},
        {{6, 6, 4}, conv, {"groupnorm1.bias"}, images},
        {{9}, lstm, {"*.adapter_*"}, words},
        {{9}, lstm, {"embedding1.*", "lstm1.bias", "gru1.recurrent"}, words},
        {{9}, lstm, {"lstm1.recurrent", "gru1.weight"}, words},
        {{9}, attention, {"*.adapter_*", "attention1.*"}, words},
        {{9}, attention, {"position1.*", "attention1.bias", "layernorm1.bias"}, words},
        {{9}, attention, {"embedding1.*", "rmsnorm1.*"}, words},
        {{2}, {"factors 6 5 4"}, {"*.bias"}, pairs},
    };
    for (const auto& c : cases) {
        auto spec = network_of(c.input, c.layers);
        spec.trainable = c.trainable;
        if (c.samples.targets > 0) spec.loss = model::Loss::mean_squared_error;
        for (const auto& name : c.trainable) spec.name += " / " + name;
        compare(spec, c.samples, 2e-5);
        compare(spec, c.samples, 2e-5, {.momentum = 0.9, .clip_norm = 0.5});
    }
}

TEST_CASE("frozen values and adapters beyond what was given are refused") {
    auto spec = network_of({12}, {"dense 8 lora 2", "dense 3"});
    spec.trainable = {"*.adapter_*"};
    auto network = model::Network::create(spec).value();
    const auto pool = tensor::BufferPool::create(1 << 20);
    network.rest_on_draws(kSeed, *pool);
    auto made = cuda_network(network, 0).value();
    made.description.layers = made.layers.data();
    CHECK(cuda::network_fault(made.description, 4).find("frozen") != std::string::npos);
    made.description.frozen = made.frozen.data();
    CHECK(cuda::network_fault(made.description, 4) == "");
    made.description.frozen_count -= 1;
    CHECK(cuda::network_fault(made.description, 4).find("beyond") != std::string::npos);
    made.description.frozen_count += 1;
    made.layers[0].rank = 3;
    CHECK(cuda::network_fault(made.description, 4).find("beyond") != std::string::npos);
    made.layers[0].rank = 2, made.layers[0].adapter_b_offset = ~std::uint64_t{0} - 3;
    CHECK(cuda::network_fault(made.description, 4).find("beyond") != std::string::npos);
}
