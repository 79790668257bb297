// Layers beyond those of reference.hpp: gradients against differences of the network's own loss,
// values against plain loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gossamer/base/rng.hpp"
#include "gossamer/model/plan.hpp"

using namespace gossamer;
using namespace gossamer::model;

namespace {

struct Case {
    std::vector<std::uint32_t> input;
    std::vector<const char*> layers;
    Loss loss = Loss::softmax_cross_entropy;
    std::uint32_t words = 0;  // inputs are numbers below it
    std::size_t positions = 1;
};

Network network_of(const Case& c) {
    NetworkSpec spec{.name = "test", .input = c.input, .loss = c.loss};
    for (auto text : c.layers) spec.layers.push_back(parse_layer(text).value());
    return Network::create(spec).value();
}

struct Samples {
    std::vector<float> inputs, targets;
    std::vector<std::int32_t> labels;
    Batch batch(std::size_t size) const { return {size, inputs, labels, targets, 12345}; }
};
Samples samples_for(const Network& net, const Case& c, std::size_t count, RngStream& r) {
    Samples s;
    s.inputs.resize(count * net.input_count());
    for (auto& v : s.inputs) v = c.words ? float(r.below(c.words)) : float(r.normal());
    if (c.loss == Loss::softmax_cross_entropy) {
        s.labels.resize(count * c.positions);
        for (auto& v : s.labels) v = std::int32_t(r.below(net.output_count() / c.positions));
        if (c.positions > 1) s.labels[1] = -1;
    } else if (c.loss != Loss::reconstruction) {
        s.targets.resize(count * net.output_count());
        for (auto& v : s.targets) v = float(r.uniform());
    }
    return s;
}

constexpr std::size_t kCount = 3;

const std::vector<Case> kCases = {
    {{6, 6, 4}, {"conv 8 3x3 same tanh", "avgpool 2x2", "dense 3"}},
    {{5, 7, 3}, {"conv 6 3x3 same tanh", "globalpool", "dense 3"}},
    {{5, 5, 2}, {"conv 8 3x3 same nobias", "groupnorm 4", "tanh", "dense 3"}},
    {{4, 6}, {"dense 6 each", "layernorm", "gelu", "dense 3"}},
    {{4, 6}, {"dense 7 each nobias silu", "rmsnorm", "sigmoid", "dense 3"}},
    {{9}, {"dense 12 gelu", "dropout 0.4", "dense 8 sigmoid", "dense 3"}},
    {{6, 6, 3},
     {"conv 4 3x3 same", "groupnorm 2", "tanh", "residual", "conv 8 3x3 stride 2 same nobias",
      "groupnorm 2", "tanh", "conv 8 3x3 same nobias", "shortcut", "conv 8 1x1 stride 2 same",
      "add", "tanh", "dense 3"}},
    {{8},
     {"dense 6 tanh", "residual", "dense 6 tanh", "residual", "dense 6 silu", "add", "add",
      "dense 3"}},
    {{8}, {"residual", "dense 8 tanh", "add", "dense 3"}},
    {{8}, {"dense 8 tanh", "residual", "add", "dense 3"}},  // joined with itself: twice
    {{8}, {"dense 8 tanh", "residual", "residual", "add", "dense 8", "add", "dense 3"}},
    {{5},
     {"embedding 11 6", "position", "dense 4 each tanh", "dense 3"},
     Loss::softmax_cross_entropy,
     11},
    {{5}, {"embedding 7 4", "lstm 6", "lstm 5", "last", "dense 3"}, Loss::softmax_cross_entropy, 7},
    {{4, 3}, {"dense 5 each tanh", "lstm 18", "dense 3 each"}, Loss::softmax_cross_entropy, 0, 4},
    {{5}, {"embedding 7 4", "gru 6", "gru 5", "last", "dense 3"}, Loss::softmax_cross_entropy, 7},
    {{4, 3}, {"dense 5 each tanh", "gru 17", "dense 3 each"}, Loss::softmax_cross_entropy, 0, 4},
    {{6},
     {"embedding 9 8", "position", "residual", "layernorm", "attention 2", "add", "residual",
      "layernorm", "dense 16 each gelu", "dense 8 each", "add", "dense 4 each"},
     Loss::softmax_cross_entropy,
     9,
     6},
    {{7}, {"dense 5 tanh", "dense 4"}, Loss::sigmoid_cross_entropy},
    {{2}, {"factors 2 2 5"}, Loss::mean_squared_error, 2},
    {{3}, {"factors 4 6 3"}, Loss::mean_squared_error, 4},
    {{7}, {"dense 5 tanh", "dense 7 sigmoid"}, Loss::reconstruction},
};

}  // namespace

