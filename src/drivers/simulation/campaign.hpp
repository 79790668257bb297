// Fault campaigns: random worlds, drawn from a number each, that must keep what invariants.hpp
// lists and come to an end.
//
// A world has two phases. *Safety*: faults of any kind, up to a time that is drawn. *Liveness*:
// they stop, the run must end within a bound and its models agree. Some worlds never calm down
// (churn to the end, faults for good); of those safety alone is asked. A world is a scenario as
// anybody writes it: `gossamer-sim run` repeats it from its text.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "drivers/simulation/simulation.hpp"

namespace gossamer::simulation {

struct DrawnWorld {
    std::uint64_t seed = 0;
    std::string text;              // TOML
    bool must_end = true;          // and reach its last round
    bool must_agree = true;        // gossip on quadratics: see agreement_bound
    std::uint64_t calm_steps = 0;  // of pure averaging at the end
};
DrawnWorld draw_world(std::uint64_t seed);

struct Verdict {
    std::uint64_t seed = 0;
    std::vector<std::string> broken;  // sentences; empty: all is well
    double peer_hours = 0, wall_seconds = 0;
    std::uint64_t events = 0, trace_hash = 0;
};
// `twice`: once more on two threads, and the trace must be the same. Runs on the calling thread.
Verdict try_world(const DrawnWorld& world, bool twice, const Extensions& extensions = {});

// How far models may be from their mean after `steps` of pure averaging, at most: what the
// spectral gap leaves of `spread` in half of them, since late neighbours are left out at times.
double agreement_bound(const topology::Schedule& schedule, std::uint64_t steps, double spread);

}  // namespace gossamer::simulation
