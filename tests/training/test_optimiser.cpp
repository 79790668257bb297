#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include "gossamer/model/options.hpp"
#include "gossamer/training/options.hpp"
#include "tests/training/option_values.hpp"

using namespace gossamer;
using namespace gossamer::training;

namespace {

// The loss w² / 2 of each parameter, whose gradient is w: every optimiser has a closed form or an
// obvious loop.
std::vector<float> descend(const OptimiserSpec& spec, double rate, int steps,
                           std::vector<float> w = {1, -2, 0.5f}) {
    auto pool = tensor::BufferPool::create(0);
    auto state = OptimiserState::after(nullptr, spec, w.size(), *pool).value();
    for (int i = 0; i < steps; ++i) {
        auto g = w;
        optimise(w, g, *state, spec, rate);
    }
    return w;
}

}  // namespace

TEST_CASE("Plain descent shrinks a quadratic by the same factor in each step") {
    const auto w = descend({}, 0.1, 20);
    CHECK(w[0] == doctest::Approx(std::pow(0.9, 20)));
    CHECK(w[1] == doctest::Approx(-2 * std::pow(0.9, 20)));
    const auto decayed = descend({.weight_decay = 0.5}, 0.1, 20);
    CHECK(decayed[0] == doctest::Approx(std::pow(0.85, 20)));
}

TEST_CASE("Momentum follows the roots of its recurrence") {
    // w_{t+1} = (1 + m - r) w_t - m w_{t-1}: with m = 0.5, r = 0.05 the roots of
    // x² - 1.45 x + 0.5 are real, and w = a x1^t + b x2^t with w_0 = 1, w_1 = 0.95.
    const double d = std::sqrt(1.45 * 1.45 - 2.0), x1 = (1.45 + d) / 2, x2 = (1.45 - d) / 2;
    const double a = (0.95 - x2) / (x1 - x2), b = 1 - a;
    const auto w = descend({.momentum = 0.5}, 0.05, 15);
    CHECK(w[0] == doctest::Approx(a * std::pow(x1, 15) + b * std::pow(x2, 15)));
}

TEST_CASE("Nesterov's momentum looks ahead") {
    double w = 1, v = 0;
    for (int i = 0; i < 15; ++i) {
        const double g = w;
        v = 0.9 * v + g;
        w -= 0.05 * (g + 0.9 * v);
    }
    CHECK(descend({.momentum = 0.9, .nesterov = true}, 0.05, 15)[0] == doctest::Approx(w));
}

TEST_CASE("Adam and AdamW are those of their papers") {
    for (const bool decoupled : {false, true}) {
        OptimiserSpec spec{.kind = decoupled ? OptimiserKind::adamw : OptimiserKind::adam,
                           .weight_decay = 0.1};
        double w = 1, m = 0, v = 0;
        for (int t = 1; t <= 25; ++t) {
            const double g = w + (decoupled ? 0 : 0.1 * w);
            m = 0.9 * m + 0.1 * g;
            v = 0.999 * v + 0.001 * g * g;
            const double mean = m / (1 - std::pow(0.9, t)), var = v / (1 - std::pow(0.999, t));
            if (decoupled) w -= 0.01 * 0.1 * w;
            w -= 0.01 * mean / (std::sqrt(var) + 1e-8);
        }
        CHECK(descend(spec, 0.01, 25)[0] == doctest::Approx(w).epsilon(1e-5));
    }
    // The first step is the rate's length whatever the gradient's.
    const auto once = descend({.kind = OptimiserKind::adam}, 0.01, 1, {100, -1e-3f});
    // Nor does it shrink where float32 takes beta2 for another number.
    const auto slow =
        descend({.kind = OptimiserKind::adam, .beta2 = 0.9999999}, 0.01, 1, {100, -1e-3f});
    CHECK(slow[0] == doctest::Approx(once[0]).epsilon(1e-5));
    CHECK(slow[1] == doctest::Approx(once[1]).epsilon(1e-5));
    CHECK(once[0] == doctest::Approx(99.99));
    CHECK(once[1] == doctest::Approx(-1e-3 + 0.01));
}

TEST_CASE("Clipping keeps the direction of a gradient and bounds its length") {
    const auto w = descend({.clip_norm = 1}, 1, 1, {3, 4});
    CHECK(w[0] == doctest::Approx(3 - 0.6));
    CHECK(w[1] == doctest::Approx(4 - 0.8));
    const auto within = descend({.clip_norm = 10}, 1, 1, {3, 4});
    CHECK(within[0] == 0);
}