TEST_CASE("Gradients of every further layer and loss agree with finite differences") {
    const RunSeed seed{77};
    MESSAGE("seed ", seed.value);
    auto pool = tensor::BufferPool::create(1 << 20);
    for (std::size_t index = 0; index < kCases.size(); ++index) {
        CAPTURE(index);
        const Case& c = kCases[index];
        const Network net = network_of(c);
        auto r = stream(seed, Purpose::user, index);
        std::vector<float> p(net.layout()->parameter_count());
        net.initialise(p, seed);
        for (auto& v : p) v += float(0.2 * r.normal());
        const Samples s = samples_for(net, c, kCount, r);
        const Batch batch = s.batch(kCount);
        Plan plan(net, kCount + 2, true, *pool);
        std::vector<float> g(p.size(), 77.0f), unused(p.size());
        const double loss = plan.gradient(p, batch, g);
        double largest = 0;
        for (float v : g) largest = std::max(largest, std::abs(double(v)));
        CHECK(largest > 0);
        for (const auto& t : net.layout()->tensors()) {
            CAPTURE(t.name);
            for (int k = 0; k < 30; ++k) {
                const std::size_t i =
                    t.offset + (t.count <= 30 ? std::size_t(k) % t.count : r.below(t.count));
                const float was = p[i], eps = 4e-3f;
                p[i] = was + eps;
                const double up = plan.gradient(p, batch, unused), high = p[i];
                p[i] = was - eps;
                const double down = plan.gradient(p, batch, unused), low = p[i];
                p[i] = was;
                CAPTURE(i);
                CHECK(std::abs(double(g[i]) - (up - down) / (high - low)) < 3e-3 * largest + 3e-4);
            }
        }
        std::vector<float> fused = p;
        const float rate = 0.125f, decay = 0.5f;
        CHECK(plan.sgd_step(fused, batch, rate, decay) == loss);
        for (std::size_t i = 0; i < p.size(); ++i) {
            const double wanted = double(p[i]) - rate * (double(g[i]) + decay * double(p[i]));
            CAPTURE(i);
            REQUIRE(std::abs(double(fused[i]) - wanted) < 1e-5 * (1 + std::abs(wanted)));
        }
    }
}

namespace {

std::vector<float> outputs(const Case& c, const std::vector<float>& p,
                           const std::vector<float>& x) {
    const Network net = network_of(c);
    auto pool = tensor::BufferPool::create(1 << 20);
    Plan plan(net, 1, false, *pool);
    const auto out = plan.outputs(p, {.size = 1, .inputs = x});
    return {out.begin(), out.end()};
}

}  // namespace

TEST_CASE("Normalised values have mean 0 and deviation 1 in each group") {
    auto r = stream(RunSeed{1}, Purpose::user);
    std::vector<float> x(4 * 4 * 6), p(12, 0.0f);
    for (auto& v : x) v = float(100 + 3 * r.normal());
    std::fill_n(p.begin(), 6, 1.0f);
    const auto y = outputs({{4, 4, 6}, {"groupnorm 3"}}, p, x);
    for (std::size_t group = 0; group < 3; ++group) {
        double sum = 0, squares = 0;
        for (std::size_t i = 0; i < 16; ++i)
            for (std::size_t c = 2 * group; c < 2 * group + 2; ++c)
                sum += y[i * 6 + c], squares += y[i * 6 + c] * y[i * 6 + c];
        CHECK(std::abs(sum / 32) < 1e-4);
        CHECK(squares / 32 == doctest::Approx(1).epsilon(1e-3));
    }
    const auto rows = outputs({{16, 6}, {"layernorm"}}, p, x);
    for (std::size_t i = 0; i < 16; ++i) {
        double sum = 0;
        for (std::size_t c = 0; c < 6; ++c) sum += rows[i * 6 + c];
        CHECK(std::abs(sum) < 1e-3);
    }
}

