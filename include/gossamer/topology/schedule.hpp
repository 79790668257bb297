// Whom to send to, whom to hear, and how much each counts, at every step.
//
// Weights are multiples of 2^-24 and self = 1 - (sum of the others), so every row sums to exactly 1
// and, for the graphs built here with Metropolis-Hastings weights, every column does too: mixing
// then keeps the mean of all models. A neighbour that misses a step gives its weight back to self.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/topology/graph.hpp"

namespace gossamer::topology {

inline constexpr std::uint32_t kWeightOne = 1u << 24;

enum class Weights : std::uint8_t {
    metropolis,  // 1 / (1 + the larger degree of the two): keeps the mean on any undirected graph
    uniform,     // 1 / (1 + own in-degree): keeps the mean only when all degrees are equal
};
std::string_view to_string(Weights weights);

struct Neighbour {
    std::uint32_t place = 0;
    std::uint32_t units = 0;  // weight in multiples of 2^-24
    double weight() const { return static_cast<double>(units) / kWeightOne; }
    bool operator==(const Neighbour&) const = default;
};

// Immutable once made; cheap to read, copied with its tables.
class Schedule {
public:
    Schedule() = default;
    Schedule(const Graph& graph, Weights weights);

    std::uint32_t place_count() const { return place_count_; }
    std::uint64_t period() const { return phases_.empty() ? 1 : phases_.size(); }
    // In order of places, which is PeerId order. REQUIRES place < place_count().
    std::span<const std::uint32_t> out_neighbours(std::uint32_t place, std::uint64_t step) const;
    std::span<const Neighbour> in_neighbours(std::uint32_t place, std::uint64_t step) const;
    double self_weight(std::uint32_t place, std::uint64_t step) const;
    // Everybody this place sends to or hears in some step: whom it wants links to.
    std::vector<std::uint32_t> all_neighbours(std::uint32_t place) const;

private:
    struct Phase {  // row i lies at [start[i], start[i + 1])
        std::vector<std::uint32_t> out_start, in_start, out, self_units;
        std::vector<Neighbour> in;
    };
    const Phase& phase(std::uint64_t step) const { return phases_[step % phases_.size()]; }
    std::uint32_t place_count_ = 0;
    std::vector<Phase> phases_;
};

// How fast disagreement shrinks. `second` is the norm of the mixing matrix of one period off the
// mean, || W - 11'/n ||: for symmetric and for circulant matrices the second largest |eigenvalue|.
// By Lanczos with full reorthogonalisation: good to about 1e-8 up to some hundred places.
struct Spectrum {
    double second = 0;
    double gap = 1;            // 1 - second
    std::uint64_t period = 1;  // steps that `second` stands for
};
Spectrum spectrum(const Schedule& schedule);

// What an operator should know before starting: kTopologyDisconnected, kTopologyBiased (the weights
// are not doubly stochastic, so the mean drifts). Empty when all is well.
std::vector<Error> check(const Schedule& schedule);

struct TopologyConfig {
    GraphOptions graph;
    Weights weights = Weights::metropolis;
};
OptionTable topology_options();
// The table was checked, so this cannot fail.
TopologyConfig topology_config(const OptionSource& source);

Result<Schedule> make_schedule(const TopologyConfig& config, std::uint32_t place_count,
                               RunSeed seed);

}  // namespace gossamer::topology
