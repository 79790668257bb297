#include "trial.hpp"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

namespace gossamer::bench {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void give_up(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::exit(1);
}

// Of "2026-01-31T23:59:58.123456Z"; a trial is short, so the day does not matter but at midnight.
double seconds_of(const std::string& stamp) {
    int hour = 0, minute = 0;
    double second = 0;
    if (std::sscanf(stamp.c_str(), "%*d-%*d-%*dT%d:%d:%lf", &hour, &minute, &second) != 3)
        give_up("no time: " + stamp);
    return hour * 3600 + minute * 60 + second;
}

}  // namespace

void print(const Figure& f) {
    nlohmann::ordered_json line{{"name", f.name},          {"value", f.value}, {"unit", f.unit},
                                {"limit", f.limit},        {"ratio", f.ratio}, {"goal", f.goal},
                                {"met", f.ratio >= f.goal}};
    std::printf("%s\n", line.dump().c_str());
    std::fflush(stdout);
}

double median(std::vector<double> values) {
    if (values.empty()) give_up("nothing was measured");
    std::ranges::sort(values);
    auto middle = values.size() / 2;
    return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

Trial::Trial(const TrialPlan& plan) : plan_(plan) {
    auto here = fs::read_symlink("/proc/self/exe").parent_path();
    folder_ = (here / "runs" / plan.name).string();
    fs::remove_all(folder_);
    cli::WorldPlan world;
    world.folder = folder_;
    world.programs = here.parent_path().string();
    world.mode = plan.mode;
    world.peer_count = plan.peer_count;
    world.peer_program = (here / "node_peer").string();
    world.aggregator_program = (here / "node_aggregator").string();
    world.options = plan.options;
    world.options["bench.parameters"] = std::to_string(plan.parameter_count);
    world.options["run.rounds"] = std::to_string(std::max(1u, plan.round_count));
    world.options["run.exit_when_finished"] = "false";
    // On a busy machine nobody shall be taken for dead: a round then waits for all again.
    if (plan.round_count != 0) world.options.emplace("membership.profile", "\"wan\"");
    if (plan.round_count == 0) world.options["run.peers"] = std::to_string(plan.peer_count + 1);
    auto made = cli::World::create(world);
    if (!made) give_up(made.error().to_string());
    world_ = std::move(*made);
    for (auto& daemon : world_->daemons)
        if (auto started = world_->start(daemon); !started) give_up(started.error().to_string());
}

Trial::~Trial() {
    stop();
    fs::remove_all(folder_);
}

void Trial::abandon(const std::string& why) {
    world_->stop_all();
    give_up(why);
}

void Trial::watch(double patience_seconds, const std::function<bool()>& done) {
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_seconds);
    while (!done()) {
        for (auto& daemon : world_->daemons)
            if (!daemon.process.running())
                abandon(plan_.name + ": " + daemon.name + " ended, see " + daemon.log);
        if (std::chrono::steady_clock::now() > until)
            abandon(plan_.name + ": not done in time, see " + folder_);
        ::poll(nullptr, 0, 200);
    }
}

void Trial::reach(unsigned round) {
    auto& aggregator = *world_->aggregator();
    watch(120, [&] {
        world_->ask(aggregator);
        return aggregator.report.round >= round;
    });
}

void Trial::run() {
    // The daemons are asked seldom: questions are work too.
    watch(120, [&] {
        return std::ranges::all_of(world_->daemons, [&](auto& daemon) {
            if (world_->aggregator() && &daemon != world_->aggregator()) return true;
            if (daemon.report.phase != "finished") world_->ask(daemon);
            return daemon.report.phase == "finished";
        });
    });
}

void Trial::wait_for_members(std::size_t count) {
    watch(30, [&] {
        return std::ranges::all_of(world_->daemons, [&](auto& daemon) {
            world_->ask(daemon);
            return static_cast<std::size_t>(std::ranges::count_if(
                       daemon.report.members, [](const auto& m) { return m.second == "alive"; })) >=
                   count;
        });
    });
}

void Trial::stop() { world_->stop_all(); }

std::vector<double> Trial::periods(const cli::Daemon& daemon, const std::string& event) const {
    std::vector<double> stamps, out;
    for (const auto& entry : fs::recursive_directory_iterator(daemon.folder)) {
        if (entry.path().filename() != "metrics.jsonl") continue;
        std::ifstream file(entry.path());
        for (std::string line; std::getline(file, line);) {
            auto json = nlohmann::json::parse(line, nullptr, false);
            if (json.is_object() && json.value("event", "") == event)
                stamps.push_back(seconds_of(json.value("ts", "")));
        }
    }
    for (std::size_t i = 1; i < stamps.size(); ++i) out.push_back(stamps[i] - stamps[i - 1]);
    return out;
}

}  // namespace gossamer::bench
