// Networks that learn only some of their tensors, and low-rank adapters.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gossamer/base/rng.hpp"
#include "gossamer/model/plan.hpp"

using namespace gossamer;
using namespace gossamer::model;

namespace {

constexpr RunSeed kSeed{31};

struct Case {
    std::vector<std::uint32_t> input;
    std::vector<const char*> layers;
    std::uint32_t words = 0;  // inputs are numbers below it
    Loss loss = Loss::softmax_cross_entropy;
};

NetworkSpec spec_of(const Case& c, std::vector<std::string> trainable = {}) {
    NetworkSpec spec{.name = "test", .input = c.input, .loss = c.loss};
    for (auto text : c.layers) spec.layers.push_back(parse_layer(text).value());
    spec.trainable = std::move(trainable);
    return spec;
}

const std::vector<Case> kCases = {
    {{12}, {"dense 9 relu lora 3 alpha 6", "dense 7 tanh", "dense 5 lora 2"}},
    {{6, 6, 2},
     {"conv 4 3x3 same relu", "groupnorm 2", "residual", "conv 4 3x3 same nobias", "groupnorm 2",
      "add", "relu", "globalpool", "dense 3"}},
    {{5}, {"embedding 7 4", "lstm 6", "gru 5", "last", "dense 3 lora 1"}, 7},
    {{6},
     {"embedding 9 8", "position", "residual", "layernorm", "attention 2", "add", "residual",
      "rmsnorm", "dense 16 each gelu lora 4", "dense 8 each", "add", "dense 4"},
     9},
    {{2}, {"factors 4 6 3"}, 4, Loss::mean_squared_error},
};

struct Samples {
    std::vector<float> inputs, targets;
    std::vector<std::int32_t> labels;
    Batch batch() const { return {4, inputs, labels, targets, 99}; }
};
Samples samples_for(const Network& net, const Case& c) {
    auto r = stream(kSeed, Purpose::user, 5);
    Samples s;
    s.inputs.resize(4 * net.input_count());
    for (auto& v : s.inputs) v = c.words ? float(r.below(c.words)) : float(r.normal());
    if (c.loss == Loss::mean_squared_error) {
        s.targets.resize(4 * net.output_count());
        for (auto& v : s.targets) v = float(r.normal());
    } else {
        s.labels.resize(4);
        for (auto& v : s.labels) v = std::int32_t(r.below(net.output_count()));
    }
    return s;
}

std::vector<float> parameters_of(const Network& net) {
    std::vector<float> p(net.layout()->parameter_count());
    net.initialise(p, kSeed);
    auto r = stream(kSeed, Purpose::user, 6);
    for (auto& v : p) v += float(0.2 * r.normal());
    return p;
}

// The learnt tensors' values, taken out of the whole model's.
std::vector<float> part_of(const Network& part, const Network& whole, std::span<const float> p) {
    std::vector<float> out(part.layout()->parameter_count());
    for (const auto& t : part.layout()->tensors())
        if (t.count > 0)
            std::copy_n(&p[whole.layout()->find(t.name)->offset], t.count, &out[t.offset]);
    return out;
}

}  // namespace

TEST_CASE("Adapters' gradients agree with finite differences, and begin without effect") {
    const Case& c = kCases[0];
    const Network net = Network::create(spec_of(c)).value();
    CHECK(net.layout()->find("dense1.adapter_a")->shape == std::vector<std::uint32_t>{12, 3});
    CHECK(net.layout()->find("dense1.adapter_b")->shape == std::vector<std::uint32_t>{3, 9});
    auto pool = tensor::BufferPool::create(1 << 20);
    Plan plan(net, 4, true, *pool);
    const Samples s = samples_for(net, c);
    std::vector<float> p = parameters_of(net), g(p.size()), unused(p.size());
    plan.gradient(p, s.batch(), g);
    for (const auto& t : net.layout()->tensors())
        for (std::size_t i = t.offset; i < t.offset + t.count; ++i) {
            const float was = p[i], eps = 4e-3f;
            p[i] = was + eps;
            const double up = plan.gradient(p, s.batch(), unused), high = p[i];
            p[i] = was - eps;
            const double down = plan.gradient(p, s.batch(), unused), low = p[i];
            p[i] = was;
            CAPTURE(t.name);
            CHECK(std::abs(double(g[i]) - (up - down) / (high - low)) < 1e-3);
        }

    const Case plain{{12}, {"dense 9 relu", "dense 7 tanh", "dense 5"}};
    const Network without = Network::create(spec_of(plain)).value();
    std::vector<float> drawn(net.layout()->parameter_count());
    net.initialise(drawn, kSeed);
    Plan plain_plan(without, 4, false, *pool);
    const auto a = plan.outputs(drawn, s.batch());
    const auto b = plain_plan.outputs(part_of(without, net, drawn), s.batch());
    CHECK(std::ranges::equal(a, b));
}

