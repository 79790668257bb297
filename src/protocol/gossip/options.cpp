#include <algorithm>

#include "protocol/gossip/config.hpp"

namespace gossamer::gossip {

OptionTable gossip_options() {
    using K = OptionKind;
    auto count = [](std::int64_t n) { return OptionValue(n); };
    return {
        {"gossip.algorithm", K::text, std::string("d-psgd"), "",
         "How neighbours' models become the next one: d-psgd (step, then average), d-psgd-awc "
         "(average and step; sends while it trains), or one of the program's own."},
        {"gossip.local_steps",
         K::integer,
         count(0),
         "batches",
         "Batches between two exchanges; 0 = gossip.local_epochs. More save traffic and let the "
         "peers drift apart.",
         {},
         0,
         1e9},
        {"gossip.local_epochs",
         K::integer,
         count(1),
         "epochs",
         "Passes over the local data between two exchanges, when local_steps is 0.",
         {},
         1,
         1e6},
        {"gossip.codec", K::text, std::string("f32"), "",
         "How models travel: f32 exact; f16 or bf16 half the bytes, rounded. The codecs for "
         "differences (int8, sign, top) are refused: whole models have no base."},
        {"gossip.evaluate_every",
         K::integer,
         count(1),
         "steps",
         "Steps between two evaluations on the local test set; 0 = only at the end. An evaluation "
         "that would overlap the one before is skipped.",
         {},
         0,
         1e12},
        {"gossip.checkpoint_every",
         K::integer,
         count(10),
         "steps",
         "Steps between two checkpoints; 0 = only at the end. A restarted peer goes on from the "
         "last one, or from a neighbour's model when that is further.",
         {},
         0,
         1e12},
        {"gossip.final_averaging_steps",
         K::integer,
         count(4),
         "steps",
         "Exchanges without training at the end, to bring the models together; log2(peers) make "
         "them equal on a one-peer exponential graph of 2^k peers.",
         {},
         0,
         1e6},
        {"gossip.patience",
         K::choice,
         std::string("local"),
         "",
         "How long a late neighbour is waited for: mean + 4 deviations of its measured lateness, "
         "within 150ms..10s (local), 300ms..20s (lan), 1s..60s (wan), each plus step times.",
         {"local", "lan", "wan"}},
    };
}

GossipConfig gossip_config(const OptionSource& source) {
    GossipConfig out;
    out.algorithm = source.text("gossip.algorithm");
    out.local_steps = static_cast<std::uint32_t>(source.integer("gossip.local_steps"));
    out.local_epochs = static_cast<std::uint32_t>(source.integer("gossip.local_epochs"));
    out.codec = source.text("gossip.codec");
    out.evaluate_every = static_cast<std::uint64_t>(source.integer("gossip.evaluate_every"));
    out.checkpoint_every = static_cast<std::uint64_t>(source.integer("gossip.checkpoint_every"));
    out.final_averaging_steps =
        static_cast<std::uint64_t>(source.integer("gossip.final_averaging_steps"));
    out.patience = source.text("gossip.patience");
    return out;
}

void add_shared(job::SharedSettings& settings, const GossipConfig& gossip,
                const topology::TopologyConfig& topology) {
    settings.add("gossip.algorithm", gossip.algorithm);
    settings.add("gossip.codec", gossip.codec);
    settings.add("gossip.final_averaging_steps", std::to_string(gossip.final_averaging_steps));
    const auto& graph = topology.graph;
    settings.add("topology.graph", to_string(graph.kind));
    settings.add("topology.weights", to_string(topology.weights));
    settings.add("topology.degree", std::to_string(graph.degree));
    settings.add("topology.rows", std::to_string(graph.rows));
    settings.add("topology.rewire", std::to_string(graph.rewire));
    std::string edges;
    for (const auto& edge : graph.edges) edges += edge + " ";
    settings.add("topology.edges", edges);
}

}  // namespace gossamer::gossip
