// One gossip exchange of 10M parameters on a ring of 4 processes, training and mixing included,
// beside the same bytes over plain TLS.
#include <algorithm>

#include "plain_tls.hpp"
#include "trial.hpp"

using namespace gossamer;

int main() {
    constexpr std::size_t kParameters = 10'000'000, kBytes = 4 * kParameters;
    constexpr unsigned kPeers = 4, kSteps = 14, kWarmUp = 2;
    std::vector<double> plain, periods;
    auto measure_plain = [&] {
        for (int i = 0; i < 3; ++i) plain.push_back(bench::plain_ring_seconds(kPeers, kBytes));
    };
    measure_plain();
    {
        bench::Trial trial({.name = "gossip-10M",
                            .mode = "gossip",
                            .peer_count = kPeers,
                            .parameter_count = kParameters,
                            .round_count = kSteps,
                            .options = {{"topology.graph", "\"ring\""},
                                        {"gossip.evaluate_every", "0"},
                                        {"gossip.final_averaging_steps", "0"},
                                        {"gossip.checkpoint_every", "0"}}});
        trial.run();
        trial.stop();
        for (const auto& daemon : trial.world().daemons) {
            auto own = trial.periods(daemon, "mixed");
            for (std::size_t i = kWarmUp; i < own.size(); ++i) periods.push_back(own[i]);
        }
    }
    measure_plain();
    const double bytes = 2.0 * kPeers * kBytes;  // both ways on each of the links
    const double value = bytes / bench::median(periods), limit = bytes / bench::median(plain);
    bench::print({.name = "gossip: exchange of 10M parameters, ring of 4",
                  .unit = "GB/s",
                  .value = value / 1e9,
                  .limit = limit / 1e9,
                  .ratio = value / limit,
                  .goal = 0.8});
}
