// `gossamer-sim sweep`: a grid of settings and seeds, several runs side by side as processes of
// their own. A run that is finished, with the very settings that are asked for, is not run again:
// the same command goes on where it was stopped, and a larger grid runs what is new.
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <thread>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/child_process.hpp"
#include "drivers/program/sweep_plan.hpp"
#include "records/storage/run_folder.hpp"
#include "records/telemetry/console.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::program {
namespace {

using Json = nlohmann::ordered_json;

// Mean and sample deviation of what is known.
struct Statistic {
    std::size_t count = 0;
    double mean = NAN, deviation = NAN;
    static Statistic of(const std::vector<double>& values) {
        Statistic s;
        double sum = 0, squares = 0;
        for (const double v : values)
            if (std::isfinite(v)) ++s.count, sum += v;
        if (s.count == 0) return s;
        s.mean = sum / static_cast<double>(s.count);
        for (const double v : values)
            if (std::isfinite(v)) squares += (v - s.mean) * (v - s.mean);
        if (s.count > 1) s.deviation = std::sqrt(squares / static_cast<double>(s.count - 1));
        return s;
    }
};

class Sweep {
public:
    Sweep(SweepPlan plan, const SweepFlags& flags)
        : plan_(std::move(plan)), flags_(flags), done_(plan_.runs.size()) {}

    Status prepare();
    Status run();  // until all have ended, or it was interrupted
    Status write_tables() const;
    void print(const std::string& format) const;
    std::size_t failed() const { return failed_.size(); }
    std::size_t broken() const { return count(&FinishedRun::broken); }
    std::size_t count(const std::function<bool(const FinishedRun&)>& which) const;
    std::size_t done() const;
    std::size_t size() const { return plan_.runs.size(); }

private:
    struct Running {
        std::size_t index = 0;
        ChildProcess process;
    };
    std::string folder(std::size_t index) const {
        return flags_.out + "/runs/" + plan_.runs[index].folder;
    }
    std::optional<FinishedRun> finished(std::size_t index) const;
    Status start(std::size_t index);
    void take(Running& ended, telemetry::Console& console);
    // Below the folder of the runs, which is a sweep's own: beside it a user's may lie.
    std::string scenario_file() const { return flags_.out + "/runs/scenario.toml"; }
    std::string what_broke(std::size_t index) const;  // empty: nothing
    std::string progress() const;
    std::vector<Figure> known_figures() const;
    Statistic statistic(std::size_t point, const Figure& figure) const;
    std::size_t count(std::size_t point) const;

