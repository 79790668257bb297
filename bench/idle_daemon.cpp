// What a daemon costs that waits: an aggregator and two peers, linked, waiting for a third peer.
#include <poll.h>

#include <algorithm>
#include <chrono>

#include "trial.hpp"

using namespace gossamer;

int main() {
    constexpr std::size_t kParameters = 200'000;
    constexpr double kMiB = 1 << 20;
    constexpr int kWatchedMs = 10'000;
    bench::Trial trial({.name = "idle",
                        .peer_count = 2,
                        .parameter_count = kParameters,
                        .round_count = 0,
                        .options = {}});
    trial.wait_for_members(2);
    auto& daemons = trial.world().daemons;
    ::poll(nullptr, 0, 1000);  // what starting costs is over
    std::vector<Duration> before;
    for (auto& d : daemons) before.push_back(cli::resources_of(d.process.id()).processor_time);
    auto begin = std::chrono::steady_clock::now();
    ::poll(nullptr, 0, kWatchedMs);
    const double watched =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    double share = 0, resident = 0;
    for (std::size_t i = 0; i < daemons.size(); ++i) {
        auto now = cli::resources_of(daemons[i].process.id());
        share = std::max(share, seconds(now.processor_time - before[i]) / watched * 100);
        resident = std::max(resident, static_cast<double>(now.resident_bytes) / kMiB);
    }
    const double room = 20 + 4 * 4.0 * kParameters / kMiB, share_max = 0.5;
    bench::print({.name = "idle daemon: memory (limit 20 MiB + 4 models)",
                  .unit = "MiB",
                  .value = resident,
                  .limit = room,
                  .ratio = room / resident,
                  .goal = 1});
    // A tick of the system's accounting is 0.1% here; below one tick counts as one.
    bench::print({.name = "idle daemon: processor",
                  .unit = "% of a core",
                  .value = share,
                  .limit = share_max,
                  .ratio = share_max / std::max(share, 0.1),
                  .goal = 1});
}
