// What the numbers do: fixed points, means, exact averages, the same bits in any order.
#include <doctest/doctest.h>

#include "world.hpp"

using namespace gossamer;
using namespace gossamer::gossip;
using namespace gossamer::gossip::testing;

namespace {

// Solves M x = y by elimination with row exchange; n is small.
std::vector<double> solve(std::vector<std::vector<double>> m, std::vector<double> y) {
    const std::size_t n = y.size();
    for (std::size_t c = 0; c < n; ++c) {
        std::size_t p = c;
        for (std::size_t r = c; r < n; ++r)
            if (std::abs(m[r][c]) > std::abs(m[p][c])) p = r;
        std::swap(m[c], m[p]), std::swap(y[c], y[p]);
        for (std::size_t r = 0; r < n; ++r) {
            if (r == c) continue;
            double f = m[r][c] / m[c][c];
            for (std::size_t k = c; k < n; ++k) m[r][k] -= f * m[c][k];
            y[r] -= f * y[c];
        }
    }
    for (std::size_t r = 0; r < n; ++r) y[r] /= m[r][r];
    return y;
}

std::vector<std::vector<double>> matrix(const topology::Schedule& schedule) {
    const std::size_t n = schedule.place_count();
    std::vector<std::vector<double>> w(n, std::vector<double>(n));
    for (std::uint32_t i = 0; i < n; ++i) {
        w[i][i] = schedule.self_weight(i, 0);
        for (const auto& j : schedule.in_neighbours(i, 0)) w[i][j.place] = j.weight();
    }
    return w;
}

struct Quadratics {  // f_i(x) = a_i/2 (x - b_i)^2 in each coordinate
    double eta = 0.2;
    double a(std::size_t i, std::size_t k) const {
        return 0.5 + 0.1 * double((i * 7 + k * 3) % 11);
    }
    double b(std::size_t i, std::size_t k) const { return double((i * 5 + k) % 8) - 3.5; }
    double step(std::size_t i, std::size_t k, double x) const {
        return x - eta * a(i, k) * (x - b(i, k));
    }
};

float mean_of(World& world, std::size_t nodes, std::size_t k) {
    double sum = 0;
    for (std::size_t i = 0; i < nodes; ++i) sum += world.model(i)[k];
    return static_cast<float>(sum / double(nodes));
}

}  // namespace

TEST_CASE("D-PSGD comes to its exact fixed point on quadratics, in both orders, on every graph") {
    for (std::string graph :
         {"ring", "torus", "complete", "star", "chain", "hypercube", "exponential"}) {
        for (bool awc : {false, true}) {
            CAPTURE(graph);
            CAPTURE(awc);
            constexpr std::size_t n = 8;
            auto o = options(graph, n, 250);
            o.algorithm = awc ? d_psgd_awc() : d_psgd();
            World world(o);
            Quadratics q;
            for (std::size_t i = 0; i < n; ++i)
                world.of(i).train = [q, i](std::span<const float> x, std::uint64_t) {
                    Values out(x.size());
                    for (std::size_t k = 0; k < x.size(); ++k)
                        out[k] = static_cast<float>(q.step(i, k, x[k]));
                    return Result<Values>(out);
                };
            world.start();
            REQUIRE(world.run_to_end());
            auto w = matrix(world.schedule());
            for (std::size_t k = 0; k < o.parameters; ++k) {
                // step, then average: x = W(x - eta A(x - b))
                // average and step:   x = W x - eta A(x - b)
                std::vector<std::vector<double>> m(n, std::vector<double>(n));
                std::vector<double> y(n);
                for (std::size_t i = 0; i < n; ++i) {
                    for (std::size_t j = 0; j < n; ++j) {
                        m[i][j] = (i == j) - w[i][j] * (awc ? 1 : 1 - q.eta * q.a(j, k));
                        if (!awc) y[i] += w[i][j] * q.eta * q.a(j, k) * q.b(j, k);
                    }
                    if (awc) m[i][i] += q.eta * q.a(i, k), y[i] = q.eta * q.a(i, k) * q.b(i, k);
                }
                auto exact = solve(m, y);
                for (std::size_t i = 0; i < n; ++i)
                    CHECK(world.model(i)[k] == doctest::Approx(exact[i]).epsilon(1e-5));
            }
            for (const auto& [t, mixed] : world.told<message::Mixed>())
                REQUIRE(mixed.left_out.empty());
        }
    }
}

