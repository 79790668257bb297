#include "drivers/program/simulation_program.hpp"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <thread>

#include <fmt/format.h>
#include <sodium.h>

#include "drivers/program/campaign_command.hpp"
#include "drivers/program/examples_first.hpp"
#include "drivers/program/exit_code.hpp"
#include "drivers/program/shipped_scenarios.hpp"
#include "drivers/program/version.hpp"
#include "drivers/simulation/run_records.hpp"
#include "gossamer/program.hpp"
#include "records/telemetry/console.hpp"

namespace gossamer::program {
namespace {

constexpr const char* kExamples =
    "Examples:\n"
    "  gossamer-sim list                                 the scenarios that ship\n"
    "  gossamer-sim run fedavg-1000                      one of them\n"
    "  gossamer-sim run mine.toml --set run.seed=7       your own file, with a value changed\n"
    "  gossamer-sim show night > mine.toml               a file to start from\n"
    "  gossamer-sim campaign --seeds 200                 random worlds with faults of all kinds\n";

std::atomic<bool> interrupted{false};  // by Ctrl-C; asked between events
void on_interrupt(int) {
    if (interrupted.exchange(true)) _exit(130);  // a second one: at once
}

struct RunFlags {
    std::string scenario, out = "runs", format = "text";
    std::vector<std::string> sets;
    unsigned threads = 0;
    bool wire = false;
};

struct ScenarioText {
    std::string name, text;
};

// A file where there is one, else a scenario that ships.
Result<ScenarioText> find_scenario(const std::string& name) {
    if (std::ifstream file(name); file) {
        std::string text{std::istreambuf_iterator<char>(file), {}};
        return ScenarioText{name, std::move(text)};
    }
    std::string known;
    for (const auto& shipped : shipped_scenarios()) {
        if (shipped.name == name) return ScenarioText{name, std::string(shipped.text)};
        known += (known.empty() ? "" : ", ") + std::string(shipped.name);
    }
    return fail(ErrorCode::kUsage, "\"" + name + "\" is neither a file nor a scenario that ships",
                "name a TOML file, or one of: " + known);
}

std::string number(double x, int decimals = 4) {
    return std::isnan(x) ? "-" : fmt::format("{:.{}f}", x, decimals);
}

std::string progress_line(simulation::Simulation& sim, double wall) {
    const auto& world = sim.world();
    const double virtual_seconds = seconds(world.elapsed());
    const auto& run = sim.scenario().run();
    auto round = std::to_string(sim.chronicle().round());
    if (run.rounds) round += "/" + std::to_string(run.rounds);
    return fmt::format(
        "round {}  accuracy {}  loss {}  virtual {}  real {:.1f}s  x{:.0f}  {:.0f}k "
        "events/s",
        round, number(sim.chronicle().accuracy()), number(sim.chronicle().loss()),
        format_duration(Duration{static_cast<std::int64_t>(virtual_seconds * 10) * 100'000'000}),
        wall, virtual_seconds / std::max(wall, 1e-9),
        static_cast<double>(world.counts().events) / std::max(wall, 1e-9) / 1e3);
}

void print_outcome(const simulation::Outcome& o, const std::string& folder) {
    fmt::print("{}\n", o.end);
    fmt::print("  accuracy          {}\n", number(o.accuracy));
    if (!std::isnan(o.worst_accuracy))
        fmt::print("  worst peer        {}\n", number(o.worst_accuracy));
    fmt::print("  loss              {}\n", number(o.loss));
    if (!std::isnan(o.consensus)) fmt::print("  consensus         {:.3g}\n", o.consensus);
    fmt::print("  rounds            {}\n", o.rounds);
    fmt::print("  client updates    {}  ({:.0f}/s)\n", o.client_updates,
               static_cast<double>(o.client_updates) / std::max(o.wall_seconds, 1e-9));
    fmt::print("  events            {}  ({:.0f}/s)\n", o.events,
               static_cast<double>(o.events) / std::max(o.wall_seconds, 1e-9));
    fmt::print("  sent              {}\n", format_bytes(static_cast<std::int64_t>(o.bytes_sent)));
    fmt::print("  virtual, real     {:.1f}s, {:.1f}s\n", o.virtual_seconds, o.wall_seconds);
    fmt::print("  memory at most    {}\n",
               format_bytes(static_cast<std::int64_t>(o.peak_rss_bytes)));
    fmt::print("  trace hash        {:016x}\n", o.trace_hash);
    if (!o.model.empty()) fmt::print("  final model       {}\n", o.model.substr(0, 16));
    for (const auto& text : o.broken) fmt::print("  BROKEN            {}\n", text);
    if (!folder.empty()) fmt::print("  results in        {}\n", folder);
}

Result<ExitCode> run_scenario(const RunFlags& flags, const Extensions& extensions) {
    GOSSAMER_TRY(auto found, find_scenario(flags.scenario));
    GOSSAMER_TRY(auto scenario, simulation::Scenario::load(found.name, std::move(found.text),
                                                           flags.sets, extensions));
    simulation::SimulationOptions options{.threads = flags.threads, .wire = flags.wire};
    if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
    GOSSAMER_TRY(auto sim, simulation::Simulation::create(scenario, options));

    storage::RealDisk disk;
    simulation::RunRecords records(disk, flags.out, *sim);
    telemetry::Console console(telemetry::Console::to_stderr(),
                               telemetry::Console::stderr_is_terminal());
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    auto shown = began, told = began;
    auto outcome = sim->run([&] {
        const auto now = Clock::now();
        const double wall = std::chrono::duration<double>(now - began).count();
        if (now - shown > 200ms) {
            shown = now;
            records.follow();
            if (console.is_terminal()) console.status(progress_line(*sim, wall));
        }
        if (!console.is_terminal() && flags.format == "text" && now - told > 5s) {
            told = now;
            console.line(progress_line(*sim, wall));
        }
        return !interrupted.load();
    });
    console.status("");
    if (!outcome) return fail(outcome.error());
    records.finish(*outcome);
    if (flags.format == "json") {
        telemetry::Summary summary;
        simulation::fill_summary(summary, *scenario, *outcome);
        summary.set("folder", records.path());
        fmt::print("{}\n", summary.to_json());
    } else {
        print_outcome(*outcome, records.path());
    }
    if (interrupted) {
        fmt::print(stderr, "interrupted; the same command runs it again from the start\n");
        return ExitCode::partial;
    }
    if (!outcome->broken.empty()) return ExitCode::failed;
    return outcome->reached ? ExitCode::ok : ExitCode::timed_out;
}

Result<ExitCode> list_scenarios(const std::string& format) {
    for (const auto& shipped : shipped_scenarios()) {
        constexpr std::string_view key = "summary = \"";
        const auto at = shipped.text.find(key);
        const auto from = at == shipped.text.npos ? at : at + key.size();
        const auto summary = from == shipped.text.npos
                                 ? std::string_view{}
                                 : shipped.text.substr(from, shipped.text.find('"', from) - from);
        if (format == "json") {
            telemetry::Summary line;
            line.set("name", std::string(shipped.name));
            line.set("summary", std::string(summary));
            fmt::print("{}\n", line.to_json());
        } else {
            fmt::print("  {:<15} {}\n", shipped.name, summary);
        }
    }
    return ExitCode::ok;
}

Result<ExitCode> show_scenario(const std::string& name) {
    GOSSAMER_TRY(auto found, find_scenario(name));
    fmt::print("{}", found.text);
    return ExitCode::ok;
}

ExitCode list_faults() {
    for (std::size_t k = 0; k < simulation::kFaultKinds; ++k) {
        const auto kind = static_cast<simulation::FaultKind>(k);
        fmt::print("  {:<10} {}\n", to_string(kind), meaning_of(kind));
    }
    return ExitCode::ok;
}

}  // namespace

int run_simulation(int argc, char** argv, const Extensions& extensions) {
    CLI::App app{"Simulates many peers on this host with the code that ships."};
    app.formatter(std::make_shared<ExamplesFirst>(kExamples));
    app.set_version_flag("--version", version_text());
    app.require_subcommand(1);
    RunFlags flags;
    const auto formats = CLI::IsMember({"text", "json"});

    auto* run = app.add_subcommand("run", "Run a scenario: a file, or one that ships");
    run->add_option("scenario", flags.scenario, "Name or TOML file")->required();
    run->add_option("--set", flags.sets, "Set an option: section.name=value")->take_all();
    run->add_option("--threads", flags.threads, "Threads that compute (0: one a core)");
    run->add_option("--out", flags.out, "Folder in which the run folder is made");
    run->add_flag("--wire", flags.wire, "Make and check the real bytes: slower, the same hash");
    run->add_option("--format", flags.format, "text or json")->check(formats);
    auto* list = app.add_subcommand("list", "The scenarios that ship, with a line each");
    list->add_option("--format", flags.format, "text or json")->check(formats);
    auto* show = app.add_subcommand("show", "The text of a scenario");
    show->add_option("scenario", flags.scenario, "Name or TOML file")->required();
    auto* faults = app.add_subcommand("faults", "The kinds of simulation.faults");
    CampaignFlags drawn;
    auto* campaign = app.add_subcommand("campaign", "Random worlds with faults: what breaks?");
    campaign->add_option("--seeds", drawn.seeds, "How many worlds");
    campaign->add_option("--from", drawn.from, "The first seed");
    campaign->add_option("--threads", drawn.threads, "Worlds at once (0: one a core)");
    campaign->add_option("--time-max", drawn.real_time, "Begin no world after it, such as 10m");
    campaign->add_option("--out", drawn.out, "Folder for worlds that broke, as scenarios");
    campaign->add_option("--format", drawn.format, "text or json")->check(formats);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        return static_cast<int>(app.exit(e) == 0 ? ExitCode::ok : ExitCode::usage);
    }
    if (sodium_init() < 0) return static_cast<int>(ExitCode::internal);
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    Result<ExitCode> code = ExitCode::internal;
    if (*run) code = run_scenario(flags, extensions);
    if (*list) code = list_scenarios(flags.format);
    if (*show) code = show_scenario(flags.scenario);
    if (*faults) code = list_faults();
    if (*campaign) code = run_campaign(drawn, extensions, interrupted);
    if (code) return static_cast<int>(*code);
    fmt::print(stderr, "{}\n", telemetry::harmless(code.error().to_string()));
    return static_cast<int>(exit_code_of(code.error().code));
}

}  // namespace gossamer::program

namespace gossamer {

int run_simulation(int argc, char** argv, const Extensions& extensions) {
    return program::run_simulation(argc, argv, extensions);
}

}  // namespace gossamer
