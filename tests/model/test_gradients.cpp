#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "gossamer/base/rng.hpp"
#include "tests/model/reference.hpp"

using namespace gossamer;
using namespace gossamer::model;

namespace {

struct Case {
    std::vector<std::uint32_t> input;
    std::vector<const char*> layers;
    std::size_t batch;
    Loss loss = Loss::softmax_cross_entropy;
    bool targets = false;
};

Network network_of(const Case& c) {
    NetworkSpec spec{.name = "test", .input = c.input, .loss = c.loss};
    for (auto text : c.layers) spec.layers.push_back(parse_layer(text).value());
    return Network::create(spec).value();
}

struct Samples {
    std::vector<float> inputs, targets;
    std::vector<std::int32_t> labels;
    Batch batch(std::size_t size) const { return {size, inputs, labels, targets}; }
};
Samples samples_for(const Network& net, const Case& c, RngStream& r) {
    Samples s;
    s.inputs.resize(c.batch * net.input_count());
    for (auto& v : s.inputs) v = float(r.normal());
    if (c.targets) {
        s.targets.resize(c.batch * net.output_count());
        for (auto& v : s.targets) v = float(r.normal());
    } else {
        s.labels.resize(c.batch);
        for (auto& v : s.labels) v = std::int32_t(r.below(net.output_count()));
    }
    return s;
}

const std::vector<Case> kCases = {
    {{3}, {"dense 2"}, 1},
    {{5}, {"dense 3 tanh", "dense 2"}, 3},
    {{37}, {"dense 23 relu", "dense 19 relu", "dense 10"}, 10},
    {{300}, {"dense 21 tanh", "dense 7 relu", "dense 10"}, 11},
    {{64}, {"dense 100 relu", "dense 33 tanh", "dense 17"}, 47},
    {{40}, {"dense 18", "relu", "tanh", "dense 5"}, 7},
    {{20}, {"dense 12 tanh", "dense 6"}, 9, Loss::mean_squared_error, true},
    {{20}, {"dense 12 relu", "dense 6"}, 9, Loss::mean_squared_error, false},
    {{8, 8}, {"conv 4 3x3 same relu", "maxpool 2x2", "dense 3"}, 2},
    {{9, 7, 3}, {"conv 20 5x5 same tanh", "conv 6 3x3 valid relu", "flatten", "dense 4"}, 3},
    {{11, 11, 2}, {"conv 5 3x3 stride 2 valid tanh", "conv 7 3x3 same", "dense 4"}, 4},
    {{10, 13, 2},
     {"tanh", "conv 33 3x3 stride 2 same relu", "conv 18 3x3 stride 3 same tanh", "dense 4"},
     3},
    {{9, 9, 5}, {"conv 17 1x1 tanh", "maxpool 3x3 stride 2", "conv 16 2x2 valid", "dense 4"}, 2},
    {{8, 8, 3},
     {"maxpool 3x3 stride 1", "conv 8 5x5 same tanh", "maxpool 2x2", "dense 3 tanh", "dense 3"},
     5},
    {{12, 12, 1},
     {"conv 3 4x4 stride 2 same relu", "conv 2 3x3 valid"},
     2,
     Loss::mean_squared_error,
     true},
};

}  // namespace

TEST_CASE("Every layer and loss agrees with finite differences") {
    const RunSeed seed{2024};
    MESSAGE("seed ", seed.value);
    auto pool = tensor::BufferPool::create(1 << 20);
    for (std::size_t index = 0; index < kCases.size(); ++index) {
        const Case& c = kCases[index];
        CAPTURE(index);
        const Network net = network_of(c);
        auto r = stream(seed, Purpose::user, index);
        std::vector<float> p(net.layout()->parameter_count());
        net.initialise(p, seed);
        for (auto& v : p) v += float(0.1 * r.normal());
        const Samples s = samples_for(net, c, r);
        const Batch batch = s.batch(c.batch);
        Plan plan(net, c.batch + 3, true, *pool);
        std::vector<float> g(p.size(), 77.0f);  // every element must be written
        const double loss = plan.gradient(p, batch, g);
        const Reference reference{net};
        std::vector<double> exact(p.begin(), p.end());
        CHECK(loss == doctest::Approx(reference.loss(exact, batch)).epsilon(1e-5));
        double largest = 0;
        for (float v : g) largest = std::max(largest, std::abs(double(v)));
        // All tensors are sampled; small ones whole.
        for (const auto& t : net.layout()->tensors()) {
            CAPTURE(t.name);
            for (int k = 0; k < 24; ++k) {
                const std::size_t i =
                    t.offset + (t.count <= 24 ? std::size_t(k) % t.count : r.below(t.count));
                const double eps = 1e-6, was = exact[i];
                exact[i] = was + eps;
                const double up = reference.loss(exact, batch);
                exact[i] = was - eps;
                const double down = reference.loss(exact, batch);
                exact[i] = was;
                CAPTURE(i);
                CHECK(std::abs(double(g[i]) - (up - down) / (2 * eps)) < 1e-4 * largest + 1e-7);
            }
        }
    }
}

