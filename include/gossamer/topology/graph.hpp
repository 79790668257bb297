// Graphs over n places: who sends to whom. A graph may vary in time; then it is a sequence of
// phases that repeats, and step t uses phase t mod period.
//
// Static exponential and one-peer exponential: Ying et al., "Exponential Graph is Provably
// Efficient for Decentralized Deep Training", NeurIPS 2021. Small world: Watts and Strogatz, 1998.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"

namespace gossamer::topology {

enum class GraphKind : std::uint8_t {
    ring,
    torus,
    complete,
    star,  // place 0 is the centre
    chain,
    hypercube,
    exponential,           // i sends to i + 1, i + 2, i + 4, ... (directed)
    one_peer_exponential,  // at step t, i sends to i + 2^(t mod ceil(log2 n)) alone
    random_regular,
    small_world,
    edges,
};
std::string_view to_string(GraphKind kind);  // "one-peer-exponential"

struct Arc {  // from sends to `to`
    std::uint32_t from = 0, to = 0;
    auto operator<=>(const Arc&) const = default;
};

struct Graph {
    std::uint32_t place_count = 0;
    std::vector<std::vector<Arc>> phases;  // at least one; sorted, distinct, no loops
};

struct GraphOptions {
    GraphKind kind = GraphKind::one_peer_exponential;
    std::uint32_t degree = 4;        // of random_regular and small_world
    std::uint32_t rows = 0;          // of torus; 0 = as square as n allows
    double rewire = 0.1;             // of small_world: chance of each edge
    std::vector<std::string> edges;  // "0-3" both ways, "0>3" one way; places in PeerId order
};

// kTopology when n places cannot be joined in this way. Random kinds are drawn from the seed, again
// until they are connected.
Result<Graph> make_graph(const GraphOptions& options, std::uint32_t place_count, RunSeed seed);

// Whether, over one period, what one place sends reaches every other place.
bool is_connected(const Graph& graph);

}  // namespace gossamer::topology
