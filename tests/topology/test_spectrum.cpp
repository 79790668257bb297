// Closed forms and figures of consensus on graphs: second eigenvalues with Metropolis-Hastings
// weights, finite-time consensus of one-peer exponential graphs.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "gossamer/topology/schedule.hpp"

using namespace gossamer;
using namespace gossamer::topology;

namespace {

constexpr double kExact = 1e-6;  // weights are rounded to 2^-24

Schedule make(GraphKind kind, std::uint32_t n, std::uint32_t degree = 4) {
    auto schedule =
        make_schedule({{.kind = kind, .degree = degree}, Weights::metropolis}, n, RunSeed{7});
    REQUIRE(schedule.has_value());
    return *schedule;
}

double second(GraphKind kind, std::uint32_t n) { return spectrum(make(kind, n)).second; }

std::vector<double> mixed(const Schedule& schedule, std::uint64_t step,
                          const std::vector<double>& x) {
    std::vector<double> y(x.size());
    for (std::uint32_t i = 0; i < x.size(); ++i) {
        y[i] = schedule.self_weight(i, step) * x[i];
        for (const auto& from : schedule.in_neighbours(i, step))
            y[i] += from.weight() * x[from.place];
    }
    return y;
}

double squared_error(const std::vector<double>& x) {
    double mean = 0, error = 0;
    for (double v : x) mean += v / static_cast<double>(x.size());
    for (double v : x) error += (v - mean) * (v - mean);
    return error;
}

std::vector<double> random_start(std::uint32_t n) {
    auto rng = stream(RunSeed{11}, Purpose::user, n);
    std::vector<double> x(n);
    for (double& v : x) v = rng.normal();
    return x;
}

int rounds_until(const Schedule& schedule, double ratio) {
    auto x = random_start(schedule.place_count());
    const double start = squared_error(x);
    int rounds = 0;
    while (squared_error(x) > ratio * start) x = mixed(schedule, rounds++, x);
    return rounds;
}

}  // namespace

TEST_CASE("Second eigenvalues agree with their closed forms") {
    using std::numbers::pi;
    for (std::uint32_t n : {8u, 16u, 32u, 64u, 96u, 250u}) {
        CAPTURE(n);
        CHECK(std::abs(second(GraphKind::ring, n) - (1 + 2 * std::cos(2 * pi / n)) / 3) < kExact);
        CHECK(std::abs(second(GraphKind::chain, n) - (1 + 2 * std::cos(pi / n)) / 3) < kExact);
        CHECK(std::abs(second(GraphKind::star, n) - (1 - 1.0 / n)) < kExact);
        CHECK(second(GraphKind::complete, n) < kExact + n * 0x1p-24);  // n roundings add up
        const double log2n = std::ceil(std::log2(n));
        CHECK(std::abs(second(GraphKind::exponential, n) - (1 - 2 / (1 + log2n))) < kExact);
        if (std::exp2(log2n) == n)
            CHECK(std::abs(second(GraphKind::hypercube, n) - (1 - 2 / (log2n + 1))) < kExact);
    }
}

TEST_CASE("The torus is as square as it can be, and its eigenvalue follows its longer side") {
    using std::numbers::pi;
    for (auto [n, longer] : {std::pair{16u, 4.0}, {32u, 8.0}, {64u, 8.0}, {96u, 12.0}}) {
        CAPTURE(n);
        CHECK(std::abs(second(GraphKind::torus, n) - (3 + 2 * std::cos(2 * pi / longer)) / 5) <
              kExact);
    }
}

TEST_CASE("Spectral gaps agree with the published figures") {
    CHECK(spectrum(make(GraphKind::ring, 96)).gap == doctest::Approx(.00143).epsilon(.005));
    CHECK(spectrum(make(GraphKind::chain, 64)).gap == doctest::Approx(.00080).epsilon(.005));
    CHECK(spectrum(make(GraphKind::exponential, 96)).gap == doctest::Approx(.250).epsilon(.001));
    CHECK(spectrum(make(GraphKind::torus, 96)).gap == doctest::Approx(.0536).epsilon(.001));
}

TEST_CASE("A one-peer exponential graph of 2^k places agrees exactly after k steps") {
    for (std::uint32_t n : {8u, 16u, 32u, 64u, 128u, 1024u}) {
        CAPTURE(n);
        auto schedule = make(GraphKind::one_peer_exponential, n);
        auto x = random_start(n);
        const double start = squared_error(x);
        for (std::uint64_t step = 0; step < schedule.period(); ++step) x = mixed(schedule, step, x);
        CHECK(squared_error(x) / start < 2e-30);
        CHECK(spectrum(schedule).second < kExact);
    }
}

TEST_CASE("Other numbers of places leave a little disagreement after one period") {
    for (auto [n, left, rounds] :
         {std::tuple{25u, 4.1e-3, 34}, {96u, 1.8e-3, 48}, {100u, 1.5e-3, 42}}) {
        CAPTURE(n);
        auto schedule = make(GraphKind::one_peer_exponential, n);
        auto x = random_start(n);
        const double start = squared_error(x);
        for (std::uint64_t step = 0; step < schedule.period(); ++step) x = mixed(schedule, step, x);
        CHECK(squared_error(x) / start < 4 * left);  // depends on the start: order of magnitude
        CHECK(squared_error(x) / start > left / 4);
        CHECK(std::abs(rounds_until(schedule, 1e-10) - rounds) <= 8);
    }
}

TEST_CASE("Rounds to agreement are those published") {
    CHECK(rounds_until(make(GraphKind::ring, 16), 1e-10) == doctest::Approx(202).epsilon(.1));
    CHECK(rounds_until(make(GraphKind::torus, 16), 1e-10) == doctest::Approx(22).epsilon(.15));
    CHECK(rounds_until(make(GraphKind::exponential, 16), 1e-10) ==
          doctest::Approx(20).epsilon(.15));
    CHECK(rounds_until(make(GraphKind::star, 16), 1e-10) == doctest::Approx(178).epsilon(.1));
    CHECK(rounds_until(make(GraphKind::random_regular, 96), 1e-10) ==
          doctest::Approx(63).epsilon(.4));  // it depends on the graph drawn
}

TEST_CASE("Mixing keeps the mean, and its error shrinks by the eigenvalue squared") {
    auto schedule = make(GraphKind::ring, 16);
    auto x = random_start(16);
    double before = 0, after = 0;
    for (double v : x) before += v;
    double ratio = 0;
    for (std::uint64_t step = 0; step < 300; ++step) {
        const double error = squared_error(x);
        x = mixed(schedule, step, x);
        if (step < 200) ratio = squared_error(x) / error;
    }
    for (double v : x) after += v;
    CHECK(std::abs(before - after) < 1e-13);
    const double l2 = spectrum(schedule).second;
    CHECK(ratio == doctest::Approx(l2 * l2).epsilon(1e-6));
}
