// The scenarios that ship: each does what its first lines say, with one thread and with two. What
// would take more than a few seconds is made smaller.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>

#include "drivers/program/shipped_scenarios.hpp"
#include "gossamer/data/load.hpp"
#include "simulation/scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

struct Ran {
    explicit Ran(std::unique_ptr<Simulation> made) : simulation(std::move(made)) {}
    std::unique_ptr<Simulation> simulation;
    Heard heard{*simulation};
    Outcome outcome;
    const Scenario& scenario() const { return simulation->scenario(); }
    double mean_of_optima() const {
        double sum = 0;
        for (std::uint64_t p = 0; p < scenario().peers(); ++p)
            sum += scenario().quadratic()->optimum(p)[0];
        return sum / scenario().peers();
    }
};

bool data_is_here() {
    static const bool here = std::filesystem::exists(data::kFashionMnistFolder);
    if (!here) MESSAGE("SKIPPED: the package dataset-fashion-mnist is not installed");
    return here;
}

std::shared_ptr<const Scenario> shipped(std::string_view name, std::vector<std::string> sets) {
    for (const auto& s : program::shipped_scenarios())
        if (s.name == name) {
            auto scenario = Scenario::load(std::string(name), std::string(s.text), std::move(sets),
                                           no_extensions());
            REQUIRE_MESSAGE(scenario, (scenario ? "" : scenario.error().to_string()));
            return *scenario;
        }
    FAIL("no scenario ships as " << std::string(name));
    return {};
}

// With one thread; with two all is the same.
std::unique_ptr<Ran> ran(std::string_view name, const std::vector<std::string>& sets = {}) {
    INFO(std::string(name));
    std::unique_ptr<Ran> first;
    for (const unsigned threads : {1u, 2u}) {
        auto now = std::make_unique<Ran>(make(shipped(name, sets), {.threads = threads}));
        auto outcome = now->simulation->run();
        REQUIRE_MESSAGE(outcome, (outcome ? "" : outcome.error().to_string()));
        now->outcome = *outcome;
        CHECK(outcome->reached);
        CHECK(outcome->broken.empty());
        CHECK(outcome->failures.empty());
        if (!first) {
            first = std::move(now);
            continue;
        }
        CHECK(outcome->trace_hash == first->outcome.trace_hash);
        CHECK(outcome->model == first->outcome.model);
        CHECK(outcome->events == first->outcome.events);
        CHECK(outcome->bytes_sent == first->outcome.bytes_sent);
        CHECK(outcome->end == first->outcome.end);
    }
    return first;
}

struct Rounds {
    std::vector<double> ended, took;  // virtual seconds
    std::vector<std::size_t> accepted;
};
Rounds rounds_of(const Ran& r) {
    Rounds rounds;
    r.heard.each<message::RoundFinished>([&](double at, PlaceIndex, const auto& n) {
        rounds.ended.push_back(at);
        rounds.took.push_back(seconds(n.elapsed));
        rounds.accepted.push_back(n.accepted.size());
        CHECK(n.round == rounds.ended.size());  // each once, in order
    });
    return rounds;
}

double sum_of(const std::vector<double>& of) {
    double sum = 0;
    for (const double x : of) sum += x;
    return sum;
}

std::size_t peers_that_know_their_accuracy(const Ran& r) {
    const auto& known = r.simulation->chronicle().accuracy_of_peers();
    return static_cast<std::size_t>(
        std::ranges::count_if(known, [](double a) { return !std::isnan(a); }));
}

}  // namespace

TEST_CASE("all that ships is tested here") {
    std::vector<std::string_view> names;
    for (const auto& s : program::shipped_scenarios()) names.push_back(s.name);
    CHECK(names == std::vector<std::string_view>{"churn-10k", "crash-resume", "fedavg-1000",
                                                 "gossip-96", "logistic-1000", "night", "partition",
                                                 "quadratics", "stragglers"});
}

TEST_CASE("fedavg-1000 learns what the paper's algorithm does on these data") {
    if (!data_is_here()) return;
    const auto r = ran("fedavg-1000");
    const auto rounds = rounds_of(*r);
    CHECK(rounds.accepted == std::vector<std::size_t>(50, 100));
    CHECK(within(0.015, r->outcome.accuracy, 0.797));
}

TEST_CASE("logistic-1000 learns from ten clients a round") {
    if (!data_is_here()) return;
    const auto r = ran("logistic-1000");
    CHECK(rounds_of(*r).accepted == std::vector<std::size_t>(100, 10));
    CHECK(r->outcome.client_updates == 1000);
    CHECK(r->outcome.accuracy > 0.77);
}

