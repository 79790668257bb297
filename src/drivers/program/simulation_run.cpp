#include <chrono>
#include <cmath>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "drivers/program/simulation_commands.hpp"
#include "drivers/runtime/core_loop.hpp"
#include "drivers/simulation/run_records.hpp"
#include "drivers/simulation/simulation_report.hpp"
#include "records/telemetry/console.hpp"

namespace gossamer::program {
namespace {

struct RunFlags {
    std::string scenario, out = "runs", format = "text", device;
    std::vector<std::string> sets;
    unsigned threads = 0;
    bool wire = false;
};

std::string progress_line(simulation::Simulation& sim, double wall) {
    const auto& world = sim.world();
    const double virtual_seconds = seconds(world.elapsed());
    const auto& run = sim.scenario().run();
    auto round = std::to_string(sim.chronicle().round());
    if (run.rounds) round += "/" + std::to_string(run.rounds);
    return fmt::format(
        "round {}  accuracy {}  loss {}  virtual {}  real {:.1f}s  x{:.0f}  {:.0f}k "
        "events/s",
        round, number_text(sim.chronicle().accuracy()), number_text(sim.chronicle().loss()),
        format_duration(Duration{static_cast<std::int64_t>(virtual_seconds * 10) * 100'000'000}),
        wall, virtual_seconds / std::max(wall, 1e-9),
        static_cast<double>(world.counts().events) / std::max(wall, 1e-9) / 1e3);
}

void print_outcome(const simulation::Outcome& o, const std::string& folder) {
    fmt::print("{}\n", o.end);
    fmt::print("  accuracy          {}\n", number_text(o.accuracy));
    if (!std::isnan(o.worst_accuracy))
        fmt::print("  worst peer        {}\n", number_text(o.worst_accuracy));
    fmt::print("  loss              {}\n", number_text(o.loss));
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
    for (const auto& text : o.failures)
        fmt::print("  failed            {}\n", telemetry::harmless(text));
    for (const auto& text : o.broken) fmt::print("  BROKEN            {}\n", text);
    if (!folder.empty()) fmt::print("  results in        {}\n", folder);
}

Result<ExitCode> run_scenario(const RunFlags& flags, const Extensions& extensions) {
    GOSSAMER_TRY(auto found, find_scenario(flags.scenario));
    auto sets = flags.sets;
    if (!flags.device.empty()) sets.push_back("training.device=" + flags.device);
    GOSSAMER_TRY(auto scenario, simulation::Scenario::load(found.name, std::move(found.text),
                                                           std::move(sets), extensions));
    simulation::SimulationOptions options{.threads = flags.threads, .wire = flags.wire};
    if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
    GOSSAMER_TRY(auto sim, simulation::Simulation::create(scenario, options));

    storage::RealDisk disk;
    simulation::RunRecords records(disk, flags.out, *sim, runtime::wall_time);
    telemetry::Console console(telemetry::Console::to_stderr(),
                               telemetry::Console::stderr_is_terminal());
    if (const auto remark = scenario->learning().remark(); !remark.empty()) console.line(remark);
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
        return !interrupted();
    });
    console.status("");
    if (!outcome) return fail(outcome.error());
    const auto recorded = records.finish(*outcome);
    if (!recorded)
        console.line("records of this run are incomplete: " +
                     telemetry::harmless(recorded.error().to_string()));
    if (flags.format == "json") {
        telemetry::Summary summary;
        simulation::fill_summary(summary, *scenario, *outcome);
        summary.set("folder", records.path());
        fmt::print("{}\n", summary.to_json());
    } else {
        print_outcome(*outcome, records.path());
    }
    if (interrupted()) {
        fmt::print(stderr, "interrupted; the same command runs it again from the start\n");
        return ExitCode::partial;
    }
    if (!outcome->broken.empty()) return ExitCode::failed;
    if (!outcome->reached) return ExitCode::timed_out;
    return recorded ? ExitCode::ok : ExitCode::partial;
}

}  // namespace

void add_run_command(CLI::App& app, SimulationLine& line) {
    auto flags = std::make_shared<RunFlags>();
    auto* run = app.add_subcommand("run", "Run a scenario: a file, or one that ships");
    run->add_option("scenario", flags->scenario, "Name or TOML file")->required();
    run->add_option("--set", flags->sets, "Set an option: section.name=value")->take_all();
    run->add_option("--threads", flags->threads, "Threads that compute (0: one a core)")
        ->check(CLI::Range(0u, kThreadsMost));
    run->add_option("--out", flags->out, "Folder in which the run folder is made")
        ->check(named_folder);
    run->add_option("--device", flags->device,
                    "Where peers train, as training.device: cpu, cuda, auto")
        ->check(CLI::IsMember({"cpu", "cuda", "auto"}));
    run->add_flag("--wire", flags->wire, "Make and check the real bytes: slower, the same hash");
    run->add_option("--format", flags->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    run->callback([&line, flags] {
        line.chosen = [&line, flags] { return run_scenario(*flags, line.extensions); };
    });
}

}  // namespace gossamer::program
