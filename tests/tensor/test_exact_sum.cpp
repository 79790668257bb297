#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <thread>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/exact_sum.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

namespace {

using Words = std::vector<std::int64_t>;
using Floats = std::vector<float>;

// The definition, in another arithmetic: long double holds the product and the integer exactly.
std::int64_t term(float weight, float x, const ExactScale& scale) {
    auto exact = static_cast<long double>(weight) * static_cast<long double>(x);
    return static_cast<std::int64_t>(std::nearbyintl(std::ldexp(exact, scale.exponent)));
}

Floats random_update(RngStream& draw, std::size_t size, double bound) {
    Floats x(size);
    for (auto& v : x) {
        auto magnitude = std::ldexp(bound, -static_cast<int>(draw.below(40))) * draw.uniform();
        v = static_cast<float>(draw.below(2) ? magnitude : -magnitude);
        if (std::fabs(static_cast<double>(v)) > bound) v = 0;
    }
    return x;
}

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

TEST_CASE("a sum follows its definition word by word") {
    auto draw = stream(RunSeed{1}, Purpose::user);
    for (std::size_t size : {1ul, 7ul, 16ul, 1000ul, 5000ul}) {
        auto scale = ExactScale::choose(600.0f, 6000.0, 8.0);
        Words sum(size), expected(size);
        for (float weight : {600.0f, 1.0f, 33.3f, 1e-3f}) {
            auto x = random_update(draw, size, 8.0);
            exact_add(sum, x, weight, scale);
            for (std::size_t i = 0; i < size; ++i) expected[i] += term(weight, x[i], scale);
        }
        CHECK(sum == expected);
    }
}

TEST_CASE("ties go to the even integer, on both sides of zero and up to the largest term") {
    ExactScale scale{0, 1e6};
    Floats x = {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, 3.49f, -3.51f, 0.0f, -0.0f};
    Words sum(x.size());
    exact_add(sum, x, 1.0f, scale);
    CHECK(sum == Words{0, 2, 2, 0, -2, -2, 3, -4, 0, 0});
    Floats large = {8388608.0f, -8388608.0f};  // 2^23 · 2^28 = 2^51, the largest a term may be
    Words two(2);
    exact_add(two, large, 1.0f, {28, 8388608.0});
    CHECK(two == Words{std::int64_t{1} << 51, -(std::int64_t{1} << 51)});
}

TEST_CASE("every order and every partition over threads gives the same bits") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        CAPTURE(seed);
        auto draw = stream(RunSeed{seed}, Purpose::user);
        std::size_t size = 1 + draw.below(3000), count = 2 + draw.below(12);
        std::vector<Floats> updates;
        Floats weights;
        for (std::size_t k = 0; k < count; ++k) {
            updates.push_back(random_update(draw, size, 4.0));
            weights.push_back(static_cast<float>(1 + draw.below(1000)));
        }
        auto total = std::accumulate(weights.begin(), weights.end(), 0.0);
        auto scale =
            ExactScale::choose(*std::max_element(weights.begin(), weights.end()), total, 4);
        Words reference(size);
        for (std::size_t k = 0; k < count; ++k) exact_add(reference, updates[k], weights[k], scale);

        std::vector<std::size_t> order(count);
        std::iota(order.begin(), order.end(), 0);
        draw.shuffle(std::span(order));
        Words shuffled(size);
        for (auto k : order)
            CHECK(exact_add_checked(shuffled, updates[k], weights[k], scale) == size);
        CHECK(shuffled == reference);

        std::size_t thread_count = 1 + draw.below(4);
        std::vector<Words> parts(thread_count, Words(size));
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < thread_count; ++t)  // each thread some of the updates
            threads.emplace_back([&, t] {
                for (std::size_t k = t; k < count; k += thread_count)
                    exact_add(parts[t], updates[order[k]], weights[order[k]], scale);
            });
        for (auto& thread : threads) thread.join();
        Words merged(size);
        for (const auto& part : parts) exact_merge(merged, part);
        CHECK(merged == reference);

        Words sliced(size);
        threads.clear();
        for (std::size_t t = 0; t < thread_count; ++t)  // each thread some of the columns
            threads.emplace_back([&, t] {
                auto from = size * t / thread_count, to = size * (t + 1) / thread_count;
                for (auto k : order)
                    exact_add(std::span(sliced).subspan(from, to - from),
                              std::span<const float>(updates[k]).subspan(from, to - from),
                              weights[k], scale);
            });
        for (auto& thread : threads) thread.join();
        CHECK(sliced == reference);
    }
}

TEST_CASE("the decoded mean agrees with long double") {
    auto draw = stream(RunSeed{3}, Purpose::user);
    std::size_t size = 4000;
    auto scale = ExactScale::choose(600.0f, 6000.0, 1.0);
    Words sum(size);
    std::vector<long double> exact(size);
    for (int k = 0; k < 10; ++k) {
        auto x = random_update(draw, size, 1.0);
        exact_add(sum, x, 600.0f, scale);
        for (std::size_t i = 0; i < size; ++i) exact[i] += 600.0L * static_cast<long double>(x[i]);
    }
    Floats mean(size);
    exact_decode(mean, sum, scale, 6000.0);
    auto unit = std::ldexp(1.0L, -scale.exponent) / 6000.0L;
    for (std::size_t i = 0; i < size; ++i) {
        auto error = std::fabs(static_cast<long double>(mean[i]) - exact[i] / 6000.0L);
        CHECK(error <= 10 * 0.5L * unit + std::fabs(exact[i] / 6000.0L) * 0x1p-24L + 1e-45L);
    }
}

