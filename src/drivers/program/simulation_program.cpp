#include "drivers/program/simulation_program.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>

#include <fmt/format.h>
#include <sodium.h>
#include <CLI/CLI.hpp>

#include "drivers/program/campaign_command.hpp"
#include "drivers/program/examples_first.hpp"
#include "drivers/program/simulation_commands.hpp"
#include "drivers/program/unknown_words.hpp"
#include "drivers/program/version.hpp"
#include "gossamer/program.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::program {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  gossamer-sim list                                 the scenarios that ship\n"
    "  gossamer-sim run fedavg-1000                      one of them\n"
    "  gossamer-sim run mine.toml --set run.seed=7       your own file, with a value changed\n"
    "  gossamer-sim show night > mine.toml               a file to start from\n"
    "  gossamer-sim sweep mine.toml --grid training.learning_rate=0.01,0.1 --seeds 1-5 --out lr\n"
    "  gossamer-sim replay runs/mine-1                   the same run again, to the same hash\n"
    "  gossamer-sim export mine.toml --out fleet         configurations of real daemons\n"
    "  gossamer-sim campaign --seeds 200                 random worlds with faults of all kinds\n";

std::atomic<bool> was_interrupted{false};
void on_interrupt(int) {
    if (was_interrupted.exchange(true)) _exit(130);
}

void add_campaign_command(CLI::App& app, SimulationLine& line) {
    auto flags = std::make_shared<CampaignFlags>();
    auto* campaign = app.add_subcommand("campaign", "Random worlds with faults: what breaks?");
    campaign->add_option("--seeds", flags->seeds, "How many worlds")
        ->check(CLI::Range(std::int64_t{0}, INT64_MAX));
    campaign->add_option("--from", flags->from, "The first seed")
        ->check(CLI::Range(std::int64_t{0}, INT64_MAX));
    campaign->add_option("--threads", flags->threads, "Worlds at once (0: one a core)")
        ->check(CLI::Range(0u, kThreadsMost));
    campaign->add_option("--time-max", flags->real_time, "Begin no world after it, such as 10m");
    campaign->add_option("--out", flags->out, "Folder for worlds that broke, as scenarios");
    campaign->add_option("--format", flags->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    campaign->callback([&line, flags] {
        line.chosen = [&line, flags] {
            return run_campaign(*flags, line.extensions, was_interrupted);
        };
    });
}

int refuse(const CLI::App& app, const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);  // --help, --version
    const auto words = unknown_words(app, problem);
    const Error error{ErrorCode::kUsage, words ? words->what() : problem.what(), "see --help"};
    fmt::print(stderr, "{}\n", telemetry::harmless(error.to_string()));
    return static_cast<int>(ExitCode::usage);
}

int run_line(int argc, char** argv, const Extensions& extensions) {
    CLI::App app{"Simulates many peers on this host with the code that ships."};
    app.formatter(std::make_shared<ExamplesFirst>(kExamples));
    app.set_version_flag("--version", version_text());
    app.require_subcommand(1);
    SimulationLine line{extensions, {}};
    add_run_command(app, line);
    add_scenario_commands(app, line);
    add_sweep_command(app, line);
    add_compare_command(app, line);
    add_replay_command(app, line);
    add_export_command(app, line);
    add_campaign_command(app, line);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& problem) {
        return refuse(app, problem);
    }
    if (sodium_init() < 0) return static_cast<int>(ExitCode::internal);
    watch_for_interrupts();
    auto code = line.chosen();
    if (code && std::fflush(stdout) != 0)
        code = fail(ErrorCode::kDiskFailed,
                    std::string("the answer could not be written: ") + std::strerror(errno));
    if (code) return static_cast<int>(*code);
    fmt::print(stderr, "{}\n", telemetry::harmless(code.error().to_string()));
    return static_cast<int>(exit_code_of(code.error().code));
}

}  // namespace

bool interrupted() { return was_interrupted; }
void watch_for_interrupts() {
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
}

std::string number_text(double value, int decimals) {
    return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, decimals);
}

// Errors are values; what is thrown all the same, such as by a want of memory, is our own fault.
int run_simulation(int argc, char** argv, const Extensions& extensions) try {
    return run_line(argc, argv, extensions);
} catch (const std::exception& e) {
    const Error error{ErrorCode::kInternal, e.what(), {}};
    std::fprintf(stderr, "%s\n", telemetry::harmless(error.to_string()).c_str());
    return static_cast<int>(ExitCode::internal);
}

}  // namespace gossamer::program

namespace gossamer {

int run_simulation(int argc, char** argv, const Extensions& extensions) {
    return program::run_simulation(argc, argv, extensions);
}

}  // namespace gossamer
