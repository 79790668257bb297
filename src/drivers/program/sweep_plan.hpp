// What a sweep runs: each point of the grid with each seed, its settings checked before anything
// starts.
#pragma once

#include <string>
#include <vector>

#include "drivers/program/finished_run.hpp"
#include "drivers/program/simulation_commands.hpp"

namespace gossamer::program {

struct SweepFlags {
    std::string scenario, out, seeds, format = "text";
    std::vector<std::string> grid, sets;
    unsigned jobs = 0, threads = 1;
    bool wire = false;
};

struct SweepRun {
    std::size_t point = 0;          // of the grid
    std::string seed;               // "" = the scenario's own
    std::vector<std::string> sets;  // for the command line
    std::string label;              // "training.learning_rate=0.1 seed 3"
    std::string folder;             // below the sweep's: made of the settings
    std::string settings_name;      // the same for the same settings, and no others
    Settings settings;              // all, resolved
};

struct SweepPlan {
    static constexpr std::size_t kRunsMax = 10'000;
    ScenarioText scenario;
    std::vector<std::string> keys;                 // of the grid
    std::vector<std::vector<std::string>> points;  // their values
    std::vector<SweepRun> runs;
};

// Errors: kUsage for what is no grid; those of the configuration, for any point, with a suggestion
// where a key does not exist.
Result<SweepPlan> plan_sweep(const SweepFlags& flags, const Extensions& extensions);

}  // namespace gossamer::program
