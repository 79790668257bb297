// What packets take between places, against closed forms: latency, jitter, loss, lines.
#include <algorithm>
#include <cmath>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

constexpr double kLatency = 0.1;  // seconds
constexpr std::size_t kClients = 400;

// When each of many clients, which dial at once, is linked with the aggregator: a dial takes four
// latencies, and its first packet one more.
std::vector<double> first_packets(std::vector<std::string> sets) {
    sets.insert(sets.end(), {"simulation.compute=cost", "simulation.latency=100ms",
                             "simulation.start_spread=0s", "simulation.time_max=3s"});
    auto simulation = make(load(federated_run(kClients, 1000), std::move(sets)));
    const Heard heard(*simulation);
    REQUIRE(simulation->run());
    std::vector<double> times;
    heard.each<message::LinkChanged>([&](double at, PlaceIndex place, const auto& n) {
        if (place == kClients && n.up) times.push_back(at);
    });
    return times;
}

struct Moments {
    double mean = 0, deviation = 0, least = 0, most = 0;
};
Moments moments(const std::vector<double>& x) {
    Moments m{.least = std::ranges::min(x), .most = std::ranges::max(x)};
    for (const double v : x) m.mean += v / static_cast<double>(x.size());
    for (const double v : x)
        m.deviation += (v - m.mean) * (v - m.mean) / static_cast<double>(x.size());
    m.deviation = std::sqrt(m.deviation);
    return m;
}

// How long a step of peers that all exchange models of 4 MB with each other takes, in seconds.
double step_seconds(std::size_t peers, std::vector<std::string> sets) {
    sets.insert(sets.end(),
                {"simulation.compute=cost", "simulation.parameters=1000000", "simulation.samples=1",
                 "simulation.latency=1ms", "simulation.start_spread=0s", "simulation.jitter=0",
                 "simulation.latency_distribution=fixed", "topology.graph=complete",
                 "gossip.patience=wan"});
    auto simulation = make(load(gossip_run(peers, 6), std::move(sets)));
    const Heard heard(*simulation);
    REQUIRE(simulation->run());
    std::vector<double> ended;
    heard.each<message::Mixed>([&](double at, PlaceIndex place, const auto& n) {
        if (place != 0 || n.step > 6) return;
        if (n.step > 1) CHECK(n.mixed.size() == peers - 1);
        ended.push_back(at);
    });
    REQUIRE(ended.size() == 6);
    return (ended[5] - ended[1]) / 4;
}

// How long a round takes in which a model of 4 MB goes to each client, and an update comes back.
double round_seconds(std::size_t clients, std::vector<std::string> sets) {
    sets.insert(sets.end(),
                {"simulation.compute=cost", "simulation.parameters=1000000", "simulation.samples=1",
                 "simulation.latency=1ms", "simulation.start_spread=0s", "federated.staging=8"});
    auto simulation = make(load(federated_run(clients, 4), std::move(sets)));
    const Heard heard(*simulation);
    REQUIRE(simulation->run());
    double took = 0;
    heard.each<message::RoundFinished>([&](double, PlaceIndex, const auto& n) {
        CHECK(n.accepted.size() == clients);
        took += seconds(n.elapsed) / 4;
    });
    return took;
}

}  // namespace

TEST_CASE("latencies are those of their distribution") {
    const auto latencies = [](const char* distribution) {
        auto times = first_packets({"simulation.jitter=0", std::string("simulation.latency_"
                                                                       "distribution=") +
                                                               distribution});
        REQUIRE(times.size() == kClients);
        for (auto& t : times) t /= 5 * kLatency;
        return moments(times);
    };
    const auto fixed = latencies("fixed");
    CHECK(fixed.least == doctest::Approx(1));
    CHECK(fixed.most == doctest::Approx(1));
    // Four deviations of a mean of so many.
    const auto uniform = latencies("uniform");
    CHECK(std::abs(uniform.mean - 1) < 4 * 0.289 / 20);
    CHECK(within(0.1, uniform.deviation, 1 / std::sqrt(12.0)));
    CHECK(uniform.least >= 0.5);
    CHECK(uniform.least < 0.52);
    CHECK(uniform.most < 1.5);
    CHECK(uniform.most > 1.48);
    const auto exponential = latencies("exponential");
    CHECK(std::abs(exponential.mean - 1) < 4 * 0.75 / 20);
    CHECK(within(0.2, exponential.deviation, 0.75));
    CHECK(exponential.least >= 0.25);
    CHECK(exponential.least < 0.27);
    CHECK(exponential.most > 3);
}

TEST_CASE("jitter makes packets later, by up to its part of the latency") {
    const auto times = first_packets({"simulation.jitter=2",
                                      "simulation.latency_distribution="
                                      "fixed"});
    REQUIRE(times.size() == kClients);
    const auto m = moments(times);
    CHECK(m.least >= 5 * kLatency);
    CHECK(m.least < 5.05 * kLatency);
    CHECK(m.most < 7 * kLatency);
    CHECK(m.most > 6.95 * kLatency);
    CHECK(within(0.03, m.mean, 6 * kLatency));
    CHECK(within(0.1, m.deviation, 2 * kLatency / std::sqrt(12.0)));
}

TEST_CASE("a lost packet comes again after a timeout, and as many are lost as is said") {
    for (const double loss : {0.1, 0.4}) {
        const auto times =
            first_packets({"simulation.jitter=0", "simulation.loss=" + std::to_string(loss),
                           "simulation.latency_distribution=fixed"});
        REQUIRE(times.size() == kClients);
        std::vector<double> late;
        for (const double t : times)
            if (t > 5.01 * kLatency) late.push_back(t - 5 * kLatency);
        REQUIRE_FALSE(late.empty());
        const double most_off = 3.5 * std::sqrt(loss * (1 - loss) / kClients);
        CHECK(std::abs(static_cast<double>(late.size()) / kClients - loss) < most_off);
        const auto m = moments(late);  // once to twice two latencies, and 200 ms at least
        CHECK(m.least >= 0.2);
        CHECK(m.most < 0.4);
        CHECK(within(0.1, m.mean, 0.3));
    }
}

// Beside what lines take: some packets there and back, and reading and mixing at 2 GB/s.
TEST_CASE("transfers share a line: two take twice as long as one") {
    for (const char* line : {"simulation.up=10000000", "simulation.down=10000000"}) {
        CAPTURE(std::string(line));
        CHECK(within(0.08, step_seconds(2, {line}), 0.4));
        CHECK(within(0.08, step_seconds(3, {line}), 0.8));
    }
    // Of two lines on the way the thinner one decides.
    const auto thinner = {"simulation.up=10000000", "simulation.down=5000000"};
    CHECK(within(0.08, step_seconds(3, {thinner.begin(), thinner.end()}), 1.6));
    CHECK(step_seconds(3, {}) < 0.03);
}

TEST_CASE("the aggregator's line is its own, and all its clients share it") {
    CHECK(within(0.04, round_seconds(1, {"simulation.server_rate=10000000"}), 0.8));
    CHECK(within(0.04, round_seconds(2, {"simulation.server_rate=10000000"}), 1.6));
    // Of clients each has a line: to both at once, at 20 MB/s, and from both at 10 MB/s.
    for (const std::size_t clients : {1, 2})
        CHECK(within(0.05,
                     round_seconds(clients, {"simulation.server_rate=80000000",
                                             "simulation.up=10000000", "simulation.down=20000000"}),
                     0.2 + 0.4));
}