TEST_CASE("gossip-96 learns on each of the graphs that it names, the faster the better they mix") {
    if (!data_is_here()) return;
    constexpr std::size_t kSteps = 20, kFinal = 4, kPeers = 96;
    struct Graph {
        const char* set;
        std::size_t heard;  // neighbours whose models a peer mixes in a step
        double accuracy;
    };
    std::vector<double> distances;
    for (const auto& graph :
         {Graph{"topology.graph=ring", 2, 0.3}, Graph{"topology.graph=torus", 4, 0.42},
          Graph{"topology.graph=random-regular", 4, 0.47},
          Graph{"topology.graph=one-peer-exponential", 1, 0.45}}) {
        CAPTURE(std::string(graph.set));
        const auto r = ran("gossip-96", {graph.set, "run.rounds=" + std::to_string(kSteps),
                                         "gossip.final_averaging_steps=" + std::to_string(kFinal)});
        std::size_t whole = 0;
        r->heard.each<message::Mixed>([&](double, PlaceIndex, const auto& n) {
            CHECK(n.mixed.size() <= graph.heard);
            whole += n.mixed.size() == graph.heard;
        });
        // Who starts last may begin with a neighbour's model, a step or two later than others.
        CHECK(whole > (kSteps + kFinal - 2) * kPeers);
        CHECK(r->outcome.client_updates > (kSteps - 2) * kPeers);
        CHECK(r->outcome.accuracy > graph.accuracy);
        auto& meter = r->simulation->chronicle().consensus();
        meter.finish();
        distances.push_back(meter.distances().at(kSteps));
    }
    // Spectral gaps of 0.0014, 0.054 and 0.12; 0.20 a step of the last one.
    CHECK(distances[0] > 1.2 * distances[1]);
    CHECK(distances[1] > 1.05 * distances[2]);
    CHECK(distances[0] > 1.2 * distances[3]);
}

TEST_CASE("churn-10k: scalars of 500 peers that come and go end at one value near their mean") {
    const auto r = ran("churn-10k", {"run.peers=500"});
    const auto& s = r->scenario();
    // Up for ten minutes, away for half of one.
    const double cycles = 500 * r->outcome.virtual_seconds / (600 + 30);
    const auto restarts = static_cast<double>(r->simulation->world().counts().restarts);
    CHECK(within(0.2, restarts, cycles));
    CHECK(r->outcome.consensus < 2e-3);
    // Who comes back begins with a neighbour's value: each time the mean moves, by one of 500.
    std::size_t there = 0;
    const double mean = r->mean_of_optima();
    for (PlaceIndex p = 0; p < s.peers(); ++p) {
        const auto model = r->simulation->model(p);
        if (model.empty()) continue;
        ++there;
        CHECK(std::abs(model[0] - mean) < 0.15);
    }
    CHECK(there > 400);
}

TEST_CASE("night: half of the fleet sleeps at any time, and the rounds go on") {
    if (!data_is_here()) return;
    const auto r = ran("night");
    const auto rounds = rounds_of(*r);
    REQUIRE(rounds.ended.size() == 60);
    CHECK(rounds.ended.back() > 1.5 * 120);  // days
    for (const double took : rounds.took) CHECK(took < 45);
    for (const auto accepted : rounds.accepted) CHECK(accepted >= 2);
    CHECK(r->outcome.accuracy > 0.7);
    // Of the devices whose states are kept, how many are not there.
    constexpr PlaceIndex kShown = 60;
    std::vector<bool> there(kShown);
    double next_look = 5;
    for (const auto& event : r->simulation->chronicle().states()) {
        const double at = seconds(event.at - World::kBeginning);
        for (; next_look < std::min(at, rounds.ended.back()); next_look += 5) {
            CAPTURE(next_look);
            const auto asleep = std::ranges::count(there, false);
            CHECK(asleep > kShown / 4);
            CHECK(asleep < kShown * 3 / 4);
        }
        if (event.place < kShown) there[event.place] = event.state == PlaceState::running;
    }
    CHECK(next_look > rounds.ended.back() - 10);
    CHECK(peers_that_know_their_accuracy(*r) > 40);
}

TEST_CASE("stragglers: who invites more clients than it wants does not wait for the slow ones") {
    if (!data_is_here()) return;
    const auto more = ran("stragglers"), exact = ran("stragglers", {"federated.over_provision=1"});
    const auto quick = rounds_of(*more), slow = rounds_of(*exact);
    CHECK(quick.accepted == std::vector<std::size_t>(20, 20));
    CHECK(slow.accepted == quick.accepted);
    CHECK(sum_of(slow.took) > 4 * sum_of(quick.took));
    CHECK(std::ranges::max(quick.took) < 2);  // 60 images at 100 a second; a slow device: 6 s
    CHECK(more->outcome.accuracy > 0.68);
    CHECK(std::abs(more->outcome.accuracy - exact->outcome.accuracy) < 0.04);
    CHECK(peers_that_know_their_accuracy(*more) > 90);
}

