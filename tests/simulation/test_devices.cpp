// What a scenario says of its devices: when they are there, how fast they are.
#include <algorithm>
#include <cmath>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

TEST_CASE("a part of the fleet is asleep at any instant of a day, and each device for that part") {
    constexpr PlaceIndex kPeers = 200;
    constexpr int kDay = 20;  // seconds
    for (const double part : {0.5, 0.2}) {
        CAPTURE(part);
        auto simulation = make(load(
            federated_run(kPeers, 1000),
            {"simulation.compute=cost", "simulation.availability=diurnal", "simulation.day=20s",
             "simulation.asleep_part=" + std::to_string(part), "run.peers=100",
             "simulation.peers=200", "simulation.start_spread=0s", "federated.fraction=0.1"}));
        auto& world = simulation->world();
        std::vector<int> slept(kPeers);
        // Of so many that sleep independently: three deviations, and a little.
        const double most_off = 3.2 * std::sqrt(part * (1 - part) / kPeers);
        for (int second = 0; second < 3 * kDay; ++second) {
            while (world.step(World::kBeginning + second * 1s + 100ms)) continue;
            int asleep = 0;
            for (PlaceIndex p = 0; p < kPeers; ++p) {
                const bool there = world.state(p) == PlaceState::running;
                asleep += !there, slept[p] += !there;
            }
            CAPTURE(second);
            CHECK(std::abs(asleep / double{kPeers} - part) < most_off);
        }
        // Looked at each second, a night is one look longer or shorter than it lasts.
        for (const int looks : slept) CHECK(std::abs(looks - 3 * part * kDay) <= 3);
    }
}

namespace {

// How long each finished round took, in virtual seconds.
std::vector<double> round_seconds(std::vector<std::string> sets) {
    auto simulation = make(load(federated_run(40, 10), std::move(sets)));
    std::vector<double> took;
    simulation->chronicle().also = [&](Instant, PlaceIndex, const message::Notice& notice) {
        if (const auto* n = std::get_if<message::RoundFinished>(&notice))
            took.push_back(seconds(n->elapsed));
    };
    REQUIRE(simulation->run());
    return took;
}

}  // namespace

TEST_CASE("the aggregator is as fast as its own key says, whatever its clients are") {
    // It evaluates 200 samples, three in the time in which it would train one, amid a round.
    const std::vector<std::string> sets = {"simulation.samples_per_second=20",
                                           "federated.fraction=1", "data.synthetic_test=200",
                                           "federated.staging=40"};
    const auto with = [&](const char* set) {
        auto more = sets;
        if (set) more.emplace_back(set);
        return round_seconds(std::move(more));
    };
    const auto fast = with(nullptr), slow = with("simulation.server_samples_per_second=10");
    REQUIRE(fast.size() == 10);
    REQUIRE(slow.size() == 10);
    for (std::size_t round = 1; round < 10; ++round) {
        CHECK(within(0.1, fast[round], 50 / 20.0));
        CHECK(within(0.1, slow[round], 200 / (3 * 10.0)));
    }
}

TEST_CASE("with stragglers a round of more clients than it wants is a shorter one") {
    const auto total = [](const char* over_provision) {
        double sum = 0;
        for (const double took :
             round_seconds({"simulation.samples_per_second=50", "simulation.slow_part=0.1",
                            "simulation.slow_factor=10", "federated.fraction=0.5",
                            std::string("federated.over_provision=") + over_provision}))
            sum += took;
        return sum;
    };
    // 50 samples: a second, or ten. Of 20 clients two are slow, of 26 twenty are quick ones.
    const auto exact = total("1"), more = total("1.3");
    CHECK(exact > 60);
    CHECK(more < 25);
}

namespace {

// How long each of some peers trained on 60 samples, by its first time; a usual one takes a second.
std::vector<double> training_seconds(std::size_t peers, std::vector<std::string> sets) {
    sets.insert(sets.end(), {"simulation.compute=cost", "simulation.samples_per_second=60"});
    auto simulation = make(load(federated_run(peers, 1), std::move(sets)));
    const Heard heard(*simulation);
    REQUIRE(simulation->run());
    std::vector<double> took(peers);
    heard.each<message::Trained>(
        [&](double, PlaceIndex place, const auto& n) { took[place] = seconds(n.elapsed); });
    return took;
}

}  // namespace

