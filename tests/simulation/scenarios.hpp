// Small scenarios for tests, as TOML.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "drivers/simulation/simulation.hpp"

namespace gossamer::simulation::testing {

inline const Extensions& no_extensions() {
    static const Extensions none;
    return none;
}

// Softmax regression on synthetic clusters: a fraction of a millisecond a client and round.
inline std::string federated_run(std::size_t peers, std::size_t rounds) {
    return "[run]\nmode = \"federated\"\npeers = " + std::to_string(peers) +
           "\nrounds = " + std::to_string(rounds) +
           "\nseed = 5\n[data]\nformat = \"synthetic\"\n[model]\nname = \"softmax-regression\"\n"
           "[training]\nlearning_rate = 0.05\n[simulation]\nlatency = \"10ms\"\n";
}
inline std::string gossip_run(std::size_t peers, std::size_t rounds) {
    return "[run]\nmode = \"gossip\"\npeers = " + std::to_string(peers) +
           "\nrounds = " + std::to_string(rounds) +
           "\nseed = 5\n[data]\nformat = \"synthetic\"\n[model]\nname = \"softmax-regression\"\n"
           "[training]\nlearning_rate = 0.05\n[simulation]\nlatency = \"10ms\"\n";
}

inline std::shared_ptr<const Scenario> load(const std::string& text,
                                            std::vector<std::string> sets = {}) {
    auto scenario = Scenario::load("test.toml", text, std::move(sets), no_extensions());
    REQUIRE_MESSAGE(scenario, (scenario ? "" : scenario.error().to_string()));
    return *scenario;
}

inline std::unique_ptr<Simulation> make(std::shared_ptr<const Scenario> scenario,
                                        SimulationOptions options = {}) {
    auto made = Simulation::create(std::move(scenario), options);
    REQUIRE_MESSAGE(made, (made ? "" : made.error().to_string()));
    return std::move(*made);
}

inline Outcome run(const std::string& text, std::vector<std::string> sets = {},
                   SimulationOptions options = {}) {
    auto simulation = make(load(text, std::move(sets)), options);
    auto outcome = simulation->run();
    REQUIRE_MESSAGE(outcome, (outcome ? "" : outcome.error().to_string()));
    return *outcome;
}

// doctest::Approx allows a part of one more than the value.
inline bool within(double part, double value, double expected) {
    return std::abs(value - expected) <= part * std::abs(expected);
}

// What was said in a run, in the order in which it was: when, in virtual seconds, and by whom.
class Heard {
public:
    explicit Heard(Simulation& simulation) {
        simulation.chronicle().also = [this](Instant at, PlaceIndex place,
                                             const message::Notice& notice) {
            said_.push_back({seconds(at - World::kBeginning), place, notice});
        };
    }
    Heard(const Heard&) = delete;
    Heard& operator=(const Heard&) = delete;

    template <class N, class F>
    void each(F&& told) const {
        for (const auto& said : said_)
            if (const auto* n = std::get_if<N>(&said.notice)) told(said.at, said.place, *n);
    }

private:
    struct Said {
        double at;
        PlaceIndex place;
        message::Notice notice;
    };
    std::vector<Said> said_;
};

}  // namespace gossamer::simulation::testing
