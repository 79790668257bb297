#include <cmath>
#include <set>

#include <doctest/doctest.h>

#include "gossamer/base/rng.hpp"

using namespace gossamer;

TEST_CASE("a stream depends on its name alone") {
    auto a = stream(RunSeed{7}, Purpose::shuffle, 3, PeerId::of_number(5));
    auto b = stream(RunSeed{7}, Purpose::shuffle, 3, PeerId::of_number(5));
    for (int i = 0; i < 100; ++i) CHECK(a.next_u64() == b.next_u64());
    std::set<std::uint64_t> firsts;
    for (std::uint64_t seed = 0; seed < 4; ++seed)
        for (auto purpose : {Purpose::shuffle, Purpose::partition})
            for (std::uint64_t round = 0; round < 10; ++round)
                for (std::uint64_t who = 0; who < 10; ++who)
                    firsts.insert(
                        stream(RunSeed{seed}, purpose, round, PeerId::of_number(who)).next_u64());
    CHECK(firsts.size() == 4 * 2 * 10 * 10);
}

TEST_CASE("portable logarithm and exponential agree with libm to a few ulp") {
    for (double x : {1e-300, 1e-5, 0.1, 0.5, 0.70710678, 0.9999999, 1.0, 1.5, 2.0, 1e10, 1e300}) {
        CAPTURE(x);
        CHECK(std::abs(portable_log(x) - std::log(x)) <=
              4e-15 * std::max(1e-3, std::abs(std::log(x))));
    }
    for (double x = -700; x < 700; x += 13.7) {
        CAPTURE(x);
        CHECK(std::abs(portable_exp(x) / std::exp(x) - 1) < 4e-14);
    }
}

TEST_CASE("moments of the transforms") {
    auto rng = stream(RunSeed{1}, Purpose::user);
    const int n = 200000;
    double sum = 0, squares = 0, fourth = 0, exponential = 0, small = 0, large = 0;
    for (int i = 0; i < n; ++i) {
        double x = rng.normal();
        sum += x, squares += x * x, fourth += x * x * x * x;
        exponential += rng.exponential();
        small += rng.gamma(0.3), large += rng.gamma(4.5);
    }
    CHECK(std::abs(sum / n) < 0.01);
    CHECK(std::abs(squares / n - 1) < 0.015);
    CHECK(std::abs(fourth / n - 3) < 0.1);
    CHECK(std::abs(exponential / n - 1) < 0.015);
    CHECK(std::abs(small / n - 0.3) < 0.01);
    CHECK(std::abs(large / n - 4.5) < 0.03);
}

TEST_CASE("below is uniform and stays below") {
    auto rng = stream(RunSeed{2}, Purpose::user);
    int count[7] = {};
    for (int i = 0; i < 70000; ++i) ++count[rng.below(7)];
    for (int c : count) CHECK(std::abs(c - 10000) < 500);
}
