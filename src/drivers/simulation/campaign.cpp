#include "drivers/simulation/campaign.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace gossamer::simulation {

namespace {

Result<Outcome> run_world(const DrawnWorld& world, unsigned threads, const Extensions& extensions,
                          Verdict& verdict) {
    auto& broken = verdict.broken;
    GOSSAMER_TRY(auto scenario, Scenario::load(fmt::format("campaign-{}.toml", world.seed),
                                               world.text, {}, extensions));
    GOSSAMER_TRY(auto sim, Simulation::create(scenario, {.threads = threads}));
    GOSSAMER_TRY(auto outcome, sim->run());
    broken = outcome.broken;
    verdict.peer_hours = outcome.virtual_seconds / 3600 * scenario->places();
    const auto tell = [&](const std::string& what) {
        broken.push_back(fmt::format("seed {}: {}", world.seed, what));
    };
    if (!world.must_end) return outcome;
    std::string missing;
    for (PlaceIndex p = 0; p < scenario->places(); ++p) {
        if (sim->world().has_ended(p)) continue;
        missing += fmt::format("{}{}", missing.empty() ? "" : ", ", p);
        if (!sim->world().running(p)) continue;
        const auto status = sim->world().node(p).status(sim->world().now());
        missing += fmt::format(" (round {}", status.round);
        for (const auto& w : status.waiting) missing += "; waits for " + w.what;
        missing += ")";
    }
    if (!missing.empty())
        tell(fmt::format("faults stopped, but after {:.0f}s these have not ended: {}",
                         outcome.virtual_seconds, missing));
    if (missing.empty() && outcome.rounds < scenario->run().rounds)
        tell(fmt::format("ended after {} of {} rounds: {}", outcome.rounds, scenario->run().rounds,
                         outcome.end));
    if (!world.must_agree || !missing.empty()) return outcome;
    const double most = agreement_bound(*scenario->schedule(), world.calm_steps,
                                        scenario->world().quadratic.spread);
    if (!(outcome.consensus <= most))
        tell(
            fmt::format("models are {:.3g} from their mean, after {} steps of averaging {:.3g} is "
                        "the most",
                        outcome.consensus, world.calm_steps, most));
    return outcome;
}

}  // namespace

double agreement_bound(const topology::Schedule& schedule, std::uint64_t steps, double spread) {
    const auto s = topology::spectrum(schedule);
    const double periods = static_cast<double>(steps / 2) / static_cast<double>(s.period);
    return 3 * spread * std::pow(std::min(s.second, 1.0), periods) + 0.01 * spread;
}

Verdict try_world(const DrawnWorld& world, bool twice, const Extensions& extensions) {
    Verdict verdict{.seed = world.seed};
    auto outcome = run_world(world, 1, extensions, verdict);
    if (!outcome) {
        verdict.broken.push_back(
            fmt::format("seed {}: {}", world.seed, outcome.error().to_string()));
        return verdict;
    }
    verdict.events = outcome->events;
    verdict.trace_hash = outcome->trace_hash;
    verdict.wall_seconds = outcome->wall_seconds;
    if (!twice) return verdict;
    Verdict again;
    auto second = run_world(world, 2, extensions, again);
    if (!second)
        verdict.broken.push_back(
            fmt::format("seed {}, on two threads: {}", world.seed, second.error().to_string()));
    for (auto& what : again.broken)
        if (std::ranges::find(verdict.broken, what) == verdict.broken.end())
            verdict.broken.push_back("on two threads: " + std::move(what));
    if (!second || second->trace_hash != outcome->trace_hash)
        verdict.broken.push_back(
            fmt::format("seed {}: the trace differs between one thread, {:016x}, and two, {:016x}",
                        world.seed, outcome->trace_hash, second ? second->trace_hash : 0));
    return verdict;
}

}  // namespace gossamer::simulation
