// Runs the strategy's arithmetic as the aggregator would: a model in, a mean delta in, the next
// model out, with the state passing through a checkpoint in between.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "fed_adagrad.hpp"

using namespace gossamer;

namespace {

const auto kPool = tensor::BufferPool::create(1 << 16);

std::vector<float> next(const federated::Strategy& strategy, std::uint64_t round,
                        const std::vector<float>& model, std::vector<float> delta,
                        job::State& state) {
    auto result = strategy.aggregate({round, model, delta, {}, 1, state, kPool});
    REQUIRE(result);
    auto saved = (*result)->save();
    state = strategy.load_state(saved, model.size()).value();
    return delta;
}

}  // namespace

TEST_CASE("steps follow the published rule, also through a checkpoint") {
    auto strategy = fed_adagrad({0.1, 0.001});
    job::State state;
    double x = 1, v = 1e-6;  // tau²
    std::vector<float> model{1.0F};
    for (std::uint64_t round = 1; round <= 20; ++round) {
        double delta = round % 3 == 0 ? -0.4 : 0.3;
        model = next(*strategy, round, model, {static_cast<float>(delta)}, state);
        v += delta * delta;
        x += 0.1 * delta / (std::sqrt(v) + 0.001);
        CHECK(model[0] == doctest::Approx(x).epsilon(1e-5));
    }
}

TEST_CASE("deltas well below tau move by half of rate / tau of them") {
    auto strategy = fed_adagrad({0.1, 0.01});
    job::State state;
    const auto model = next(*strategy, 1, {1.0F}, {1e-5F}, state);
    CHECK(model[0] - 1 == doctest::Approx(0.1 / 0.02 * 1e-5).epsilon(1e-2));
}

TEST_CASE("it finds the minimum of a badly scaled bowl that one rate for all cannot") {
    // Clients step along minus the gradient of 50·a² + 0.005·b²; FedAvg's factor fits only one.
    auto strategy = fed_adagrad({0.5, 1e-3});
    job::State state;
    std::vector<float> adaptive{1, 1}, plain{1, 1};
    for (std::uint64_t round = 1; round <= 100; ++round) {
        auto delta = [](const std::vector<float>& at) {
            return std::vector<float>{-0.015F * 100 * at[0], -0.015F * 0.01F * at[1]};
        };
        adaptive = next(*strategy, round, adaptive, delta(adaptive), state);
        auto step = delta(plain);
        for (int i : {0, 1}) plain[i] += step[i];
    }
    CHECK(std::abs(adaptive[0]) < 1e-3F);
    CHECK(std::abs(adaptive[1]) < 0.3F);
    CHECK(std::abs(plain[1]) > 0.9F);
}

TEST_CASE("its options have defaults and bounds") {
    auto entry = fed_adagrad_entry();
    REQUIRE(entry.options.size() == 2);
    CHECK(std::get<double>(entry.options[0].fallback) == 0.1);
    CHECK(fed_adagrad({})->traits().name == entry.name);
}
