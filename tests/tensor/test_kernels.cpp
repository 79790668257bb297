#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/kernels.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

namespace {
std::vector<float> random_vector(RngStream& draw, std::size_t size) {
    std::vector<float> x(size);
    for (auto& v : x) v = static_cast<float>(draw.normal());
    return x;
}
}  // namespace

TEST_CASE("a weighted mean has the bits of the plain loop in double") {
    auto draw = stream(RunSeed{1}, Purpose::user);
    for (std::size_t count : {0ul, 1ul, 2ul, 3ul, 4ul, 5ul, 8ul, 9ul, 17ul})
        for (std::size_t size : {1ul, 100ul, 1024ul, 3001ul}) {
            std::vector<std::vector<float>> rows;
            std::vector<Weighted> inputs;
            for (std::size_t k = 0; k < count; ++k) rows.push_back(random_vector(draw, size));
            for (const auto& row : rows)
                inputs.push_back({row.data(), static_cast<double>(draw.below(1 << 24)) * 0x1p-24});
            std::vector<float> out(size), expected(size);
            for (std::size_t i = 0; i < size; ++i) {
                double sum = 0;
                for (const auto& in : inputs) {
                    double product = in.weight * static_cast<double>(in.values[i]);
                    sum += product;
                }
                expected[i] = static_cast<float>(sum);
            }
            CHECK(weighted_mean(out, inputs));
            CHECK(out == expected);
            // Past the caches, where it is aligned for that and where it is not.
            std::vector<float> longer(size + 24);
            for (std::size_t start : {0u, 3u, 8u}) {
                auto into = std::span(longer).subspan(start, size);
                CHECK(weighted_mean(into, inputs, Writes::past_caches));
                CHECK(std::ranges::equal(into, expected));
            }
            if (count > 0) {  // in place
                weighted_mean(rows[count / 2], inputs);
                CHECK(rows[count / 2] == expected);
            }
        }
}

TEST_CASE("means that read what others of them write have the bits of each by itself") {
    auto draw = stream(RunSeed{4}, Purpose::user);
    for (std::size_t count : {1ul, 2ul, 5ul, 96ul, 161ul, 300ul})
        for (std::size_t size : {1ul, 255ul, 256ul, 1111ul}) {
            std::vector<std::vector<float>> rows;
            for (std::size_t k = 0; k <= count; ++k) rows.push_back(random_vector(draw, size));
            std::vector<std::vector<Weighted>> inputs(count);
            std::vector<std::vector<float>> expected(count, std::vector<float>(size));
            std::vector<Mean> means;
            for (std::size_t k = 0; k < count; ++k) {
                for (auto n = draw.below(12); n > 0; --n)  // the last row is nobody's output
                    inputs[k].push_back({rows[draw.below(count + 1)].data(),
                                         static_cast<double>(draw.below(1 << 24)) * 0x1p-24});
                weighted_mean(expected[k], inputs[k]);
                means.push_back({rows[k].data(), inputs[k]});
            }
            std::vector<float> scratch(means_scratch(count));
            const auto parted = size * 2 / 3;  // by two who share the columns
            weighted_means(means, parted, size, scratch);
            weighted_means(means, 0, parted, scratch);
            for (std::size_t k = 0; k < count; ++k) CHECK(rows[k] == expected[k]);
        }
}

TEST_CASE("equal vectors keep their bits under weights that sum to one") {
    auto draw = stream(RunSeed{2}, Purpose::user);
    auto x = random_vector(draw, 2000);
    double third = std::round(0x1p24 / 3) * 0x1p-24;
    std::vector<Weighted> inputs = {
        {x.data(), third}, {x.data(), third}, {x.data(), 1 - 2 * third}};
    std::vector<float> out(x.size());
    weighted_mean(out, inputs);
    CHECK(out == x);
}