TEST_CASE("A recurrent cell computes what its equations say") {
    auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
    // One input, one unit, two steps; weights of the gates, then recurrent, then biases.
    const std::vector<float> p{0.5f,  -0.3f, 0.8f, 0.2f, 0.4f, 0.1f,
                               -0.6f, 0.7f,  0.1f, 0.2f, 0.3f, 0.4f};
    double h = 0, c = 0;
    for (double x : {0.7, -1.2}) {
        auto gate = [&](std::size_t k) { return p[k] * x + p[4 + k] * h + p[8 + k]; };
        const double i = sigmoid(gate(0)), f = sigmoid(gate(1)), g = std::tanh(gate(2));
        const double o = sigmoid(gate(3));
        c = f * c + i * g, h = o * std::tanh(c);
    }
    CHECK(outputs({{2, 1}, {"lstm 1", "last"}}, p, {0.7f, -1.2f})[0] == doctest::Approx(h));
    const std::vector<float> q{0.5f, -0.3f, 0.8f, 0.4f, 0.1f, -0.6f, 0.1f, 0.2f, 0.3f};
    h = 0;
    for (double x : {0.7, -1.2}) {
        const double z = sigmoid(q[0] * x + q[3] * h + q[6]);
        const double reset = sigmoid(q[1] * x + q[4] * h + q[7]);
        const double n = std::tanh(q[2] * x + q[8] + reset * q[5] * h);
        h = (1 - z) * n + z * h;
    }
    CHECK(outputs({{2, 1}, {"gru 1", "last"}}, q, {0.7f, -1.2f})[0] == doctest::Approx(h));
}

TEST_CASE("Attention sees no later step") {
    const Case c{{5, 4}, {"attention 2"}};
    const Network net = network_of(c);
    auto r = stream(RunSeed{4}, Purpose::user);
    std::vector<float> p(net.layout()->parameter_count()), x(20);
    net.initialise(p, RunSeed{4});
    for (auto& v : x) v = float(r.normal());
    const auto before = outputs(c, p, x);
    x[3 * 4] += 1;  // of step 3
    const auto after = outputs(c, p, x);
    CHECK(std::equal(before.begin(), before.begin() + 12, after.begin()));
    CHECK(before[12] != after[12]);
    CHECK(before[16] != after[16]);
}

TEST_CASE("Dropout leaves out its share in training and nothing in scoring") {
    const Case c{{1000}, {"dropout 0.25", "dense 1"}, Loss::mean_squared_error};
    const Network net = network_of(c);
    auto pool = tensor::BufferPool::create(1 << 20);
    Plan plan(net, 1, true, *pool);
    const std::vector<float> x(1000, 1.0f), target{1000.0f};
    std::vector<float> p(1001, 1.0f), g(1001), again(1001), other(1001);
    p[1000] = 0;
    Batch batch{.size = 1, .inputs = x, .targets = target, .draws = 1};
    CHECK(plan.score(p, batch).loss_sum == doctest::Approx(0));
    plan.gradient(p, batch, g);
    plan.gradient(p, batch, again);
    CHECK(g == again);
    batch.draws = 2;
    plan.gradient(p, batch, other);
    CHECK(g != other);
    const auto zeros = std::count(g.begin(), g.end() - 1, 0.0f);
    CHECK(zeros > 190);
    CHECK(zeros < 310);
}

TEST_CASE("Layers that do not suit what came before are refused with both shapes") {
    auto refused = [](std::vector<std::uint32_t> input, std::vector<const char*> layers) {
        NetworkSpec spec{.name = "test", .input = std::move(input)};
        for (auto text : layers) spec.layers.push_back(parse_layer(text).value());
        const auto made = Network::create(spec);
        return made ? std::string("made") : made.error().what;
    };
    CHECK(refused({8}, {"residual", "dense 6", "add"}).find("8") != std::string::npos);
    CHECK(refused({8}, {"residual", "dense 6", "add"}).find("add1") == 0);
    CHECK(refused({8}, {"dense 6", "add"}).find("residual") != std::string::npos);
    CHECK(refused({8}, {"dense 6", "shortcut"}).find("residual") != std::string::npos);
    CHECK(refused({8}, {"residual", "dense 8"}).find("add") != std::string::npos);
    CHECK(refused({8}, {"lstm 4"}).find("lstm1") == 0);
    CHECK(refused({4, 6}, {"attention 4"}).find("4x6") != std::string::npos);
    CHECK(refused({4, 4, 6}, {"groupnorm 4"}).find("4x4x6") != std::string::npos);
    CHECK(refused({1}, {"factors 4 4 2"}).find("an item") != std::string::npos);
    CHECK(refused({8}, {"dense 4", "factors 5 5 2"}).find("first") != std::string::npos);
    CHECK(refused({8}, {"dense 4", "embedding 5 5"}).find("first") != std::string::npos);
}
