// When a run is over although some are not there to end. Who is away when the first one finishes is
// not waited for: it might stay away for days of virtual time, and whoever comes back when all
// others have left finds nobody, and dials on or begins again alone. Nor is who can no longer hear
// of the end.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/simulation/scenario.hpp"
#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

class RunEnd {
public:
    // REQUIRES that both outlive it.
    RunEnd(const Scenario& scenario, const World& world);

    // Asked after each step: somebody has finished, in a federated run the aggregator, and nobody
    // is left who could.
    bool over();

private:
    void note_who_is_there();
    bool could_end(PlaceIndex p) const;
    bool could_end_as_client(PlaceIndex p) const;
    bool finds_members(PlaceIndex p) const;
    bool awake(PlaceIndex p) const;
    bool stuck(PlaceIndex p) const;  // its trainer hangs for good

    const Scenario& scenario_;
    const World& world_;
    std::vector<std::uint32_t> there_;  // lives when the first one finished; 0: it was away
    std::vector<bool> hangs_for_good_;  // empty: nobody
    PlaceIndex waited_for_ = 0;         // the last one found who could: looked at first
};

}  // namespace gossamer::simulation
