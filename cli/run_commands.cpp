// `gossamer run list` and `gossamer run show`: the folders that runs leave.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <limits>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "cli/table.hpp"
#include "gossamer/base/options.hpp"
#include "records/storage/history.hpp"
#include "records/storage/run_folder.hpp"
#include "records/telemetry/event.hpp"
#include "records/telemetry/run_report.hpp"

namespace gossamer::cli {
namespace {

using program::ExitCode;
using storage::RunOverview;
using Json = nlohmann::ordered_json;

// A daemon writes its summary every ten seconds.
constexpr double kSilentSeconds = 45;

std::string fact(const RunOverview& run, const std::string& key) {
    const auto found = run.facts.find(key);
    return found == run.facts.end() ? std::string() : telemetry::harmless(found->second);
}

double number_fact(const RunOverview& run, const std::string& key) {
    const auto text = fact(run, key);
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    return text.empty() || *end != '\0' ? std::numeric_limits<double>::quiet_NaN() : value;
}

std::string bytes_fact(const RunOverview& run, const std::string& key) {
    const double value = number_fact(run, key);
    return value >= 0 && value < 9e18 ? format_bytes(static_cast<std::int64_t>(value)) : "-";
}

std::optional<WallTime> time_fact(const RunOverview& run, const std::string& key) {
    std::tm parts{};
    const auto text = fact(run, key);
    if (::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts) == nullptr) return std::nullopt;
    return WallTime{static_cast<std::int64_t>(::timegm(&parts)) * 1'000'000'000};
}

// A run that says "running" but wrote nothing for long was broken off.
double silence(const RunOverview& run, WallTime now) {
    const auto updated = time_fact(run, "updated");
    if (run.state != "running" || !updated) return 0;
    return seconds(now - *updated);
}

std::string state_text(const RunOverview& run, WallTime now) {
    const double silent = silence(run, now);
    const auto state = telemetry::harmless(run.state, 32);
    return silent > kSilentSeconds ? "broken off " + short_time(silent) + " ago" : state;
}

Json json_of(const RunOverview& run, WallTime now) {
    Json json{{"name", telemetry::harmless(run.name)},
              {"path", run.path},
              {"state", telemetry::harmless(run.state)},
              {"broken_off", silence(run, now) > kSilentSeconds}};
    for (const auto& [key, text] : run.facts) {
        if (json.contains(key)) continue;
        const double value = number_fact(run, key);
        if (run.texts.contains(key))
            json[key] = telemetry::harmless(text);
        else if (text == "true" || text == "false")
            json[key] = text == "true";
        else if (!std::isfinite(value))
            json[key] = telemetry::harmless(text);
        else
            json[key] =
                Json::parse(text, nullptr, false).is_number() ? Json::parse(text) : Json(value);
    }
    return json;
}

std::string started(const RunOverview& run) {
    auto text = fact(run, "started").substr(0, 19);
    if (text.size() == 19) text[10] = ' ';
    return text.empty() ? "-" : text;
}

Result<ExitCode> list(Console& console, const std::string& folder) {
    const storage::RealDisk disk;
    std::error_code error;
    if (!std::filesystem::is_directory(folder, error)) {
        const bool plain = !error || error == std::errc::no_such_file_or_directory;
        return fail(ErrorCode::kRunFolder,
                    "there is no folder " + folder + (plain ? "" : ": " + error.message()),
                    "name the folder that holds the runs with --folder");
    }
    GOSSAMER_TRY(const auto runs, storage::list_runs(disk, folder));
    Json json = Json::array();
    std::vector<Row> rows{{"run", "state", "mode", "rounds", "accuracy", "sent", "received",
                           "started (UTC)", "lasted"}};
    const auto now = console.now();
    for (const auto& run : runs) {
        json.push_back(json_of(run, now));
        rows.push_back({telemetry::harmless(run.name), state_text(run, now), fact(run, "mode"),
                        fact(run, "rounds"), short_number(number_fact(run, "accuracy")),
                        bytes_fact(run, "sent_bytes"), bytes_fact(run, "received_bytes"),
                        started(run), short_time(number_fact(run, "seconds"))});
    }
    console.answer(json, runs.empty() ? "no runs in " + folder + "\n" : text_table(rows));
    return ExitCode::ok;
}

// ---- one run ------------------------------------------------------------------------------------

struct ShowRun {
    std::string run, folder = "runs";
    std::uint64_t rounds = 20;
    bool html = false;
    std::string output;  // of the page; empty = report.html in the run's folder
};

struct Recorded {
    std::vector<storage::RoundRow> rounds;
    std::vector<storage::MemberRow> members;
    std::string missing;  // why there are none
};

Recorded read_history(const storage::RunFolder& folder) {
    Recorded recorded;
    std::error_code error;
    if (!std::filesystem::exists(folder.history(), error)) {
        recorded.missing =
            "history.sqlite is missing; records.history was off, or nothing was "
            "written";
        return recorded;
    }
    auto rounds = storage::read_rounds(folder.history());
    auto members = storage::read_members(folder.history());
    if (rounds) recorded.rounds = std::move(*rounds);
    if (members) recorded.members = std::move(*members);
    if (!rounds)
        recorded.missing = rounds.error().to_string();
    else if (!members)
        recorded.missing = members.error().to_string();
    return recorded;
}

Json known(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

Json json_of(const storage::RoundRow& row) {
    return {{"round", row.round},
            {"time", telemetry::rfc3339(row.wall)},
            {"loss", known(row.loss)},
            {"accuracy", known(row.accuracy)},
            {"distance", known(row.distance)},
            {"accepted", row.accepted},
            {"late", row.late},
            {"refused", row.refused},
            {"received_bytes", row.received_bytes},
            {"seconds", known(row.elapsed_seconds)},
            {"model", telemetry::harmless(row.model)}};
}

Json json_of(const storage::MemberRow& row) {
    return {{"time", telemetry::rfc3339(row.wall)},
            {"peer", telemetry::harmless(row.peer)},
            {"from", telemetry::harmless(row.from)},
            {"to", telemetry::harmless(row.to)},
            {"reason", telemetry::harmless(row.reason)}};
}

std::string clock_of(WallTime time) { return telemetry::rfc3339(time).substr(11, 8); }

std::string rounds_text(const std::vector<storage::RoundRow>& rounds, std::size_t last, bool gossip,
                        bool simulated) {
    if (rounds.empty()) return {};
    const auto first = last && rounds.size() > last ? rounds.size() - last : 0;
    std::vector<Row> rows{gossip ? Row{"step", "time", "loss", "accuracy", "distance", "mixed",
                                       "left out", "received"}
                                 : Row{"round", "time", "loss", "accuracy", "seconds", "accepted",
                                       "late", "refused", "received"}};
    for (std::size_t i = first; i < rounds.size(); ++i) {
        const auto& row = rounds[i];
        Row cells{std::to_string(row.round),
                  clock_of(row.wall),
                  short_number(row.loss),
                  short_number(row.accuracy),
                  gossip ? short_number(row.distance) : short_number(row.elapsed_seconds, 2),
                  std::to_string(row.accepted),
                  std::to_string(row.late)};
        if (!gossip) cells.push_back(std::to_string(row.refused));
        cells.push_back(format_bytes(static_cast<std::int64_t>(row.received_bytes)));
        if (gossip && simulated)  // a row is the mean over peers, of which this is not kept
            std::fill(cells.end() - 3, cells.end(), "-");
        rows.push_back(std::move(cells));
    }
    std::string title = first ? fmt::format("\nThe last {} of {} rounds (--rounds 0 shows all)\n",
                                            rounds.size() - first, rounds.size())
                              : "\nRounds\n";
    return title + text_table(rows);
}

std::string short_id(const std::string& text) {
    const auto id = PeerId::parse(text);
    return id ? id->short_string() : telemetry::harmless(text).substr(0, 8);
}

std::string members_text(const std::vector<storage::MemberRow>& members) {
    if (members.empty()) return {};
    std::vector<Row> rows{{"time", "peer", "was", "became", "reason"}};
    for (const auto& row : members)
        rows.push_back({clock_of(row.wall), short_id(row.peer),
                        row.from == row.to ? "-" : telemetry::harmless(row.from),  // it is new
                        telemetry::harmless(row.to), telemetry::harmless(row.reason)});
    return "\nMembers\n" + text_table(rows);
}

std::string facts_text(const RunOverview& run, WallTime now) {
    std::string text = fmt::format("{}  {}\n", telemetry::harmless(run.name), state_text(run, now));
    const auto add = [&text](const char* name, const std::string& value) {
        if (!value.empty()) text += fmt::format("  {:<12}{}\n", name, value);
    };
    add("mode", fact(run, "mode"));
    add("peer", fact(run, "peer"));
    add("started", started(run) + " UTC, lasted " + short_time(number_fact(run, "seconds")));
    add("ended", fact(run, "reason"));
    add("rounds", fact(run, "rounds"));
    add("accuracy", fmt::format("{}, best {}", short_number(number_fact(run, "accuracy")),
                                short_number(number_fact(run, "best_accuracy"))));
    add("loss",
        fmt::format("{} on test data, {} in training", short_number(number_fact(run, "loss")),
                    short_number(number_fact(run, "train_loss"))));
    add("traffic", bytes_fact(run, "sent_bytes") + " sent, " + bytes_fact(run, "received_bytes") +
                       " received");
    if (number_fact(run, "records_lost") > 0) add("records lost", fact(run, "records_lost"));
    return text;
}

Result<storage::RunFolder> find_run(const storage::Disk& disk, const ShowRun& how) {
    auto found = storage::RunFolder::open(disk, how.run);
    if (found || how.run.find('/') != std::string::npos) return found;
    if (auto below = storage::RunFolder::open(disk, storage::join(how.folder, how.run)))
        return below;
    if (auto newest = storage::RunFolder::newest(disk, how.folder, how.run)) return newest;
    return fail(ErrorCode::kRunFolder,
                fmt::format("neither {} nor {}/{} is a run folder", how.run, how.folder, how.run),
                "`gossamer run list` names them");
}

// The run as a page for a browser.
Result<ExitCode> write_page(Console& console, storage::Disk& disk, const storage::RunFolder& folder,
                            const std::string& output) {
    const auto run = storage::overview(disk, folder);
    // A simulation's own page knows all its peers; from its records no such page can be made.
    if (!run.fact("virtual_seconds").empty() && disk.exists(folder.report()) &&
        (output.empty() || output == folder.report())) {
        console.answer(Json{{"report", folder.report()}, {"notes", Json::array()}},
                       folder.report() + "\n");
        return ExitCode::ok;
    }
    const auto path = output.empty() ? folder.report() : output;
    const auto report = telemetry::report_of_folder(disk, folder);
    GOSSAMER_CHECK(telemetry::write_report(disk, path, report));
    Json json{{"report", path}, {"notes", report.notes}};
    std::string text = path + "\n";
    for (const auto& note : report.notes) text += "  " + note + "\n";
    console.answer(json, text);
    return report.notes.empty() ? ExitCode::ok : ExitCode::partial;
}

Result<ExitCode> show(Console& console, const ShowRun& how) {
    storage::RealDisk disk;
    GOSSAMER_TRY(const auto folder, find_run(disk, how));
    if (how.html || !how.output.empty()) return write_page(console, disk, folder, how.output);
    const auto run = storage::overview(disk, folder);
    const auto recorded = read_history(folder);
    const auto now = console.now();

    Json json = json_of(run, now);
    json["rounds_recorded"] = Json::array();
    for (const auto& row : recorded.rounds) json["rounds_recorded"].push_back(json_of(row));
    json["member_events"] = Json::array();
    for (const auto& row : recorded.members) json["member_events"].push_back(json_of(row));
    const bool has_model = disk.exists(folder.final_model());
    json["final_model"] = has_model ? Json(folder.final_model()) : Json(nullptr);
    if (!recorded.missing.empty()) json["history_missing"] = recorded.missing;

    std::string text = facts_text(run, now);
    text +=
        fmt::format("  {:<12}{}\n", "model",
                    has_model ? folder.final_model() : "not finished; see " + folder.checkpoints());
    text += rounds_text(recorded.rounds, how.rounds, fact(run, "mode") == "gossip",
                        !fact(run, "virtual_seconds").empty());
    text += members_text(recorded.members);
    if (!recorded.missing.empty()) text += "\n" + recorded.missing + "\n";
    console.answer(json, text);
    return recorded.missing.empty() ? ExitCode::ok : ExitCode::partial;
}

}  // namespace

void add_run_commands(CLI::App& app, CommandLine& line) {
    auto* group = app.add_subcommand("run", "Look at what runs left");
    group->require_subcommand(1)->fallthrough()->footer(
        "  gossamer run list\n"
        "  gossamer run show runs/demo-1");

    auto* one = group->add_subcommand("list", "All runs of a folder, oldest first");
    auto folder = std::make_shared<std::string>("runs");
    one->fallthrough()->footer(
        "  gossamer run list\n"
        "  gossamer run list --folder /var/lib/gossamer-peer/runs --format json");
    one->add_option("--folder", *folder, "what run.folder names")->capture_default_str();
    one->callback([&line, folder] {
        line.chosen = [folder](Console& console) { return list(console, *folder); };
    });

    auto* other = group->add_subcommand("show", "A run's result, rounds and members");
    auto how = std::make_shared<ShowRun>();
    other->fallthrough()->footer(
        "  gossamer run show runs/demo-1\n"
        "  gossamer run show demo --rounds 0         the newest run of this name, all rounds\n"
        "  gossamer run show demo-1 --html           writes report.html, charts for a browser\n"
        "  gossamer run show demo-1 --format json");
    other->add_option("RUN", how->run, "a run's folder, its name, or the name of the runs")
        ->required();
    other->add_option("--folder", how->folder, "where runs are looked for by name")
        ->capture_default_str();
    other->add_option("--rounds", how->rounds, "shows so many of the last rounds; 0: all")
        ->check(CLI::Range(std::int64_t{0}, INT64_MAX))
        ->capture_default_str();
    other->add_flag("--html", how->html,
                    "writes the run as a page into its folder, as report.html; it works offline");
    other->add_option("--output", how->output, "writes the page to this file instead");
    other->callback(
        [&line, how] { line.chosen = [how](Console& console) { return show(console, *how); }; });
}

}  // namespace gossamer::cli
