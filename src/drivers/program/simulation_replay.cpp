// `gossamer-sim replay FOLDER`: the run of a folder again, from its resolved settings; is its trace
// the same?
#include <filesystem>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/finished_run.hpp"
#include "drivers/program/simulation_commands.hpp"
#include "drivers/simulation/simulation.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::program {
namespace {

struct ReplayFlags {
    std::string path, format = "text";
    unsigned threads = 0;
    bool wire = false;
};

// A file of a run folder stands for the folder.
std::string folder_of(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return path;
    const auto parent = std::filesystem::path(path).parent_path().string();
    return parent.empty() ? "." : parent;
}

Result<ExitCode> replay(const ReplayFlags& flags, const Extensions& extensions) {
    const auto folder = folder_of(flags.path);
    GOSSAMER_TRY(const auto recorded, read_run(folder));
    const auto hash = recorded.fact("trace_hash");
    if (hash.empty())
        return fail(ErrorCode::kRunFolder, folder + "/summary.json names no trace hash",
                    "only runs of gossamer-sim can be replayed");
    if (!recorded.finished())
        return fail(ErrorCode::kRunFolder,
                    folder + " was interrupted: its trace ends wherever it was stopped",
                    "run it to its end, then replay it");
    const storage::RealDisk disk;
    GOSSAMER_TRY(const auto text, disk.read(folder + "/config.toml", std::uint64_t{1} << 20));
    GOSSAMER_TRY(auto scenario,
                 simulation::Scenario::load(folder + "/config.toml", std::string(as_text(text)), {},
                                            extensions));
    simulation::SimulationOptions options{.threads = flags.threads, .wire = flags.wire};
    if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
    GOSSAMER_TRY(auto sim, simulation::Simulation::create(scenario, options));
    GOSSAMER_TRY(const auto outcome, sim->run([] { return !interrupted(); }));
    if (interrupted()) {
        fmt::print(stderr, "interrupted; nothing was compared\n");
        return ExitCode::partial;
    }
    const auto now = fmt::format("{:016x}", outcome.trace_hash);
    const bool same = now == hash;
    if (flags.format == "json")
        fmt::print("{}\n", nlohmann::ordered_json{{"schema_version", 1},
                                                  {"folder", folder},
                                                  {"same", same},
                                                  {"recorded", hash},
                                                  {"replayed", now},
                                                  {"broken_invariants", outcome.broken},
                                                  {"end", outcome.end}}
                               .dump(2));
    else if (same)
        fmt::print("the same trace: {}\n  {}\n", now, outcome.end);
    else
        fmt::print("the trace differs: recorded {}, now {}\n  recorded: {}\n  now: {}\n", hash, now,
                   recorded.fact("end"), outcome.end);
    if (flags.format != "json")
        for (const auto& broken : outcome.broken) fmt::print("  BROKEN  {}\n", broken);
    return same && outcome.broken.empty() ? ExitCode::ok : ExitCode::failed;
}

}  // namespace

void add_replay_command(CLI::App& app, SimulationLine& line) {
    auto flags = std::make_shared<ReplayFlags>();
    auto* again = app.add_subcommand("replay", "Run a recorded run again; is its trace the same?");
    again->add_option("FOLDER", flags->path, "A run folder, or a file in it")->required();
    again->add_option("--threads", flags->threads, "Threads that compute (0: one a core)")
        ->check(CLI::Range(0u, kThreadsMost));
    again->add_flag("--wire", flags->wire, "Make and check the real bytes");
    again->add_option("--format", flags->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    again->callback([&line, flags] {
        line.chosen = [&line, flags] { return replay(*flags, line.extensions); };
    });
}

}  // namespace gossamer::program
