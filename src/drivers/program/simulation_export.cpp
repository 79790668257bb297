// `gossamer-sim export SCENARIO --out DIR`: the scenario as real daemons.
#include <chrono>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/simulation_commands.hpp"
#include "drivers/simulation/daemons.hpp"

namespace gossamer::program {
namespace {

struct ExportFlags {
    std::string scenario, format = "text";
    std::vector<std::string> sets;
    simulation::DaemonExport how;
};

Result<ExitCode> export_scenario(const ExportFlags& flags, const Extensions& extensions) {
    GOSSAMER_TRY(auto found, find_scenario(flags.scenario));
    GOSSAMER_TRY(auto scenario, simulation::Scenario::load(found.name, std::move(found.text),
                                                           flags.sets, extensions));
    auto how = flags.how;
    how.now = WallTime{std::chrono::duration_cast<std::chrono::nanoseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count()};
    GOSSAMER_TRY(const auto daemons, simulation::export_daemons(*scenario, how));
    if (flags.format == "json") {
        nlohmann::ordered_json out{{"schema_version", 1}, {"folder", how.folder}};
        out["daemons"] = nlohmann::ordered_json::array();
        for (const auto& daemon : daemons)
            out["daemons"].push_back({{"name", daemon.name},
                                      {"peer_id", daemon.id.to_string()},
                                      {"address", daemon.address}});
        fmt::print("{}\n", out.dump(2));
    } else {
        fmt::print(
            "{} daemons are in {}\n  start them:  {}/start.sh\n"
            "  simulate the same:  gossamer-sim run {}/scenario.toml\n"
            "  more: {}/README.txt\n",
            daemons.size(), how.folder, how.folder, how.folder, how.folder);
    }
    return ExitCode::ok;
}

}  // namespace

void add_export_command(CLI::App& app, SimulationLine& line) {
    auto flags = std::make_shared<ExportFlags>();
    auto* command = app.add_subcommand("export", "A scenario as configurations of real daemons");
    command->add_option("scenario", flags->scenario, "Name or TOML file")->required();
    command->add_option("--out", flags->how.folder, "The new folder")
        ->required()
        ->check(named_folder);
    command->add_option("--set", flags->sets, "Set an option: section.name=value")->take_all();
    command
        ->add_option("--address", flags->how.address,
                     "Where daemons listen; {port} counts up, {n} is the peer's index")
        ->capture_default_str();
    command->add_option("--port", flags->how.first_port, "The first {port}")
        ->check(CLI::Range(1, 65535))
        ->capture_default_str();
    command->add_option("--format", flags->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    command->callback([&line, flags] {
        line.chosen = [&line, flags] { return export_scenario(*flags, line.extensions); };
    });
}

}  // namespace gossamer::program
