// Whole nodes that learn something small for real: peer k pulls its parameters towards a target of
// its own, so the best common model is the mean of the targets.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "drivers/work/perform.hpp"
#include "protocol/node/run_node.hpp"
#include "support/world.hpp"

namespace gossamer::testing {

struct LearningOptions {
    std::size_t peers = 4;
    bool aggregator = false;  // federated, the aggregator in the last place; else gossip
    std::uint64_t rounds = 20;
    std::uint64_t seed = 1;
    std::uint64_t wait_for = 0;  // run.peers; 0 = all
    NetworkModel network = {};
    Duration step_cost = 50ms;
    topology::GraphKind graph = topology::GraphKind::one_peer_exponential;
    std::map<std::size_t, std::uint32_t> odd_layout;  // place -> another number of parameters
    std::map<std::size_t, std::string> odd_run;       // place -> another run
    std::map<std::size_t, std::string> odd_codec;     // place -> another codec, in gossip
    bool by_book = false;  // no seeds: peers are in each other's peer books
};

class LearningWorld {
public:
    explicit LearningWorld(LearningOptions options);

    void start_all();
    bool run_to_end(Duration at_most = 300s);
    node::RunNode& node(std::size_t place) {
        return static_cast<node::RunNode&>(world.node(place));
    }
    std::size_t aggregator() const { return options.peers; }
    std::uint64_t round(std::size_t place) { return world.node(place).status(world.now()).round; }
    // The model of the last checkpoint with one; the exact bytes.
    std::vector<float> kept_model(std::size_t place) const;
    bool final_written(std::size_t place) const { return finals_.contains(place); }
    std::vector<float> best() const;  // the mean of the targets of all peers
    // All warnings a node has given.
    std::vector<Error> warnings(std::size_t place) const;
    template <class N>
    std::vector<std::pair<Instant, N>> noted(std::size_t place) const {
        std::vector<std::pair<Instant, N>> found;
        for (const auto& noted : world.notices())
            if (noted.place == place)
                if (auto* n = std::get_if<N>(&noted.notice)) found.emplace_back(noted.at, *n);
        return found;
    }

    LearningOptions options;
    World world;

private:
    std::unique_ptr<node::Node> make(std::size_t place, std::uint64_t boot_epoch);
    Result<std::string> keep(std::size_t place, const job::CheckpointJob& job);

    tensor::PoolRef pool_;
    std::map<std::size_t, tensor::LayoutRef> layouts_;
    std::map<std::size_t, work::Perform> perform_;
    std::map<std::size_t, job::Restored> disk_;
    std::map<std::size_t, bool> finals_;
};

}  // namespace gossamer::testing
