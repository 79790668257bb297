#include "drivers/simulation/network.hpp"

#include <algorithm>

namespace gossamer::simulation {

namespace {

enum Draw : std::uint64_t { kPair = 1, kJitter, kLoss, kRetransmission, kNat };
constexpr Duration kRetransmitLeast = 200ms;

std::uint64_t mixed(std::uint64_t x) {  // SplitMix64's finaliser
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
    return x ^ (x >> 31);
}

Duration part_of(Duration d, double part) {
    return Duration{static_cast<std::int64_t>(static_cast<double>(d.count()) * part)};
}

}  // namespace

double Network::draw(std::uint64_t what, std::uint64_t a, std::uint64_t b) const {
    const auto x = mixed(mixed(mixed(seed_.value + what * 0x9E3779B97F4A7C15ull) ^ a) ^ b);
    return static_cast<double>(x >> 11) * 0x1.0p-53;
}

Duration Network::latency(PlaceIndex a, PlaceIndex b) const {
    const double u = draw(kPair, std::min(a, b), std::max(a, b));
    double part = 1;
    if (config_.distribution == Latency::uniform) part = 0.5 + u;
    if (config_.distribution == Latency::exponential) part = 0.25 - 0.75 * portable_log(1 - u);
    return std::max(part_of(config_.latency, part), latency_least());
}

Duration Network::latency_least() const {
    double part = 1;
    if (config_.distribution == Latency::uniform) part = 0.5;
    if (config_.distribution == Latency::exponential) part = 0.25;
    return std::max(part_of(config_.latency, part), Duration{1000});
}

Duration Network::extra(std::uint64_t channel, std::uint64_t n, Duration latency) const {
    Duration extra = part_of(latency, config_.jitter * draw(kJitter, channel, n));
    if (config_.loss > 0 && draw(kLoss, channel, n) < config_.loss)
        extra +=
            part_of(std::max(kRetransmitLeast, 2 * latency), 1 + draw(kRetransmission, channel, n));
    return extra;
}

double Network::line(PlaceIndex peer, double mean) const {
    if (config_.rate_spread == 0 || mean == 0) return mean;
    auto draws = stream(seed_, Purpose::scenario, 3'000'000, peer);
    return mean * portable_exp(config_.rate_spread * draws.normal());
}

bool Network::behind_nat(PlaceIndex peer) const {
    return config_.nat_part > 0 && draw(kNat, peer, 0) < config_.nat_part;
}

bool Network::blocked(PlaceIndex from, PlaceIndex to, bool dial) const {
    return std::ranges::any_of(barriers_, [&](const Barrier& b) {
        return b.from[from] && b.to[to] && !(dial && b.dials_pass);
    });
}

}  // namespace gossamer::simulation