TEST_CASE(
    "partition: the halves drift apart while it lasts, and agree and know of each other after") {
    if (!data_is_here()) return;
    const auto r = ran("partition");
    const auto& faults = r->simulation->chronicle().faults();
    REQUIRE(faults.size() == 2);
    const double begins = seconds(faults[0].first - World::kBeginning),
                 ends = seconds(faults[1].first - World::kBeginning);
    const double length = r->outcome.virtual_seconds;
    CHECK(begins > 0.25 * length);
    CHECK(ends < 0.75 * length);
    CHECK(ends - begins > 0.1 * length);

    auto& meter = r->simulation->chronicle().consensus();
    meter.finish();
    const auto& rows = r->simulation->chronicle().rows();
    const auto gap_between = [&](double from, double until) {
        double sum = 0;
        int count = 0;
        for (const auto& [step, distance] : meter.distances()) {
            const double at = seconds(rows.at(step).at - World::kBeginning);
            if (at > from && at < until) sum += distance, ++count;
        }
        REQUIRE(count > 3);
        return sum / count;
    };
    const double before = gap_between(begins - 25, begins);
    const double early = gap_between(begins + 1, begins + 11);
    const double late = gap_between(ends - 10, ends);
    const double after = gap_between(ends + 40, ends + 65);
    CHECK(early > 1.5 * before);
    CHECK(late > 1.3 * early);
    CHECK(after < 1.3 * before);

    // What each says of each, when the partition ends and when it is healed.
    std::map<std::pair<PlaceIndex, PeerId>, message::MemberState> then, healed;
    r->heard.each<message::MemberChanged>([&](double at, PlaceIndex place, const auto& n) {
        if (at < ends) then[{place, n.peer}] = n.to;
        if (at < ends + 40) healed[{place, n.peer}] = n.to;
    });
    const auto dead = [](const auto& of) {
        return std::ranges::count_if(
            of, [](const auto& one) { return one.second != message::MemberState::alive; });
    };
    CHECK(dead(then) == 16 * 8);
    CHECK(dead(healed) == 0);
    CHECK(healed.size() == 16 * 16);
    CHECK(r->outcome.worst_accuracy > 0.74);
}

TEST_CASE(
    "crash-resume: each life of the aggregator goes on at its round, to the very same model") {
    if (!data_is_here()) return;
    const auto r = ran("crash-resume"), calm = ran("crash-resume", {"simulation.faults=[]"});
    CHECK(r->outcome.model == calm->outcome.model);
    CHECK(r->outcome.rounds == 15);
    CHECK(rounds_of(*calm).ended.size() == 15);
    const auto rounds = rounds_of(*r);
    REQUIRE(rounds.ended.size() == 15);
    CHECK(rounds.accepted == std::vector<std::size_t>(15, 20));
    std::vector<std::pair<double, std::uint64_t>> lives;
    r->heard.each<message::RunStarted>([&](double at, PlaceIndex place, const auto& n) {
        if (place == r->scenario().peers()) lives.emplace_back(at, n.round);
    });
    REQUIRE(lives.size() == 4);
    for (const auto& [at, round] : lives)  // as many as were complete
        CHECK(round == std::uint64_t(std::ranges::count_if(
                           rounds.ended, [&, at = at](double ended) { return ended < at; })));
    CHECK(lives[3].second > lives[1].second);
    CHECK(r->outcome.accuracy > 0.75);
    CHECK(peers_that_know_their_accuracy(*r) == 20);
}

TEST_CASE("quadratics: the models stand still, where nothing but the exact solution does") {
    const auto r = ran("quadratics");
    const auto& s = r->scenario();
    const auto& schedule = *s.schedule();
    const auto& roster = *s.roster();
    const auto& eigenvalues = s.quadratic()->eigenvalues();
    double worst = 0;
    for (PlaceIndex p = 0; p < s.peers(); ++p) {
        const auto place = *roster.place_of(s.id(p));
        for (std::size_t k = 0; k < eigenvalues.size(); ++k) {
            const double step = s.world().quadratic.rate * eigenvalues[k];
            const auto stepped = [&](PlaceIndex i) {
                const double x = r->simulation->model(i)[k];
                return x - step * (x - s.quadratic()->optimum(i)[k]);
            };
            double next = schedule.self_weight(place, 0) * stepped(p);
            for (const auto& j : schedule.in_neighbours(place, 0))
                next += j.weight() * stepped(s.index_of(j.place));
            worst = std::max(worst, std::abs(next - r->simulation->model(p)[k]));
        }
    }
    // The solution, (I - (1 - step) W) x = step W b, is at most a hundred times as far: 1 / step.
    CHECK(worst < 1e-6);
    CHECK(r->outcome.consensus > 0.1);  // peers that differ do not agree under a constant step
}