TEST_CASE("one client's update comes back as it was") {
    Floats x = {0.1f, -3.25f, 1e-6f, 7.999f};
    auto scale = ExactScale::choose(60.0f, 60.0, 8.0);
    Words sum(x.size());
    exact_add(sum, x, 60.0f, scale);
    Floats out(x.size());
    exact_decode(out, sum, scale, 60.0);
    CHECK(out[0] == x[0]);
    CHECK(out[1] == x[1]);
    CHECK(out[3] == x[3]);
    CHECK(out[2] == doctest::Approx(1e-6).epsilon(1e-6));
}

TEST_CASE("the scale is the largest within both limits") {
    struct Case {
        float weight_max;
        double weight_total, bound;
    };
    std::vector<Case> cases = {{1, 1, 1},          {600, 60'000, 10},   {1, 4096, 1},
                               {1, 2048, 1},       {1, 2049, 1},        {3, 3, 0.1},
                               {1e-30f, 1e-28, 5}, {3e38f, 1e45, 3e38}, {1, 1, 1e-40},
                               {7, 1e9, 1e-3},     {1, 1, 1e300}};
    auto draw = stream(RunSeed{9}, Purpose::user);
    for (int i = 0; i < 300; ++i) {
        auto weight = static_cast<float>(draw.uniform() * 1000 + 1e-3);
        cases.push_back({weight, static_cast<double>(weight) * (1 + draw.uniform() * 5000),
                         draw.uniform() * 100 + 1e-6});
    }
    for (const auto& c : cases) {
        CAPTURE(c.weight_max);
        CAPTURE(c.weight_total);
        CAPTURE(c.bound);
        auto s = ExactScale::choose(c.weight_max, c.weight_total, c.bound).exponent;
        auto x = static_cast<long double>(
            std::clamp(c.bound, 0x1p-149, static_cast<double>(std::numeric_limits<float>::max())));
        auto fits = [&](int e) {
            return std::ldexp(static_cast<long double>(c.weight_max) * x, e) <= 0x1p51L &&
                   std::ldexp(static_cast<long double>(c.weight_total) * x, e) <= 0x1p62L;
        };
        CHECK(fits(s));
        CHECK(!fits(s + 1));
    }
}

TEST_CASE("a sum wraps like a ring, so masks cancel in it") {
    auto draw = stream(RunSeed{4}, Purpose::user);
    auto scale = ExactScale::choose(1.0f, 2.0, 1.0);
    auto x = random_update(draw, 1000, 1.0);
    Words plain(1000), masked(1000), mask(1000), negative(1000);
    exact_add(plain, x, 1.0f, scale);
    for (std::size_t i = 0; i < mask.size(); ++i) {
        auto word = draw.next_u64();
        mask[i] = static_cast<std::int64_t>(word);
        negative[i] = static_cast<std::int64_t>(0 - word);
    }
    exact_merge(masked, mask);
    exact_add(masked, x, 1.0f, scale);
    exact_merge(masked, negative);
    CHECK(masked == plain);
    Words top = {std::numeric_limits<std::int64_t>::max()}, one = {1};
    exact_merge(top, one);
    CHECK(top[0] == std::numeric_limits<std::int64_t>::min());
}

TEST_CASE("the first bad element is found wherever it lies") {
    for (std::size_t size : {1ul, 15ul, 2048ul, 2049ul, 6000ul}) {
        Floats x(size, 1.0f);
        CHECK(first_bad(x, 1.0) == size);
        for (auto bad : {kNaN, -kNaN, kInfinity, -kInfinity, 1.0000001f, -2.0f})
            for (std::size_t at : {std::size_t{0}, size / 2, size - 1}) {
                auto broken = x;
                broken[at] = broken[size - 1] = bad;
                CHECK(first_bad(broken, 1.0) == at);
            }
    }
    CHECK(first_bad({}, 1.0) == 0);
}

TEST_CASE("the bound is exact, also where it is no float") {
    Floats x = {0.1f};  // the float lies above 0.1
    CHECK(first_bad(x, 0.1) == 0);
    CHECK(first_bad(x, static_cast<double>(0.1f)) == 1);
    x[0] = std::nextafter(0.1f, 0.0f);
    CHECK(first_bad(x, 0.1) == 1);
    x[0] = std::numeric_limits<float>::max();
    CHECK(first_bad(x, std::numeric_limits<double>::infinity()) == 1);
    x[0] = kInfinity;
    CHECK(first_bad(x, std::numeric_limits<double>::infinity()) == 0);
    x[0] = std::numeric_limits<float>::denorm_min();
    CHECK(first_bad(x, 0.0) == 0);
    x[0] = -0.0f;
    CHECK(first_bad(x, 0.0) == 1);
}

TEST_CASE("an update with a bad element leaves the sum as it was") {
    auto draw = stream(RunSeed{6}, Purpose::user);
    auto scale = ExactScale::choose(77.0f, 1e4, 2.0);
    std::size_t size = 10'000;
    Words sum(size);
    exact_add(sum, random_update(draw, size, 2.0), 77.0f, scale);
    auto before = sum;
    for (std::size_t at : {0ul, 2047ul, 2048ul, 9'999ul})
        for (auto bad : {kNaN, kInfinity, 2.5f}) {
            auto x = random_update(draw, size, 2.0);
            x[at] = bad;
            CHECK(exact_add_checked(sum, x, 33.0f, scale) == at);
            CHECK(sum == before);
        }
}
