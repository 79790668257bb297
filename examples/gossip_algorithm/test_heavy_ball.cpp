// Runs the algorithm's arithmetic on a ring of numbers, as the runtime would: without training, the
// numbers come to their mean, and sooner than by plain averaging.
#include <doctest/doctest.h>

#include <cmath>
#include <vector>

#include "heavy_ball.hpp"

using namespace gossamer;

namespace {

tensor::Model model_of(float value) {
    static const auto layout = [] {
        auto one = std::make_shared<tensor::Layout>();
        one->add("x", {});
        return one;
    }();
    static const auto pool = tensor::BufferPool::create(1 << 16);
    auto buffer = pool->take_floats(1);
    buffer.floats()[0] = value;
    return tensor::Model::of(layout, std::move(buffer));
}

// Steps until all of 16 numbers on a ring are within 1e-3 of their mean.
int steps_to_agree(double beta) {
    constexpr int n = 16;
    auto algorithm = heavy_ball(beta);
    std::vector<float> x(n);
    std::vector<std::vector<tensor::Model>> kept(n);
    for (int i = 0; i < n; ++i) x[i] = i < n / 2 ? -1.0f : 1.0f;  // mean 0
    for (int step = 1; step <= 2000; ++step) {
        auto before = x;
        for (int i = 0; i < n; ++i) {
            float mixed = (before[(i + n - 1) % n] + before[i] + before[(i + 1) % n]) / 3;
            job::ComputeInput in;
            in.models = {model_of(before[i]), model_of(before[i]), model_of(mixed)};
            in.models.insert(in.models.end(), kept[i].begin(), kept[i].end());
            in.pool = tensor::BufferPool::create(1 << 16);
            auto out = algorithm->combine({}, {})->run(in);
            REQUIRE(out);
            REQUIRE(out->models.size() == 1 + algorithm->contract().kept_models);
            x[i] = out->models[0].floats()[0];
            kept[i] = {model_of(out->models[1].floats()[0])};
        }
        bool agree = true;
        for (float v : x) agree = agree && std::abs(v) < 1e-3f;
        if (agree) return step;
    }
    return 2001;
}

}  // namespace

TEST_CASE("without momentum it is plain averaging, with momentum it agrees sooner") {
    int plain = steps_to_agree(0), fast = steps_to_agree(0.6);
    CHECK(plain > 100);  // gap of the ring of 16: 0.0508, so about ln(1.2e3) / 0.0521 steps
    CHECK(plain < 170);
    CHECK(fast < plain / 2);
}

TEST_CASE("its option has a default and bounds") {
    auto entry = heavy_ball_entry();
    REQUIRE(entry.options.size() == 1);
    CHECK(entry.options[0].key == "gossip.heavy-ball.beta");
    CHECK(std::get<double>(entry.options[0].fallback) == 0.5);
    CHECK(heavy_ball(0.5)->contract().kept_models == 1);
}