TEST_CASE("Learning some tensors gives just what they get when all learn") {
    auto pool = tensor::BufferPool::create(1 << 20);
    for (const Case& c : kCases) {
        const Network whole = Network::create(spec_of(c)).value();
        const std::vector<float> p = parameters_of(whole);
        const Samples s = samples_for(whole, c);
        Plan whole_plan(whole, 4, true, *pool);
        std::vector<float> g(p.size());
        const double loss = whole_plan.gradient(p, s.batch(), g);
        for (const auto& t : whole.layout()->tensors()) {
            CAPTURE(t.name);
            Network part = Network::create(spec_of(c, {t.name, "dense1.*"}))
                               .value_or(Network::create(spec_of(c, {t.name})).value());
            REQUIRE(part.rest_on(*whole.layout(), p, *pool));
            CHECK(part.layout()->tensors().size() < whole.layout()->tensors().size() + 1);
            std::vector<float> own(part.layout()->parameter_count()), own_g(own.size(), 77.0f);
            part.initialise(own, RunSeed{1});  // the base has them all
            CHECK(own == part_of(part, whole, p));
            Plan plan(part, 4, true, *pool);
            CHECK(plan.gradient(own, s.batch(), own_g) == loss);
            CHECK(own_g == part_of(part, whole, g));

            std::vector<float> all = p, joined(p.size());
            Plan(whole, 4, true, *pool).sgd_step(all, s.batch(), 0.125f, 0.5f);
            plan.sgd_step(own, s.batch(), 0.125f, 0.5f);
            CHECK(own == part_of(part, whole, all));
            part.join(joined, own);
            for (const auto& other : whole.layout()->tensors()) {
                const bool learnt = part.layout()->find(other.name) != nullptr;
                const auto& wanted = learnt ? all : p;
                CHECK(std::equal(&joined[other.offset], &joined[other.offset] + other.count,
                                 &wanted[other.offset]));
            }
        }
    }
}

TEST_CASE("Models on different frozen values have different layouts, and say so") {
    auto pool = tensor::BufferPool::create(1 << 20);
    const Case& c = kCases[0];
    const Network whole = Network::create(spec_of(c)).value();
    std::vector<float> p = parameters_of(whole);
    auto on = [&](std::span<const float> base) {
        Network net = Network::create(spec_of(c, {"*.adapter_*"})).value();
        REQUIRE(net.rest_on(*whole.layout(), base, *pool));
        return net;
    };
    const Network a = on(p), same = on(p);
    CHECK(a.layout()->digest() == same.layout()->digest());
    CHECK(a.layout()->parameter_count() == 12 * 3 + 3 * 9 + 7 * 2 + 2 * 5);
    p[whole.layout()->find("dense1.adapter_a")->offset] += 1;  // no frozen one
    CHECK(a.layout()->digest() == on(p).layout()->digest());
    p[whole.layout()->find("dense2.bias")->offset] += 1;
    const Network other = on(p);
    CHECK(a.layout()->digest() != other.layout()->digest());
    const auto lines = tensor::differences(*a.layout(), *other.layout());
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].find("frozen:") == 0);
    CHECK(lines[0].find(": here, not there") != std::string::npos);
    CHECK(lines[1].find(": there, not here") != std::string::npos);

    Network drawn = Network::create(spec_of(c, {"*.adapter_*"})).value();
    drawn.rest_on_draws(RunSeed{1}, *pool);
    Network again = Network::create(spec_of(c, {"*.adapter_*"})).value();
    again.rest_on_draws(RunSeed{1}, *pool);
    CHECK(drawn.layout()->digest() == again.layout()->digest());
    again.rest_on_draws(RunSeed{2}, *pool);
    CHECK(drawn.layout()->digest() != again.layout()->digest());
    std::vector<float> first(whole.layout()->parameter_count()), joined(first.size());
    whole.initialise(first, RunSeed{1});
    std::vector<float> learnt(drawn.layout()->parameter_count());
    drawn.initialise(learnt, RunSeed{1});
    drawn.join(joined, learnt);
    CHECK(joined == first);  // what is drawn does not hang on what is learnt
}

TEST_CASE("A base that does not suit, and names of no tensor, are refused") {
    auto pool = tensor::BufferPool::create(1 << 20);
    const auto none = Network::create(spec_of(kCases[0], {"dense1.*", "dense9.weight"}));
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ErrorCode::kModelShape);
    CHECK(none.error().what.find("\"dense9.weight\"") != std::string::npos);
    CHECK(none.error().hint.find("dense2.weight") != std::string::npos);
    Network net = Network::create(spec_of(kCases[0], {"*.adapter_*", "dense3.*"})).value();
    const Network small =
        Network::create(spec_of({{12}, {"dense 8 relu", "dense 7", "dense 4"}})).value();
    const std::vector<float> p(small.layout()->parameter_count());
    const auto refused = net.rest_on(*small.layout(), p, *pool);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::kModelLayout);
    CHECK(refused.error().what.find("dense1.weight: here 12x9, in the base 12x8") !=
          std::string::npos);
    CHECK(refused.error().what.find("dense3.weight: here 7x5, in the base 7x4") !=
          std::string::npos);
    CHECK(refused.error().what.find("adapter") == std::string::npos);
}

TEST_CASE("Layers with adapters have a text of their own") {
    for (const char* text : {"dense 9 lora 3", "dense 9 each relu nobias lora 3 alpha 1.5"}) {
        const auto layer = parse_layer(text);
        REQUIRE(layer);
        CHECK(to_string(*layer) == text);
    }
    for (const char* text : {"dense 9 lora", "dense 9 lora 0", "dense 9 alpha 3 lora 2",
                             "dense 9 lora 2 alpha 0", "conv 9 3x3 lora 2"})
        CHECK_FALSE(parse_layer(text));
}
