// `gossamer-sim compare FOLDER...`: what differs between finished runs, and what came of it.
#include <algorithm>
#include <cmath>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/finished_run.hpp"
#include "drivers/program/simulation_commands.hpp"

namespace gossamer::program {
namespace {

constexpr std::size_t kColumnsMax = 12;  // of settings; more are for --format json

// Keys whose values are not the same in all runs.
std::vector<std::string> differing(const std::vector<FinishedRun>& runs) {
    std::set<std::string> keys;
    for (const auto& run : runs)
        for (const auto& [key, value] : run.settings) keys.insert(key);
    std::vector<std::string> out;
    for (const auto& key : keys) {
        const auto value = [&](const FinishedRun& run) {
            const auto found = run.settings.find(key);
            return found == run.settings.end() ? std::string("-") : found->second;
        };
        if (std::ranges::any_of(runs,
                                [&](const auto& run) { return value(run) != value(runs[0]); }))
            out.push_back(key);
    }
    return out;
}

std::string setting(const FinishedRun& run, const std::string& key) {
    const auto found = run.settings.find(key);
    return found == run.settings.end() ? "-" : found->second;
}

void print_text(const std::vector<FinishedRun>& runs, const std::vector<std::string>& keys) {
    const auto shown = std::min(keys.size(), kColumnsMax);
    std::vector<std::vector<std::string>> rows(1, {"run", "state"});
    rows[0].insert(rows[0].end(), keys.begin(), keys.begin() + static_cast<std::ptrdiff_t>(shown));
    std::vector<Figure> figures;
    for (const auto& figure : compared_figures())
        if (std::ranges::any_of(
                runs, [&](const auto& run) { return !std::isnan(run.figure(figure.key)); })) {
            figures.push_back(figure);
            rows[0].push_back(figure.title);
        }
    rows[0].push_back("trace");
    for (const auto& run : runs) {
        std::vector<std::string> row{run.folder, run.state()};
        for (std::size_t i = 0; i < shown; ++i) row.push_back(setting(run, keys[i]));
        for (const auto& figure : figures)
            row.push_back(number_text(run.figure(figure.key), figure.decimals));
        row.push_back(run.fact("trace_hash"));
        rows.push_back(std::move(row));
    }
    fmt::print("{}", text_table(rows));
    if (keys.empty()) fmt::print("  All settings are the same.\n");
    if (keys.size() > shown)
        fmt::print("  {} more settings differ; --format json names them.\n", keys.size() - shown);
}

void print_json(const std::vector<FinishedRun>& runs, const std::vector<std::string>& keys) {
    nlohmann::ordered_json out{{"schema_version", 1}, {"differing", keys}};
    out["runs"] = nlohmann::ordered_json::array();
    for (const auto& run : runs) {
        nlohmann::ordered_json line{{"folder", run.folder}, {"state", run.state()}};
        line["settings"] = nlohmann::ordered_json::object();
        for (const auto& key : keys) line["settings"][key] = setting(run, key);
        line["figures"] = run.figures;
        line["trace_hash"] = run.fact("trace_hash");
        out["runs"].push_back(std::move(line));
    }
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

// A damaged run, or a folder without one, is named and left out; the others are compared.
Result<ExitCode> compare(const std::vector<std::string>& paths, const std::string& format) {
    std::vector<FinishedRun> runs;
    std::size_t left_out = 0;
    std::optional<Error> error;
    const auto leave_out = [&](const Error& why) {
        ++left_out;
        error = why;
        fmt::print(stderr, "left out: {}\n", why.to_string());
    };
    for (const auto& path : paths) {
        const auto folders = run_folders(path);
        if (!folders) leave_out(folders.error());
        for (const auto& folder : folders.value_or(std::vector<std::string>())) {
            auto run = read_run(folder);
            if (run)
                runs.push_back(std::move(*run));
            else
                leave_out(run.error());
        }
    }
    if (runs.empty()) return fail(std::move(*error));
    const auto keys = differing(runs);
    if (format == "json")
        print_json(runs, keys);
    else
        print_text(runs, keys);
    if (std::ranges::any_of(runs, &FinishedRun::broken)) return ExitCode::failed;
    return left_out ? ExitCode::partial : ExitCode::ok;
}

}  // namespace

void add_compare_command(CLI::App& app, SimulationLine& line) {
    auto paths = std::make_shared<std::vector<std::string>>();
    auto format = std::make_shared<std::string>("text");
    auto* compare_runs =
        app.add_subcommand("compare", "What differs between runs, and the figures");
    compare_runs->add_option("FOLDER", *paths, "Run folders, or folders that hold some")
        ->required();
    compare_runs->add_option("--format", *format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    compare_runs->callback([&line, paths, format] {
        line.chosen = [paths, format] { return compare(*paths, *format); };
    });
}

}  // namespace gossamer::program
