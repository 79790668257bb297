// How long packets take between places: latency, lines shared by all transfers of a place, loss,
// and what faults do to them. Everything is drawn from the seed by name, never in sequence.
#pragma once

#include <cstdint>
#include <vector>

#include "drivers/simulation/config.hpp"
#include "drivers/simulation/directory.hpp"
#include "gossamer/base/rng.hpp"

namespace gossamer::simulation {

// Places that cannot reach others: one way, so a partition is two of them.
struct Barrier {
    std::uint64_t id = 0;  // of the fault that made it
    std::vector<bool> from, to;
    bool dials_pass = false;  // clogging holds data back, not connections
};

class Network {
public:
    Network(NetworkConfig config, RunSeed seed) : config_(config), seed_(seed) {}

    const NetworkConfig& config() const { return config_; }
    // One way, without jitter; the same in both directions. Above 0.
    Duration latency(PlaceIndex a, PlaceIndex b) const;
    Duration latency_least() const;
    // What the n-th packet on a channel takes beyond the latency: jitter, and a retransmission.
    Duration extra(std::uint64_t channel, std::uint64_t n, Duration latency) const;
    bool behind_nat(PlaceIndex peer) const;
    // Bytes a second of a peer's line; 0: no limit.
    double up_rate(PlaceIndex peer) const { return line(peer, config_.up_bytes_per_second); }
    double down_rate(PlaceIndex peer) const { return line(peer, config_.down_bytes_per_second); }

    void raise(Barrier barrier) { barriers_.push_back(std::move(barrier)); }
    void lower(std::uint64_t id) {
        std::erase_if(barriers_, [&](const Barrier& b) { return b.id == id; });
    }
    bool blocked(PlaceIndex from, PlaceIndex to, bool dial = false) const;

private:
    double line(PlaceIndex peer, double mean) const;
    double draw(std::uint64_t what, std::uint64_t a, std::uint64_t b) const;  // [0, 1)
    NetworkConfig config_;
    RunSeed seed_;
    std::vector<Barrier> barriers_;
};

}  // namespace gossamer::simulation
