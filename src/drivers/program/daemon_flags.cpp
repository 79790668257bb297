#include "drivers/program/daemon_flags.hpp"

#include <CLI/CLI.hpp>

#include "drivers/program/examples_first.hpp"
#include "drivers/program/exit_code.hpp"
#include "drivers/program/version.hpp"

namespace gossamer::program {
namespace {

std::string examples_of(Role role) {
    std::string name = role == Role::peer ? "gossamer-peer" : "gossamer-aggregator";
    std::string file = role == Role::peer ? "peer.toml" : "aggregator.toml";
    return "Examples:\n"
           "  " +
           name + " --config " + file +
           "\n"
           "  " +
           name + " --config " + file +
           " --check              read everything, start nothing\n"
           "  " +
           name + " --config " + file +
           " --set run.rounds=20  change a value for this start\n"
           "  gossamer config show " +
           file + "                       every value, its source and reason\n";
}

}  // namespace

std::optional<int> parse_flags(int argc, char** argv, Role role, DaemonFlags& flags) {
    CLI::App app{role == Role::peer ? "Trains with others: by gossip, or for an aggregator."
                                    : "Leads rounds of federated learning."};
    app.formatter(std::make_shared<ExamplesFirst>(examples_of(role)));
    app.set_version_flag("--version", version_text());
    app.add_option("-c,--config", flags.config, "Configuration file (TOML)");
    app.add_option("--set", flags.sets, "Set an option: section.name=value")->take_all();
    app.add_flag("--check", flags.check, "Check configuration, identity and data, then exit");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        int code = app.exit(e);
        return code == 0 ? static_cast<int>(ExitCode::ok) : static_cast<int>(ExitCode::usage);
    }
    return std::nullopt;
}

}  // namespace gossamer::program