TEST_CASE("Schedules are their formulas") {
    ScheduleSpec s{.rate = 0.4, .length = 10, .factor = 0.5};
    CHECK(s.at(12345) == 0.4);
    s.kind = ScheduleKind::step;
    CHECK(s.at(9) == 0.4);
    CHECK(s.at(10) == doctest::Approx(0.2));
    CHECK(s.at(39) == doctest::Approx(0.05));
    s.kind = ScheduleKind::inverse;
    CHECK(s.at(30) == doctest::Approx(0.1));
    s.kind = ScheduleKind::cosine;
    CHECK(s.at(0) == doctest::Approx(0.4));
    CHECK(s.at(5) == doctest::Approx(0.3));
    CHECK(s.at(10) == doctest::Approx(0.2));
    CHECK(s.at(1000) == doctest::Approx(0.2));
    s.warmup = 4;
    CHECK(s.at(0) == doctest::Approx(0.1));
    CHECK(s.at(3) == doctest::Approx(0.4));
    CHECK(s.at(9) == doctest::Approx(0.3));
}

TEST_CASE("A state comes back from a checkpoint as it was, and bad bytes are refused") {
    auto pool = tensor::BufferPool::create(0);
    const OptimiserSpec spec{.kind = OptimiserKind::adam};
    auto state = OptimiserState::after(nullptr, spec, 3, *pool).value();
    std::vector<float> w{1, 2, 3}, g{3, 2, 1};
    optimise(w, g, *state, spec, 0.1);
    const Bytes saved = state->save();
    auto back = OptimiserState::load(saved, spec.kind, 3, *pool);
    REQUIRE(back);
    CHECK((*back)->digest() == state->digest());
    auto w2 = w, g2 = g;
    optimise(w, g, *state, spec, 0.1);
    optimise(w2, g2, **back, spec, 0.1);
    CHECK(w == w2);
    CHECK_FALSE(OptimiserState::load(saved, OptimiserKind::sgd, 3, *pool));
    CHECK_FALSE(OptimiserState::load(saved, spec.kind, 4, *pool));
    for (std::size_t n = 0; n < saved.size(); ++n)
        CHECK_FALSE(OptimiserState::load(ByteView(saved).first(n), spec.kind, 3, *pool));
    Bytes longer = saved;
    longer.push_back(std::byte{0});
    CHECK_FALSE(OptimiserState::load(longer, spec.kind, 3, *pool));
}

TEST_CASE("Options give the training they describe") {
    OptionValues options(training_options());
    const auto plain = training_config(options);
    REQUIRE(plain);
    CHECK(plain->optimiser == OptimiserSpec{});
    CHECK(plain->schedule.rate == 0.05);
    options.set("training.optimizer", std::string("adamw"))
        .set("training.weight_decay", 0.01)
        .set("training.schedule", std::string("cosine"))
        .set("training.batch_size", std::int64_t{32});
    const auto config = training_config(options);
    REQUIRE(config);
    CHECK(config->optimiser.kind == OptimiserKind::adamw);
    CHECK(config->optimiser.weight_decay == 0.01);
    CHECK(config->schedule.kind == ScheduleKind::cosine);
    CHECK(config->batch_size == 32);
    options.set("training.momentum", 0.9);
    const auto conflict = training_config(options);
    REQUIRE_FALSE(conflict);
    CHECK(conflict.error().code == ErrorCode::kConfigConflict);
    options = OptionValues(training_options());
    CHECK_FALSE(training_config(options.set("training.nesterov", true)));
}

TEST_CASE("Options give the network they describe") {
    OptionValues options(model::model_options());
    const auto named = model::network_spec(options, {28, 28}, 10);
    REQUIRE(named);
    CHECK(named->name == "mlp-200-200");
    using List = std::vector<std::string>;
    options.set("model.layers", List{"conv 8 3x3 same relu", "maxpool 2x2", "dense 10"})
        .set("model.loss", std::string("mse"));
    const auto own = model::network_spec(options, {28, 28}, 10);
    REQUIRE(own);
    CHECK(own->layers.size() == 3);
    CHECK(own->loss == model::Loss::mean_squared_error);
    const auto outputs = model::network_spec(options, {28, 28}, 12);
    REQUIRE_FALSE(outputs);
    CHECK(outputs.error().code == ErrorCode::kModelShape);
    CHECK_FALSE(model::network_spec(options.set("model.layers", List{"dense"}), {28, 28}, 10));
}
