// The commands of gossamer-sim: each adds itself to the command line, and when it was chosen puts
// what is to be done into `chosen`.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "drivers/program/exit_code.hpp"
#include "gossamer/assembly/extensions.hpp"

namespace CLI {
class App;
}

namespace gossamer::program {

// Why a flag's value names no folder; empty when it does. An unset variable of a shell does not.
inline std::string named_folder(const std::string& path) {
    return path.empty() ? "an empty text names no folder" : "";
}

struct SimulationLine {
    const Extensions& extensions;
    std::function<Result<ExitCode>()> chosen;
};

void add_run_command(CLI::App& app, SimulationLine& line);
void add_scenario_commands(CLI::App& app, SimulationLine& line);  // list, show, keys, faults
void add_sweep_command(CLI::App& app, SimulationLine& line);
void add_compare_command(CLI::App& app, SimulationLine& line);
void add_replay_command(CLI::App& app, SimulationLine& line);
void add_export_command(CLI::App& app, SimulationLine& line);

struct ScenarioText {
    std::string name, text;
};
// A plain file where there is one, else a scenario that ships. Errors: kUsage, kConfigUnreadable.
Result<ScenarioText> find_scenario(const std::string& name);

// Whether Ctrl-C was pressed, or SIGTERM came; a second one ends the program at once.
bool interrupted();
void watch_for_interrupts();

// For --threads and --jobs: a machine of more cores is still to be built.
inline constexpr unsigned kThreadsMost = 1024;

std::string number_text(double value, int decimals = 4);  // "-" when it is not known

}  // namespace gossamer::program
