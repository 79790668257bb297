// Whom packets reach: cuts one way and both, data held back, connections that break, peers behind
// NAT. Latencies are a tenth of a second each.
#include <algorithm>
#include <limits>

#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
constexpr PlaceIndex kAggregator = 3;

// Three clients, which train for a second, and their aggregator.
class Few {
public:
    explicit Few(const std::string& faults)
        : simulation_(
              make(load(federated_run(3, 1000),
                        {"simulation.compute=cost", "simulation.samples_per_second=60",
                         "simulation.latency=100ms", "simulation.latency_distribution=fixed",
                         "simulation.jitter=0", "simulation.start_spread=0s",
                         "simulation.time_max=40s", "federated.quorum=0.1",
                         "federated.attempts=1000", "simulation.faults=[" + faults + "]"}))),
          heard_(*simulation_) {
        const auto o = simulation_->run();
        REQUIRE(o);
        CHECK(o->broken.empty());
    }
    // When a place first held another one for such, or linked with it, after this time.
    double first(PlaceIndex by, PlaceIndex of, message::MemberState state) const {
        return first_of<message::MemberChanged>(
            by, of, 0, [&](const auto& n) { return n.from != n.to && n.to == state; });
    }
    double link(PlaceIndex by, PlaceIndex with, bool up, double after = 0) const {
        return first_of<message::LinkChanged>(by, with, after,
                                              [&](const auto& n) { return n.up == up; });
    }

private:
    template <class N, class Is>
    double first_of(PlaceIndex by, PlaceIndex of, double after, Is&& is) const {
        double when = kNever;
        heard_.each<N>([&](double at, PlaceIndex place, const N& n) {
            if (place == by && n.peer == simulation_->scenario().id(of) && at > after && is(n))
                when = std::min(when, at);
        });
        return when;
    }
    std::unique_ptr<Simulation> simulation_;
    Heard heard_;
};

using message::MemberState;

}  // namespace

TEST_CASE("a one-way cut lets the other direction through") {
    // What a client says when it leaves is heard, though it hears nothing.
    const Few deaf(R"("5s oneway aggregator > 0 for 20s", "6s leave 0")");
    CHECK(deaf.first(kAggregator, 0, MemberState::left) == doctest::Approx(6.1));
    CHECK(deaf.first(kAggregator, 0, MemberState::suspect) == kNever);
    // Or it is not, and the aggregator finds out by itself; others hear it all the same.
    for (const char* cut : {"5s oneway 0 > aggregator", "5s partition 0 | aggregator"}) {
        CAPTURE(std::string(cut));
        const Few mute('"' + std::string(cut) + R"( for 20s", "6s leave 0")");
        CHECK(mute.first(kAggregator, 0, MemberState::left) == kNever);
        CHECK(mute.first(kAggregator, 0, MemberState::suspect) > 7);
        CHECK(mute.first(1, 0, MemberState::left) == doctest::Approx(6.1));
    }
    // Who hears nothing suspects; who is not heard does not.
    const Few hears_nothing(R"("5s oneway aggregator > 0 for 3500ms")");
    const Few is_not_heard(R"("5s oneway 0 > aggregator for 3500ms")");
    CHECK(hears_nothing.first(0, kAggregator, MemberState::suspect) < 9);
    CHECK(hears_nothing.first(kAggregator, 0, MemberState::suspect) == kNever);
    CHECK(is_not_heard.first(0, kAggregator, MemberState::suspect) == kNever);
    CHECK(is_not_heard.first(kAggregator, 0, MemberState::suspect) < 9);
}

TEST_CASE("a clog holds data back and lets dials pass") {
    // Held since 6 s at the latest: sent again half as long after it is over, and a second at most.
    const Few held(R"("5s clog 0 | aggregator for 2s", "6s leave 0")");
    const double heard = held.first(kAggregator, 0, MemberState::left);
    CHECK(heard >= 7 + 0.5 + 0.1);
    CHECK(heard <= 7 + 1 + 0.1);
    CHECK(held.first(1, 0, MemberState::left) == doctest::Approx(6.1));
    // Its dial took four latencies, what it says then is held for 1.6 s. A cut fails the dial.
    const Few dials(R"("0s clog 0 | aggregator for 2s")");
    CHECK(dials.link(kAggregator, 0, true) == doctest::Approx(2 + 0.8 + 0.1));
    CHECK(dials.link(0, kAggregator, false) == kNever);
    const Few cut(R"("0s partition 0 | aggregator for 2s")");
    CHECK(cut.link(kAggregator, 0, true) > 10);
}

TEST_CASE("a reset breaks the connections that it names at once, and they come again") {
    for (const PlaceIndex other : {kAggregator, PlaceIndex{1}}) {
        const Few few(std::string("\"6s reset 0 | ") + (other == 1 ? "1" : "aggregator") + "\"");
        for (PlaceIndex a = 0; a <= kAggregator; ++a)
            for (PlaceIndex b = 0; b <= kAggregator; ++b) {
                if (a == b) continue;
                const bool named = std::min(a, b) == 0 && std::max(a, b) == other;
                CHECK(few.link(a, b, false) == (named ? 6.0 : kNever));
                const double again = few.link(a, b, true, 6);
                if (named)
                    CHECK(again < 7);
                else
                    CHECK(again == kNever);
            }
    }
}

TEST_CASE("peers behind NAT dial and are not dialled, and train like others") {
    constexpr PlaceIndex kPeers = 12;
    for (const auto& text : {gossip_run(kPeers, 40), federated_run(kPeers, 40)}) {
        auto simulation = make(load(text, {"simulation.compute=cost", "simulation.nat=0.5",
                                           "simulation.samples_per_second=60"}));
        auto& world = simulation->world();
        std::vector<std::size_t> trained(kPeers);
        simulation->chronicle().also = [&](Instant, PlaceIndex p, const message::Notice& notice) {
            trained[p % kPeers] += std::holds_alternative<message::Trained>(notice);
        };
        while (world.step(World::kBeginning + 20s)) continue;
        const auto& network = world.network();
        std::size_t behind = 0;
        for (PlaceIndex a = 0; a < kPeers; ++a) {
            behind += network.behind_nat(a);
            for (PlaceIndex b = 0; b < a; ++b)
                CHECK(world.linked(a, b) == !(network.behind_nat(a) && network.behind_nat(b)));
        }
        CHECK(behind > 3);
        CHECK(behind < 9);
        REQUIRE(simulation->run());
        for (const auto count : trained) CHECK(count >= 38);
    }
    const auto o = run(federated_run(8, 3), {"simulation.nat=1.0"});
    CHECK(o.client_updates == 24);
}

TEST_CASE("members whose lines are too thin for their heartbeats break no promise of ours") {
    // A model of 20 kB at 1 kB/s; heartbeats wait behind it, and members hold each other for dead.
    const auto o = run(gossip_run(8, 3), {"simulation.up=1kB", "simulation.time_max=20min"});
    CHECK(o.broken.empty());
}