    SweepPlan plan_;
    const SweepFlags& flags_;
    std::vector<std::optional<FinishedRun>> done_;
    std::vector<Running> running_;
    std::vector<std::pair<std::size_t, int>> failed_;  // index, exit code
};

// The newest run of these settings that came to its end.
std::optional<FinishedRun> Sweep::finished(std::size_t index) const {
    std::error_code error;
    if (!std::filesystem::is_directory(folder(index), error)) return {};
    const auto folders = run_folders(folder(index));
    if (!folders) return {};
    for (auto it = folders->rbegin(); it != folders->rend(); ++it) {
        auto run = read_run(*it);
        if (run && run->finished() && run->settings == plan_.runs[index].settings)
            return std::move(*run);
    }
    return {};
}

Status Sweep::prepare() {
    storage::RealDisk disk;
    GOSSAMER_CHECK(disk.make_folders(flags_.out + "/runs"));
    const ByteView parts[] = {as_bytes(plan_.scenario.text)};
    GOSSAMER_CHECK(disk.replace_file(scenario_file(), parts));
    for (std::size_t i = 0; i < plan_.runs.size(); ++i) {
        done_[i] = finished(i);
        if (const auto broke = what_broke(i); !broke.empty()) fmt::print(stderr, "{}\n", broke);
    }
    return {};
}

Status Sweep::start(std::size_t index) {
    storage::RealDisk disk;
    GOSSAMER_CHECK(disk.make_folders(folder(index)));
    std::vector<std::string> words{"run",         scenario_file(), "--out",
                                   folder(index), "--threads",     std::to_string(flags_.threads)};
    if (flags_.wire) words.push_back("--wire");
    for (const auto& set : plan_.runs[index].sets) {
        words.push_back("--set");
        words.push_back(set);
    }
    GOSSAMER_TRY(auto process, ChildProcess::start(words, folder(index) + "/output"));
    running_.push_back({index, std::move(process)});
    return {};
}

std::string last_line(const std::string& path) {
    std::ifstream file(path);
    std::string last;
    for (std::string line; std::getline(file, line);)
        if (!line.empty()) last = std::move(line);
    return telemetry::harmless(last, 160);
}

void Sweep::take(Running& ended, telemetry::Console& console) {
    const auto index = ended.index;
    done_[index] = finished(index);
    if (!done_[index]) {
        if (interrupted()) return;
        failed_.emplace_back(index, *ended.process.exit_code());
        console.line(fmt::format("FAILED {}: {}", plan_.runs[index].label,
                                 last_line(folder(index) + "/output")));
        return;
    }
    if (const auto broke = what_broke(index); !broke.empty()) console.line(broke);
    console.line(fmt::format("{}/{}  {}: accuracy {}, loss {}", done(), size(),
                             plan_.runs[index].label, number_text(done_[index]->figure("accuracy")),
                             number_text(done_[index]->figure("loss"))));
}

std::string Sweep::progress() const {
    std::string text = fmt::format("{}/{} done, {} running", done(), size(), running_.size());
    if (!running_.empty()) {
        const auto index = running_.front().index;
        text +=
            fmt::format("; {}: {}", plan_.runs[index].label, last_line(folder(index) + "/output"));
    }
    return text;
}

Status Sweep::run() {
    telemetry::Console console(telemetry::Console::to_stderr(),
                               telemetry::Console::stderr_is_terminal());
    std::size_t next = 0;
    const auto jobs = flags_.jobs ? flags_.jobs : std::max(1u, std::thread::hardware_concurrency());
    bool told = false;
    for (std::uint64_t look = 0;; ++look) {
        for (auto it = running_.begin(); it != running_.end();) {
            if (!it->process.exit_code()) {
                ++it;
                continue;
            }
            take(*it, console);
            it = running_.erase(it);
        }
        if (interrupted() && !std::exchange(told, true))
            for (auto& child : running_) child.process.signal(SIGINT);
        while (!interrupted() && running_.size() < jobs) {
            while (next < size() && done_[next]) ++next;
            if (next == size()) break;
            GOSSAMER_CHECK(start(next++));
        }
        if (running_.empty()) break;
        if (console.is_terminal() && look % 10 == 0) console.status(progress());
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    console.status("");
    return {};
}

std::string Sweep::what_broke(std::size_t index) const {
    const auto& run = done_[index];
    if (!run || !run->broken()) return {};
    return fmt::format("BROKEN {}: {}; more in {}", plan_.runs[index].label,
                       telemetry::harmless(run->fact("broken_invariants"), 240), run->folder);
}

std::size_t Sweep::count(const std::function<bool(const FinishedRun&)>& which) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(done_, [&](const auto& run) { return run && which(*run); }));
}

std::size_t Sweep::done() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(done_, [](const auto& run) { return run.has_value(); }));
}

// ---- the table ---------------------------------------------------------------------------------

std::vector<Figure> Sweep::known_figures() const {
    std::vector<Figure> known;
    for (const auto& figure : compared_figures())
        if (std::ranges::any_of(done_, [&](const auto& run) {
                return run && !std::isnan(run->figure(figure.key));
            }))
            known.push_back(figure);
    return known;
}

Statistic Sweep::statistic(std::size_t point, const Figure& figure) const {
    std::vector<double> values;
    for (std::size_t i = 0; i < size(); ++i)
        if (plan_.runs[i].point == point && done_[i])
            values.push_back(done_[i]->figure(figure.key));
    return Statistic::of(values);
}

std::size_t Sweep::count(std::size_t point) const {
    std::size_t runs = 0;
    for (std::size_t i = 0; i < size(); ++i) runs += plan_.runs[i].point == point && done_[i];
    return runs;
}

Status Sweep::write_tables() const {
    std::vector<std::string> head = plan_.keys;
    head.insert(head.end(), {"seed", "state", "reached"});
    const auto figures = known_figures();
    for (const auto& figure : figures) head.push_back(figure.key);
    head.insert(head.end(), {"failure_count", "trace_hash", "folder"});
    std::string csv = csv_line(head);
    for (std::size_t i = 0; i < size(); ++i) {
        auto row = plan_.points[plan_.runs[i].point];
        const auto seed = plan_.runs[i].settings.find("run.seed");
        row.push_back(seed == plan_.runs[i].settings.end() ? "" : seed->second);
        const auto& run = done_[i];
        const bool failed =
            std::ranges::any_of(failed_, [&](const auto& entry) { return entry.first == i; });
        row.push_back(run ? run->state() : failed ? "failed" : "open");
        row.push_back(run ? run->fact("reached") : "");
        for (const auto& figure : figures) {
            const double value = run ? run->figure(figure.key) : NAN;
            row.push_back(std::isnan(value) ? "" : fmt::format("{}", value));
        }
        row.push_back(run ? fmt::format("{}", run->failure_count()) : "");
        row.push_back(run ? run->fact("trace_hash") : "");
        row.push_back(run ? run->folder : folder(i));
        csv += csv_line(row);
    }
    storage::RealDisk disk;
    const ByteView parts[] = {as_bytes(csv)};
    return disk.replace_file(flags_.out + "/runs.csv", parts);
}