TEST_CASE("The fused step is the gradient step") {
    auto pool = tensor::BufferPool::create(1 << 20);
    for (std::size_t index = 0; index < kCases.size(); ++index) {
        const Case& c = kCases[index];
        CAPTURE(index);
        const Network net = network_of(c);
        auto r = stream(RunSeed{7}, Purpose::user, index);
        std::vector<float> p(net.layout()->parameter_count());
        net.initialise(p, RunSeed{7});
        const Samples s = samples_for(net, c, r);
        Plan plan(net, c.batch, true, *pool);
        std::vector<float> g(p.size()), fused = p;
        const double loss = plan.gradient(p, s.batch(c.batch), g);
        const float rate = 0.125f, decay = 0.5f;
        CHECK(plan.sgd_step(fused, s.batch(c.batch), rate, decay) == loss);
        for (std::size_t i = 0; i < p.size(); ++i) {
            const double wanted = double(p[i]) - rate * (double(g[i]) + decay * double(p[i]));
            CAPTURE(i);
            REQUIRE(std::abs(double(fused[i]) - wanted) < 1e-5 * (1 + std::abs(wanted)));
        }
    }
}

TEST_CASE("A smaller batch in a larger plan leaves no trace of the batch before") {
    const Case c{{8, 8, 3}, {"conv 9 3x3 same relu", "maxpool 2x2", "dense 5"}, 6};
    const Network net = network_of(c);
    auto pool = tensor::BufferPool::create(1 << 20);
    auto r = stream(RunSeed{3}, Purpose::user);
    std::vector<float> p(net.layout()->parameter_count()), a(p.size()), b(p.size());
    net.initialise(p, RunSeed{3});
    const Samples big = samples_for(net, c, r);
    const Samples small = samples_for(net, {c.input, c.layers, 2}, r);
    Plan used(net, 6, true, *pool), fresh(net, 2, true, *pool);
    used.gradient(p, big.batch(6), a);
    used.gradient(p, small.batch(2), a);
    fresh.gradient(p, small.batch(2), b);
    CHECK(a == b);
}

TEST_CASE("Scores count correct answers and sum the loss") {
    const Case c{{4}, {"dense 3"}, 40};
    const Network net = network_of(c);
    auto pool = tensor::BufferPool::create(1 << 20);
    auto r = stream(RunSeed{5}, Purpose::user);
    std::vector<float> p(net.layout()->parameter_count());
    net.initialise(p, RunSeed{5});
    const Samples s = samples_for(net, c, r);
    Plan plan(net, 40, false, *pool);
    const Score score = plan.score(p, s.batch(40));
    const Reference reference{net};
    const std::vector<double> exact(p.begin(), p.end());
    CHECK(score.loss_sum / 40 == doctest::Approx(reference.loss(exact, s.batch(40))));
    std::uint64_t correct = 0;
    const auto z = plan.outputs(p, s.batch(40));
    for (std::size_t i = 0; i < 40; ++i)
        correct += std::max_element(&z[i * 3], &z[i * 3] + 3) - &z[i * 3] == s.labels[i];
    CHECK(score.correct == correct);
    CHECK(correct > 0);
}

TEST_CASE("Outputs that are not finite give a loss that is not finite") {
    for (const Loss loss :
         {Loss::softmax_cross_entropy, Loss::mean_squared_error, Loss::sigmoid_cross_entropy}) {
        CAPTURE(static_cast<int>(loss));
        const Case c{{4}, {"dense 3"}, 2, loss};
        const Network net = network_of(c);
        auto pool = tensor::BufferPool::create(1 << 20);
        auto r = stream(RunSeed{5}, Purpose::user);
        const Samples s = samples_for(net, c, r);
        Plan plan(net, 2, true, *pool);
        std::vector<float> p(net.layout()->parameter_count(), NAN), g(p.size());
        CHECK_FALSE(std::isfinite(plan.gradient(p, s.batch(2), g)));
        for (const float value : {3e38f, INFINITY, -INFINITY}) {
            std::ranges::fill(p, value);
            const double told = plan.gradient(p, s.batch(2), g);
            // A sum of signs that cancel may be finite; what it must never do is end the process.
            if (loss != Loss::sigmoid_cross_entropy) CHECK_FALSE(std::isfinite(told));
        }
    }
}

TEST_CASE("A plan tells its size before it takes it") {
    const Network net = network_of({{4}, {"dense 300", "dense 3"}, 2});
    const auto small = Plan::bytes(net, 8, true), large = Plan::bytes(net, 80'000, true);
    CHECK(small > 8 * 300 * sizeof(float));
    CHECK(large > 80'000 * 300 * sizeof(float));
    CHECK(large < 80'000 * 310 * 2 * sizeof(float));
    CHECK(Plan::bytes(net, 80'000, false) < large);
}
