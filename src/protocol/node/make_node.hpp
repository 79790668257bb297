// The nodes of the house: Membership and one core of the run, composed. Assembly fills the setups
// and owns what comes out; both drivers turn it (gossamer/node/node.hpp).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/node/node.hpp"
#include "protocol/federated/federated_client.hpp"
#include "protocol/federated/round_engine.hpp"
#include "protocol/gossip/gossip.hpp"
#include "protocol/membership/config.hpp"
#include "protocol/node/run_slot.hpp"

namespace gossamer::node {

// What every node needs, whatever it learns.
struct NodeSetup {
    message::MemberRecord self;    // id, role, addresses it can be dialled at (host:port)
    std::uint64_t boot_epoch = 1;  // larger than in every earlier life, and already on disk
    membership::MembershipConfigRef membership;
    std::vector<message::MemberRecord> known;  // the peer book
    RunIdentityRef run;
    std::uint64_t sample_count = 0;  // of the local training data
};

// A peer that gossips with other peers. REQUIRES self.role == peer.
std::unique_ptr<Node> make_gossip_peer(NodeSetup setup, gossip::GossipSetupRef core,
                                       std::optional<job::Restored> restored);

// A peer that trains for an aggregator. REQUIRES self.role == peer.
std::unique_ptr<Node> make_federated_peer(NodeSetup setup, federated::ClientSetupRef core);

// The aggregator. REQUIRES self.role == aggregator. `restored` is what the last checkpoint gave;
// kCheckpointFormat when it is of another run, strategy, seed or layout.
Result<std::unique_ptr<Node>> make_aggregator(NodeSetup setup, federated::EngineSetup core,
                                              std::optional<job::Restored> restored);

}  // namespace gossamer::node