TEST_CASE("a mean says whether it is finite, wherever a value is not") {
    auto draw = stream(RunSeed{9}, Purpose::user);
    auto own = random_vector(draw, 300), other = random_vector(draw, 300);
    std::vector<float> out(300);
    for (auto writes : {Writes::cached, Writes::past_caches})
        for (std::size_t at : {0u, 63u, 64u, 255u, 256u, 299u})
            for (auto bad : {std::numeric_limits<float>::quiet_NaN(),
                             -std::numeric_limits<float>::infinity()}) {
                auto spoiled = other;
                spoiled[at] = bad;
                // A weight of nothing hides nothing.
                for (double weight : {0.25, 0.0}) {
                    const Weighted inputs[] = {{own.data(), 1 - weight}, {spoiled.data(), weight}};
                    CHECK_FALSE(weighted_mean(out, inputs, writes));
                }
                const Weighted fine[] = {{own.data(), 0.5}, {other.data(), 0.5}};
                CHECK(weighted_mean(out, fine, writes));
            }
    std::vector<float> most(300, std::numeric_limits<float>::max());
    const Weighted inputs[] = {{most.data(), 0.25}, {most.data(), 0.75}};
    CHECK(weighted_mean(out, inputs));
    CHECK(out == most);
}

TEST_CASE("sums, differences and steps are the plain ones") {
    auto draw = stream(RunSeed{3}, Purpose::user);
    for (std::size_t size : {0ul, 1ul, 31ul, 1000ul}) {
        auto a = random_vector(draw, size), b = random_vector(draw, size);
        std::vector<float> minus(size), plus(size), step = a, expected_step(size);
        subtract(minus, a, b);
        add(plus, a, b);
        add_scaled(step, -0.1f, b);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(minus[i] == a[i] - b[i]);
            CHECK(plus[i] == a[i] + b[i]);
            float product = -0.1f * b[i];
            CHECK(step[i] == a[i] + product);
        }
        CHECK(subtract(a, a, b));  // in place, as is the difference that is not finite
        CHECK(a == minus);
        for (std::size_t at : {0ul, size / 2, size}) {
            if (at >= size) continue;
            auto bad = b;
            bad[at] = std::numeric_limits<float>::quiet_NaN();
            CHECK_FALSE(subtract(plus, a, bad));
            bad[at] = std::numeric_limits<float>::infinity();
            CHECK_FALSE(subtract(bad, a, bad));
        }
    }
}

TEST_CASE("bytes become their scaled values") {
    std::vector<std::uint8_t> in(256 + 37);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint8_t>(i);
    std::vector<float> out(in.size());
    from_bytes(out, in, 1.0f / 255.0f);
    for (std::size_t i = 0; i < in.size(); ++i)
        CHECK(out[i] == static_cast<float>(in[i]) * (1.0f / 255.0f));
}

TEST_CASE("norms follow one fixed tree of sixteen lanes") {
    auto draw = stream(RunSeed{4}, Purpose::user);
    for (std::size_t size : {0ul, 1ul, 15ul, 16ul, 17ul, 1000ul, 4096ul}) {
        auto a = random_vector(draw, size), b = random_vector(draw, size);
        double lane[16] = {}, lane_ab[16] = {};
        for (std::size_t i = 0; i < size; ++i) {
            auto x = static_cast<double>(a[i]), d = x - static_cast<double>(b[i]);
            lane[i % 16] += x * x;
            lane_ab[i % 16] += d * d;
        }
        for (std::size_t width = 8; width > 0; width /= 2)
            for (std::size_t i = 0; i < width; ++i) {
                lane[i] += lane[i + width];
                lane_ab[i] += lane_ab[i + width];
            }
        CHECK(squared_norm(a) == lane[0]);
        CHECK(squared_distance(a, b) == lane_ab[0]);
        CHECK(squared_distance(a, a) == 0);
    }
}

TEST_CASE("one number that is not finite is noticed") {
    for (std::size_t size : {1ul, 1023ul, 5000ul})
        for (auto bad :
             {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
            std::vector<float> x(size, -3e38f);
            CHECK(all_finite(x));
            x[size - 1] = bad;
            CHECK(!all_finite(x));
        }
    CHECK(all_finite({}));
}
