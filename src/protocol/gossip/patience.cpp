#include "protocol/gossip/patience.hpp"

#include <algorithm>
#include <cmath>

namespace gossamer::gossip {

namespace {

double smooth(double old, double sample, double gain) { return old + gain * (sample - old); }
Duration whole(double ns) { return Duration{static_cast<std::int64_t>(ns)}; }

}  // namespace

PatienceBounds patience_bounds(std::string_view profile) {
    if (profile == "wan") return {.floor = 1s, .cap = 60s};
    if (profile == "lan") return {.floor = 300ms, .cap = 20s};
    return {.floor = 150ms, .cap = 10s};
}

void Patience::step_took(Duration training) {
    auto sample = static_cast<double>(training.count());
    step_ns_ = step_ns_ == 0 ? sample : smooth(step_ns_, sample, 0.125);
}

void Patience::arrived(const PeerId& peer, Duration lateness) {
    auto& e = of_[peer];
    auto sample = static_cast<double>(lateness.count());
    if (!e.measured) {
        e.mean = sample, e.deviation = std::abs(sample) / 2;
    } else {
        e.deviation = smooth(e.deviation, std::abs(sample - e.mean), 0.25);
        e.mean = smooth(e.mean, sample, 0.125);
    }
    e.measured = true, e.missed_in_row = 0;
}

void Patience::missed(const PeerId& peer) {
    auto& e = of_[peer];
    e.missed_in_row = std::min(e.missed_in_row + 1, 30u);
}

Duration Patience::floor() const { return bounds_.floor + whole(step_ns_); }
Duration Patience::cap() const { return bounds_.cap + whole(4 * step_ns_); }

Duration Patience::allowance(const PeerId& peer) const {
    auto least = floor(), most = cap();
    auto it = of_.find(peer);
    if (it == of_.end()) return most;
    const auto& e = it->second;
    auto wish = most;
    if (e.measured) {
        double ns = e.mean + bounds_.deviations * e.deviation;
        double top = static_cast<double>(most.count());
        wish = whole(std::clamp(ns, 0.0, top));
    }
    wish = std::max(wish, least);
    return std::max(Duration{wish.count() >> e.missed_in_row}, least);
}

void Patience::digest_into(ByteWriter& out) const {
    out.put(step_ns_);
    for (const auto& [peer, e] : of_) {
        out.put(peer.bytes);
        out.put(e.mean), out.put(e.deviation);
        out.put(e.measured), out.put(e.missed_in_row);
    }
}

}  // namespace gossamer::gossip