TEST_CASE("mixing without loss moves the mean by the local steps alone") {
    for (std::string graph : {"ring", "star", "one-peer-exponential", "exponential"}) {
        for (bool awc : {false, true}) {
            CAPTURE(graph);
            auto o = options(graph, 6, 12);
            o.algorithm = awc ? d_psgd_awc() : d_psgd();
            World world(o);
            for (std::size_t i = 0; i < o.nodes; ++i)
                world.of(i).train = [i](std::span<const float> x, std::uint64_t step) {
                    Values out(x.begin(), x.end());
                    for (auto& v : out) v += float((i * step) % 5) - 1;
                    return Result<Values>(out);
                };
            world.start();
            REQUIRE(world.run_to_end());
            double expected = 0;
            for (std::uint64_t s = 1; s <= o.rounds; ++s)
                for (std::size_t i = 0; i < o.nodes; ++i)
                    expected += (double((i * s) % 5) - 1) / double(o.nodes);
            CHECK(mean_of(world, o.nodes, 0) == doctest::Approx(expected).epsilon(1e-5));
        }
    }
}

TEST_CASE("on a one-peer exponential graph of 2^k peers all are equal to the mean after k steps") {
    for (std::size_t nodes : {4, 8, 16}) {
        std::size_t k = nodes == 4 ? 2 : nodes == 8 ? 3 : 4;
        auto o = options("one-peer-exponential", nodes, k);
        World world(o);
        for (std::size_t i = 0; i < nodes; ++i)
            world.of(i).train = [i](std::span<const float> x, std::uint64_t step) {
                return Result<Values>(step == 1 ? Values(x.size(), float(i * i))
                                                : Values(x.begin(), x.end()));
            };
        world.start();
        REQUIRE(world.run_to_end());
        double mean = 0;
        for (std::size_t i = 0; i < nodes; ++i) mean += double(i * i) / double(nodes);
        for (std::size_t i = 0; i < nodes; ++i)
            CHECK(world.model(i) == Values(o.parameters, float(mean)));  // exact: halves only
    }
}

TEST_CASE("the final averaging steps bring the models together") {
    auto o = options("one-peer-exponential", 8, 5);
    o.gossip.final_averaging_steps = 3;
    World world(o);
    for (std::size_t i = 0; i < o.nodes; ++i)
        world.of(i).train = [i](std::span<const float> x, std::uint64_t) {
            Values out(x.begin(), x.end());
            for (auto& v : out) v += float(i);
            return Result<Values>(out);
        };
    world.start();
    REQUIRE(world.run_to_end());
    CHECK(world.finals.size() == 8);
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK(world.core(i).progress().round == 8);
        CHECK(world.model(i)[0] == doctest::Approx(5 * 3.5));
        CHECK(world.finals[i].round == 8);
    }
}

TEST_CASE("the models have the same bits whatever the order and time of arrival") {
    std::vector<Values> first;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        CAPTURE(seed);
        auto o = options("torus", 9, 12);
        o.network_seed = seed;
        World world(o);
        for (std::size_t i = 0; i < o.nodes; ++i) {
            world.of(i).train = [i](std::span<const float> x, std::uint64_t step) {
                Values out(x.begin(), x.end());
                for (std::size_t k = 0; k < out.size(); ++k)
                    out[k] = out[k] * 0.9f + 0.37f * float((i * 13 + k * 7 + step) % 17);
                return Result<Values>(out);
            };
            world.of(i).train_time = [i, seed](std::uint64_t step) {
                return Duration{1'000'000 * std::int64_t(1 + (i * 31 + step * seed * 17) % 40)};
            };
        }
        world.start();
        REQUIRE(world.run_to_end());
        for (const auto& [t, mixed] : world.told<message::Mixed>()) REQUIRE(mixed.left_out.empty());
        std::vector<Values> models;
        for (std::size_t i = 0; i < o.nodes; ++i) models.push_back(world.model(i));
        if (first.empty()) first = models;
        CHECK(models == first);
    }
}

TEST_CASE("models that travel in half precision are rounded once and still agree") {
    for (std::string codec : {"f16", "bf16"}) {
        auto o = options("complete", 4, 20);
        o.gossip.codec = codec;
        World world(o);
        for (std::size_t i = 0; i < o.nodes; ++i)
            world.of(i).train = [i](std::span<const float> x, std::uint64_t) {
                Values out(x.begin(), x.end());
                for (auto& v : out) v -= 0.2f * (v - float(i));
                return Result<Values>(out);
            };
        world.start();
        REQUIRE(world.run_to_end());
        for (std::size_t i = 0; i < 4; ++i)
            CHECK(world.model(i)[0] == doctest::Approx(1.48).epsilon(0.03));
        auto mixed = world.told<message::Mixed>(0);
        REQUIRE(mixed.size() == 20);
        CHECK(mixed[5].second.received_bytes == 3 * 3 * 2);
    }
}