void Sweep::print(const std::string& format) const {
    const auto figures = known_figures();
    std::vector<std::vector<std::string>> rows(1, plan_.keys);
    rows[0].push_back("runs");
    for (const auto& figure : figures) rows[0].push_back(figure.title);
    Json json{{"schema_version", 1}, {"folder", flags_.out}, {"runs", size()}, {"done", done()}};
    json["failed"] = failed_.size();
    json["broken"] = broken();
    json["points"] = Json::array();
    for (std::size_t point = 0; point < plan_.points.size(); ++point) {
        auto row = plan_.points[point];
        row.push_back(std::to_string(count(point)));
        Json line{{"values", Json::object()}, {"runs", count(point)}, {"figures", Json::object()}};
        for (std::size_t i = 0; i < plan_.keys.size(); ++i)
            line["values"][plan_.keys[i]] = plan_.points[point][i];
        for (const auto& figure : figures) {
            const auto s = statistic(point, figure);
            auto cell = number_text(s.mean, figure.decimals);
            if (!std::isnan(s.deviation)) cell += " ± " + number_text(s.deviation, figure.decimals);
            // Of some runs the figure is not known, or not finite.
            if (s.count > 0 && s.count < count(point)) cell += fmt::format(" (n={})", s.count);
            row.push_back(cell);
            if (s.count == 0) continue;
            auto& entry = line["figures"][figure.key] = Json{{"mean", s.mean}};
            if (!std::isnan(s.deviation)) entry["deviation"] = s.deviation;
            entry["count"] = s.count;
        }
        rows.push_back(std::move(row));
        json["points"].push_back(std::move(line));
    }
    if (format == "json")
        fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
    else
        fmt::print("{}  Mean ± deviation over seeds; each run by itself: {}/runs.csv\n",
                   text_table(rows), flags_.out);
}

Result<ExitCode> sweep(const SweepFlags& flags, const Extensions& extensions) {
    GOSSAMER_TRY(auto plan, plan_sweep(flags, extensions));
    Sweep all(std::move(plan), flags);
    GOSSAMER_CHECK(all.prepare());
    if (const auto done = all.done(); done > 0)
        fmt::print(stderr, "{} of {} runs are finished already\n", done, all.size());
    GOSSAMER_CHECK(all.run());
    GOSSAMER_CHECK(all.write_tables());
    all.print(flags.format);
    if (interrupted()) {
        fmt::print(stderr, "interrupted after {} of {} runs; the same command goes on\n",
                   all.done(), all.size());
        return all.broken() ? ExitCode::failed : ExitCode::partial;
    }
    if (all.failed() > 0)
        fmt::print(stderr, "{} runs failed; what they said: {}/runs/*/output\n", all.failed(),
                   flags.out);
    if (const auto runs = all.count([](const auto& run) { return run.failure_count() > 0; }))
        fmt::print(stderr, "trainings failed in {} runs: failures in their summary.json\n", runs);
    if (const auto runs = all.count([](const auto& run) { return run.state() == "goal missed"; }))
        fmt::print(stderr, "{} runs missed their goal; runs.csv names them\n", runs);
    if (all.broken() > 0) {
        fmt::print(stderr, "{} runs broke an invariant; runs.csv names them\n", all.broken());
        return ExitCode::failed;
    }
    if (all.failed() == 0) return ExitCode::ok;
    return all.done() ? ExitCode::partial : ExitCode::failed;
}

}  // namespace

void add_sweep_command(CLI::App& app, SimulationLine& line) {
    auto flags = std::make_shared<SweepFlags>();
    auto* command = app.add_subcommand("sweep", "A grid of settings and seeds, and one table");
    command->add_option("scenario", flags->scenario, "Name or TOML file")->required();
    command->add_option("--grid", flags->grid, "section.name=value,value,... (several: all pairs)")
        ->allow_extra_args(false)
        ->take_all();
    command->add_option("--seeds", flags->seeds, "Seeds of each point: 1-5, or 1,4,7");
    command->add_option("--set", flags->sets, "Set an option of all runs: section.name=value")
        ->take_all();
    command->add_option("--out", flags->out, "Folder of the sweep; the same one to go on")
        ->check(named_folder)
        ->required();
    command->add_option("--jobs", flags->jobs, "Runs side by side (0: one a core)")
        ->check(CLI::Range(0u, kThreadsMost));
    command->add_option("--threads", flags->threads, "Threads that compute, of each run")
        ->check(CLI::Range(0u, kThreadsMost));
    command->add_flag("--wire", flags->wire, "Make and check the real bytes");
    command->add_option("--format", flags->format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    command->callback([&line, flags] {
        line.chosen = [&line, flags] { return sweep(*flags, line.extensions); };
    });
}

}  // namespace gossamer::program