TEST_CASE("so many devices are slow, by their factor") {
    const auto took =
        training_seconds(40, {"simulation.slow_part=0.3", "simulation.slow_factor=5"});
    const auto like = [&](double expected) {
        return std::ranges::count_if(took, [&](double t) { return within(0.01, t, expected); });
    };
    CHECK(like(1) == 28);
    CHECK(like(5) == 12);
}

TEST_CASE("logarithms of devices' speeds spread as is said") {
    const auto took = training_seconds(400, {"simulation.speed_spread=0.4"});
    double mean = 0, squares = 0;
    for (const double t : took) mean += std::log(t) / 400;
    for (const double t : took) squares += std::pow(std::log(t) - mean, 2) / 400;
    CHECK(std::abs(mean) < 3.5 * 0.4 / 20);
    CHECK(within(0.12, std::sqrt(squares), 0.4));
}

TEST_CASE(
    "churn kills a process, of which its machine tells, or cuts the power, of which nobody does") {
    for (const bool power : {false, true}) {
        auto simulation =
            make(load(federated_run(20, 1000),
                      {"simulation.compute=cost", "simulation.samples_per_second=60",
                       "simulation.latency_distribution=fixed", "simulation.jitter=0",
                       "simulation.availability=churn", "simulation.churn_up=30s",
                       "simulation.churn_down=10s", "simulation.time_max=3min",
                       std::string("simulation.churn_power=") + (power ? "true" : "false"),
                       "federated.quorum=0.1", "federated.attempts=1000"}));
        const Heard heard(*simulation);
        REQUIRE(simulation->run());
        std::size_t times = 0;
        for (const auto& event : simulation->chronicle().states()) {
            if (event.state == PlaceState::running || event.place >= 20) continue;
            const double went = seconds(event.at - World::kBeginning);
            if (went > 170) continue;
            ++times;
            CHECK(event.state == (power ? PlaceState::dark : PlaceState::off));
            double noticed = 180;
            heard.each<message::LinkChanged>([&](double at, PlaceIndex by, const auto& n) {
                if (by == 20 && !n.up && n.peer == simulation->scenario().id(event.place) &&
                    at >= went)
                    noticed = std::min(noticed, at);
            });
            // One latency; or at least the five that a next life needs until it is linked.
            if (power)
                CHECK(noticed - went > 0.045);
            else
                CHECK(noticed - went < 0.015);
        }
        // Up for 30 s, away for ten.
        CHECK(within(0.35, static_cast<double>(times), 20 * 170 / 40.0));
    }
}

TEST_CASE("a device without the memory of a step does not train, and says what it takes") {
    // Some of the eight have less than a step takes; where nobody has as much nothing is begun.
    const std::vector<std::string> sets = {"federated.quorum=0.1", "simulation.memory_spread=1",
                                           "simulation.memory=1KiB"};
    auto scenario = load(federated_run(8, 3), sets);
    std::size_t small = 0;
    std::string said;
    for (PlaceIndex p = 0; p < 8; ++p)
        if (const auto fits = scenario->fits_memory(p); !fits) ++small, said = fits.error().what;
    CAPTURE(said);
    REQUIRE(small > 0);
    REQUIRE(small < 8);
    CHECK(said.find("a step of training takes ") != std::string::npos);
    const auto o = run(federated_run(8, 3), sets);
    CHECK(o.client_updates == 3 * (8 - small));
    CHECK(o.failure_count == 3 * small);
    const auto none = Scenario::load("test.toml", federated_run(8, 3), {"simulation.memory=1KiB"},
                                     no_extensions());
    REQUIRE_FALSE(none);
    CHECK(none.error().code == ErrorCode::kConfigRange);
    CHECK(none.error().what.find("simulation.memory: no device can train: ") != std::string::npos);
}

TEST_CASE("lines differ by their spread, each the same up and down") {
    NetworkConfig config;
    config.up_bytes_per_second = 1e6, config.down_bytes_per_second = 4e6;
    config.rate_spread = 0.5;
    const Network network(config, {7});
    double sum = 0, squares = 0;
    constexpr PlaceIndex kPeers = 4000;
    for (PlaceIndex p = 0; p < kPeers; ++p) {
        const double log = std::log(network.up_rate(p) / 1e6);
        CHECK(network.down_rate(p) == doctest::Approx(4 * network.up_rate(p)));
        sum += log, squares += log * log;
    }
    const double mean = sum / kPeers;
    CHECK(std::abs(mean) < 3.5 * 0.5 / std::sqrt(double{kPeers}));
    CHECK(std::sqrt(squares / kPeers - mean * mean) == doctest::Approx(0.5).epsilon(0.05));
}
