// Windows of events that several lanes turn: nothing may show how many there were.
#include <algorithm>
#include <random>

#include "drivers/simulation/calendar.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

struct Seen {
    Outcome outcome;
    Counts counts;
    std::vector<std::string> told;  // what was recorded, in order
};

Seen watch(const std::string& text, std::vector<std::string> sets, unsigned threads) {
    auto simulation = make(load(text, std::move(sets)), {.threads = threads, .shared_from = 2});
    Seen seen;
    simulation->chronicle().also = [&](Instant at, PlaceIndex place, const auto& notice) {
        seen.told.push_back(std::to_string(at.ns) + " " + std::to_string(place) + " " +
                            std::to_string(notice.index()));
    };
    auto outcome = simulation->run();
    REQUIRE_MESSAGE(outcome, (outcome ? "" : outcome.error().to_string()));
    seen.outcome = *outcome;
    seen.counts = simulation->world().counts();
    return seen;
}

void same_on_any_threads(const std::string& text, const std::vector<std::string>& sets) {
    const auto one = watch(text, sets, 1);
    CHECK(one.counts.shared_windows == 0);
    CHECK(std::ranges::is_sorted(one.told, {},
                                 [](const std::string& line) { return std::stoll(line); }));
    for (const unsigned threads : {2u, 3u}) {
        const auto more = watch(text, sets, threads);
        CHECK(more.outcome.trace_hash == one.outcome.trace_hash);
        CHECK(more.outcome.model == one.outcome.model);
        CHECK(more.outcome.events == one.outcome.events);
        CHECK(more.outcome.bytes_sent == one.outcome.bytes_sent);
        CHECK(more.outcome.broken == one.outcome.broken);
        CHECK(more.outcome.end == one.outcome.end);
        CHECK(more.told == one.told);
        CHECK(more.counts.links == one.counts.links);
        CHECK(more.counts.windows == one.counts.windows);
        CHECK(more.counts.shared_windows > 20);
    }
}

const std::vector<std::string> kRough = {
    "simulation.compute=cost",
    "simulation.samples_per_second=200",
    "simulation.loss=0.01",
    "simulation.speed_spread=0.5",
    "simulation.up=2MB",
    "simulation.down=4MB",
    "simulation.start_spread=2s",
    "simulation.availability=churn",
    "simulation.churn_up=20s",
    "simulation.churn_down=2s",
    "simulation.time_max=34s",
    "simulation.faults=[\"5s partition 0-29 | 30-59 for 5s\", \"8s reset all | all\", "
    "\"12s kill 10% for 2s\", \"15s power 5,17,33 for 4s\", \"20s cut 20% | all by 0.2 for 5s\", "
    "\"20s echo 10% by 2 for 9s\", \"22s sleep 5% for 4s\", \"25s clog 0-9 | 50-59 for 2s\", "
    "\"26s corrupt 20% | all by 0.02 for 5s\", \"31s leave 7,8 for 1s\"]"};

std::vector<std::string> rough_with(std::vector<std::string> more) {
    auto sets = kRough;
    sets.insert(sets.end(), more.begin(), more.end());
    return sets;
}

}  // namespace

TEST_CASE(
    "many peers that gossip among faults and churn leave one trace on any number of threads") {
    for (const char* latency : {"simulation.latency=40ms", "simulation.latency=3ms"})
        same_on_any_threads(gossip_run(70, 300),
                            rough_with({latency, "topology.graph=random-regular"}));
}

TEST_CASE("clients and their aggregator leave one trace on any number of threads") {
    same_on_any_threads(federated_run(80, 40),
                        rough_with({"federated.quorum=0.3", "federated.patience_min=1s",
                                    "simulation.latency_distribution=exponential"}));
}

TEST_CASE("what is learned for real is the same on any number of threads") {
    same_on_any_threads(federated_run(80, 6), {"data.synthetic_train=1600"});
    same_on_any_threads(gossip_run(80, 6), {"data.synthetic_train=1600", "gossip.evaluate_every=2",
                                            "topology.graph=random-regular"});
}

TEST_CASE("places without any distance are turned alone, and nothing changes") {
    const std::vector<std::string> sets = {"simulation.latency=1us", "simulation.compute=cost"};
    const auto one = watch(gossip_run(20, 10), sets, 1), two = watch(gossip_run(20, 10), sets, 2);
    CHECK(one.outcome.trace_hash == two.outcome.trace_hash);
    CHECK(one.told == two.told);
    CHECK(one.outcome.rounds >= 10);
}

