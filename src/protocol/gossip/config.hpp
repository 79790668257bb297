// The options of gossip, and what a Gossip core is made of.
#pragma once

#include <optional>
#include <string>

#include "gossamer/base/options.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/gossip/algorithm.hpp"
#include "gossamer/job/lifecycle.hpp"
#include "gossamer/topology/roster.hpp"
#include "gossamer/topology/schedule.hpp"

namespace gossamer::gossip {

struct GossipConfig {
    std::string algorithm = "d-psgd";
    std::uint32_t local_steps = 0;   // batches between two exchanges; 0 = local_epochs instead
    std::uint32_t local_epochs = 1;  // passes over the local data between two exchanges
    std::string codec = "f32";
    std::uint64_t evaluate_every = 1;     // steps; 0 = only at the end
    std::uint64_t checkpoint_every = 10;  // steps; 0 = only at the end
    std::uint64_t final_averaging_steps = 4;
    std::string patience = "local";  // profile of the waits: local, lan, wan
};
OptionTable gossip_options();
GossipConfig gossip_config(const OptionSource& source);
// Adds what all members must share: algorithm, codec, graph and weights.
void add_shared(job::SharedSettings& settings, const GossipConfig& gossip,
                const topology::TopologyConfig& topology);

// The same for all peers of a run; those of one process share it.
struct GossipSetup {
    job::RunConfig run;
    GossipConfig config;
    topology::TopologyConfig topology;
    tensor::LayoutRef layout;
    codec::CodecRef codec;   // of config.codec
    AlgorithmRef algorithm;  // of config.algorithm
    // Who takes part, and the mixing, when that is settled beforehand: then a peer waits for its
    // neighbours alone. Null: whoever comes.
    std::shared_ptr<const topology::Roster> roster;
    std::shared_ptr<const topology::Schedule> schedule;
};
using GossipSetupRef = std::shared_ptr<const GossipSetup>;

}  // namespace gossamer::gossip
