#include "drivers/program/campaign_command.hpp"

#include <chrono>
#include <cstdio>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "drivers/simulation/campaign.hpp"
#include "gossamer/base/time.hpp"
#include "records/storage/disk.hpp"
#include "records/telemetry/console.hpp"
#include "records/telemetry/summary.hpp"

namespace gossamer::program {

namespace {

using Clock = std::chrono::steady_clock;
using simulation::DrawnWorld;
using simulation::Verdict;

constexpr std::uint64_t kTwiceEvery = 8;

struct Campaign {
    const CampaignFlags& flags;
    const Extensions& extensions;
    const std::atomic<bool>& interrupted;
    Clock::time_point began = Clock::now();
    std::optional<Duration> real_time;
    std::atomic<std::uint64_t> next{0};
    std::mutex mutex;
    std::map<std::uint64_t, Verdict> done;  // not printed yet, by seed
    std::uint64_t print_next = 0, worlds = 0, failed = 0, events = 0;
    double peer_hours = 0;

    void work();
    void take(Verdict verdict);
    void print(const Verdict& verdict);
    double elapsed() const { return std::chrono::duration<double>(Clock::now() - began).count(); }
};

void Campaign::work() {
    while (!interrupted && (!real_time || elapsed() < seconds(*real_time))) {
        const auto index = next.fetch_add(1);
        if (index >= flags.seeds) return;
        const auto seed = flags.from + index;
        take(simulation::try_world(simulation::draw_world(seed), seed % kTwiceEvery == 0,
                                   extensions));
    }
}

// Prints in the order of the seeds, whoever was first.
void Campaign::take(Verdict verdict) {
    std::lock_guard lock(mutex);
    ++worlds;
    events += verdict.events;
    peer_hours += verdict.peer_hours;
    failed += !verdict.broken.empty();
    const auto seed = verdict.seed;
    done.emplace(seed, std::move(verdict));
    for (auto it = done.find(print_next); it != done.end(); it = done.find(print_next)) {
        print(it->second);
        done.erase(it);
        ++print_next;
    }
}

void Campaign::print(const Verdict& verdict) {
    if (verdict.broken.empty()) return;
    storage::RealDisk disk;
    const auto path = storage::join(flags.out, fmt::format("campaign-{}.toml", verdict.seed));
    const auto text = simulation::draw_world(verdict.seed).text;
    auto written = disk.make_folders(flags.out);
    if (written) written = disk.replace_file(path, {{as_bytes(text)}});
    const auto again = fmt::format("gossamer-sim campaign --seeds 1 --from {}", verdict.seed);
    if (flags.format == "json") {
        telemetry::Summary line;
        line.set("seed", static_cast<std::int64_t>(verdict.seed));
        std::string broken;
        for (const auto& b : verdict.broken) broken += (broken.empty() ? "" : "; ") + b;
        line.set("broken", broken);
        line.set("again", again);
        line.set("scenario", written ? path : "");
        fmt::print("{}\n", line.to_json());
    } else {
        fmt::print("seed {} broke:\n", verdict.seed);
        for (const auto& b : verdict.broken) fmt::print("  {}\n", telemetry::harmless(b));
        fmt::print("  again: {}\n", again);
        if (written) fmt::print("  or:    gossamer-sim run {}\n", path);
    }
    std::fflush(stdout);
}

}  // namespace

Result<ExitCode> run_campaign(const CampaignFlags& flags, const Extensions& extensions,
                              const std::atomic<bool>& interrupted) {
    Campaign campaign{.flags = flags, .extensions = extensions, .interrupted = interrupted};
    campaign.print_next = flags.from;
    if (!flags.real_time.empty()) {
        auto limit = parse_duration(flags.real_time);
        if (!limit)
            return fail(ErrorCode::kUsage,
                        "--time-max: \"" + flags.real_time + "\" is no time, such as \"10m\"");
        campaign.real_time = *limit;
    }
    auto threads = flags.threads ? flags.threads : std::thread::hardware_concurrency();
    std::vector<std::thread> others;
    try {
        for (unsigned i = 1; i < threads; ++i) others.emplace_back([&] { campaign.work(); });
    } catch (const std::system_error&) {  // no more to be had: those that are there do it
    }
    campaign.work();
    for (auto& thread : others) thread.join();
    for (const auto& [seed, verdict] : campaign.done) campaign.print(verdict);

    if (flags.format == "json") {
        telemetry::Summary total;
        total.set("worlds", static_cast<std::int64_t>(campaign.worlds));
        total.set("failed", static_cast<std::int64_t>(campaign.failed));
        total.set("peer_hours", campaign.peer_hours);
        total.set("events", static_cast<std::int64_t>(campaign.events));
        total.set("wall_seconds", campaign.elapsed());
        fmt::print("{}\n", total.to_json());
    } else {
        fmt::print("{} worlds, {} broke; {:.1f} simulated peer-hours, {} events, {:.1f}s real\n",
                   campaign.worlds, campaign.failed, campaign.peer_hours, campaign.events,
                   campaign.elapsed());
    }
    if (campaign.failed > 0) return ExitCode::failed;
    return interrupted ? ExitCode::partial : ExitCode::ok;
}

}  // namespace gossamer::program