TEST_CASE(
    "whoever may interrupt a simulation is asked after some thousand events, however large its "
    "windows are") {
    const auto simulation = testing::make(testing::load(
        testing::gossip_run(2000, 2), {"simulation.compute=cost", "simulation.start_spread=0s",
                                       "topology.graph=random-regular"}));
    int asked = 0;
    const auto outcome = simulation->run([&] { return ++asked < 5; });
    REQUIRE(outcome);
    CHECK(outcome->end == "interrupted");
    CHECK(simulation->world().counts().windows < 100);
}

TEST_CASE("a run that its virtual time ends, ends with the same event on any number of threads") {
    for (int i = 0; i < 12; ++i) {
        const auto time_max = std::to_string(1'600'000 + 12'500 * i + 11'700) + "us";
        std::optional<Outcome> first;
        for (const unsigned threads : {1u, 2u}) {
            const auto simulation =
                make(load(gossip_run(60, 1000),
                          {"simulation.compute=cost", "simulation.latency=50ms",
                           "simulation.jitter=0.2", "simulation.latency_distribution=exponential",
                           "simulation.speed_spread=0.5", "simulation.samples_per_second=200",
                           "topology.graph=random-regular", "simulation.time_max=" + time_max}),
                     {.threads = threads, .shared_from = 2});
            Instant latest;
            simulation->chronicle().also = [&](Instant at, PlaceIndex, const auto&) {
                latest = std::max(latest, at);
            };
            const auto outcome = simulation->run();
            REQUIRE(outcome);
            CHECK(simulation->world().now() >= latest);
            CHECK(outcome->events > 1000);
            if (!first) first = *outcome;
            CHECK(outcome->trace_hash == first->trace_hash);
            CHECK(outcome->virtual_seconds == first->virtual_seconds);
        }
    }
}

TEST_CASE("a calendar gives every event once, window by window") {
    std::mt19937_64 draws(7);
    Calendar calendar(1ms);
    std::vector<std::int64_t> pushed, taken;
    std::int64_t now = 0;
    std::uint64_t counter = 0;
    const auto push = [&](std::int64_t at) {
        calendar.push({{at}, 1, 1, counter++}, {.kind = EventKind::deadline});
        pushed.push_back(at);
    };
    for (int i = 0; i < 100; ++i) push(static_cast<std::int64_t>(draws() % 5'000'000'000));
    std::vector<Item> window;
    while (!calendar.empty()) {
        const auto first = calendar.first();
        auto until = calendar.end_of(first);
        if (draws() % 4 == 0)
            until = first + Duration{static_cast<std::int64_t>(draws() % 1'000'000)};
        window.clear();
        calendar.take(until, window);
        for (const auto& item : window) {
            CHECK(item.key.at >= first);
            CHECK(item.key.at < until);
            CHECK(item.key.at.ns >= now);
            taken.push_back(item.key.at.ns);
        }
        now = std::max(now, first.ns);
        if (pushed.size() > 5'000) continue;
        for (auto n = draws() % 4; n > 0; --n)  // near, far, and in the window itself
            push(until.ns + static_cast<std::int64_t>(
                                draws() % (n % 2 ? std::uint64_t{2'000'000} : 9'000'000'000)));
    }
    std::ranges::sort(pushed);
    std::ranges::sort(taken);
    CHECK(taken == pushed);
    CHECK(calendar.largest() > 100);
}

TEST_CASE("a window of many blocks, taken up to its middle, takes more and gives the rest") {
    std::mt19937_64 draws(8);
    Calendar calendar(1ms);
    std::vector<std::int64_t> pushed, taken;
    const auto push = [&](std::int64_t from, std::int64_t to) {
        const auto at = from + static_cast<std::int64_t>(draws() % std::uint64_t(to - from));
        calendar.push({{at}, 1, 1, pushed.size()}, {.kind = EventKind::deadline});
        pushed.push_back(at);
    };
    for (int i = 0; i < 100; ++i) push(5'000'000, 6'000'000);
    std::vector<Item> window;
    for (const std::int64_t until : {5'300'000, 5'600'000, 6'000'000}) {
        CHECK(calendar.first().ns == 5'000'000);
        auto least = Instant::never().ns;
        for (const auto at : pushed)
            if (std::ranges::find(taken, at) == taken.end()) least = std::min(least, at);
        CHECK(calendar.earliest().ns == least);
        window.clear();
        calendar.take({until}, window);
        for (const auto& item : window) {
            CHECK(item.key.at.ns < until);
            taken.push_back(item.key.at.ns);
        }
        if (until < 6'000'000)
            for (int i = 0; i < 40; ++i) push(until, 6'000'000);
    }
    CHECK(calendar.empty());
    std::ranges::sort(pushed);
    std::ranges::sort(taken);
    CHECK(taken == pushed);
}
