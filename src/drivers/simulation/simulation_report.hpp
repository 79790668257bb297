// The report page of a simulated run, out of what the chronicle remembers.
#pragma once

#include "drivers/simulation/simulation.hpp"
#include "records/telemetry/report.hpp"
#include "records/telemetry/summary.hpp"

namespace gossamer::simulation {

telemetry::Report report_of(Simulation& simulation, const Outcome& outcome);

// What summary.json holds, under the names that sweeps and benchmarks read.
void fill_summary(telemetry::Summary& summary, const Scenario& scenario, const Outcome& outcome);

}  // namespace gossamer::simulation
