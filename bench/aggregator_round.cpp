// A whole federated round of 8 clients and a large model, beside the same bytes over plain TLS:
// 8 downloads, 8 uploads, exact sums, identity and checkpoint; and the aggregator's memory.
#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "plain_tls.hpp"
#include "trial.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kLarge = 10'000'000, kSmall = 2'000'000;
constexpr unsigned kWarmUp = 2;  // rounds in which buffers are touched for the first time

struct Outcome {
    double round_seconds = 0, peak_bytes = 0;
    double processor_seconds = 0;  // of all processes, a round
};

double processor_seconds(const cli::World& world) {
    double sum = 0;
    for (const auto& daemon : world.daemons)
        sum += seconds(cli::resources_of(daemon.process.id()).processor_time);
    return sum;
}

Outcome rounds(const char* name, unsigned clients, std::size_t parameters, unsigned count) {
    bench::Trial trial({.name = name,
                        .peer_count = clients,
                        .parameter_count = parameters,
                        .round_count = count,
                        .options = {}});
    Outcome out;
    auto& aggregator = *trial.world().aggregator();
    trial.reach(std::min(kWarmUp, count - 1));
    const double before = processor_seconds(trial.world());
    const auto from = aggregator.report.round;
    trial.run();
    out.processor_seconds =
        (processor_seconds(trial.world()) - before) / static_cast<double>(count - from);
    out.peak_bytes = static_cast<double>(cli::resources_of(aggregator.process.id()).peak_bytes);
    trial.stop();
    auto periods = trial.periods(aggregator, "round_finished");
    periods.erase(periods.begin(), periods.begin() + std::min<long>(kWarmUp, std::ssize(periods)));
    out.round_seconds = bench::median(periods);
    return out;
}

void memory(const std::string& name, double peak, double base, std::size_t parameters) {
    const double models = (peak - base) / (4.0 * static_cast<double>(parameters));
    bench::print({.name = name,
                  .unit = "models",
                  .value = models,
                  .limit = 6,
                  .ratio = 6 / models,
                  .goal = 1});
}

void large_round(unsigned count) {
    const double bytes = 4.0 * kLarge, all = 2 * 8 * bytes;
    std::vector<double> plain, plain_processor;
    auto measure_plain = [&] {
        for (int i = 0; i < 3; ++i) {
            auto cost = bench::plain_star(8, 4 * kLarge, 4 * kLarge);
            plain.push_back(cost.seconds), plain_processor.push_back(cost.processor_seconds);
        }
    };
    measure_plain();
    auto large = rounds("round-10M", 8, kLarge, count);
    measure_plain();  // before and after: what else runs here changes
    const double limit = all / bench::median(plain), value = all / large.round_seconds;
    bench::print({.name = "aggregator: round of 8 clients x 10M parameters",
                  .unit = "GB/s",
                  .value = value / 1e9,
                  .limit = limit / 1e9,
                  .ratio = value / limit,
                  .goal = 0.9});
    // Less is better, and what else runs on this machine matters less.
    const double cost = bench::median(plain_processor);
    bench::print({.name = "aggregator: processor time of that round, all sides",
                  .unit = "ns per byte",
                  .value = large.processor_seconds / all * 1e9,
                  .limit = cost / all * 1e9,
                  .ratio = cost / large.processor_seconds,
                  .goal = 0.9});
    memory("aggregator: memory, 8 clients x 10M", large.peak_bytes,
           rounds("round-tiny-8", 8, 256, 4).peak_bytes, kLarge);
}

}  // namespace

// Without a word: all. "speed" or "memory": only that, of the 8 clients or of the small models.
int main(int argc, char** argv) {
    const std::string_view word = argc > 1 ? argv[1] : "";
    if (word != "memory") large_round(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 22);
    if (word == "speed") return 0;
    memory("aggregator: memory, 4 clients x 2M", rounds("round-4", 4, kSmall, 5).peak_bytes,
           rounds("round-tiny-4", 4, 256, 4).peak_bytes, kSmall);
    memory("aggregator: memory, 32 clients x 2M", rounds("round-32", 32, kSmall, 5).peak_bytes,
           rounds("round-tiny-32", 32, 256, 4).peak_bytes, kSmall);
}
