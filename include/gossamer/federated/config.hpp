// Configuration of federated runs: the [federated] section, for aggregator and clients.
#pragma once

#include <cstdint>
#include <string>

#include "gossamer/base/options.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/federated/strategy.hpp"

namespace gossamer::federated {

struct FederatedConfig {
    std::string strategy = "fed_avg";
    double fraction = 1;  // of the candidates, each round
    std::uint64_t clients_min = 1;
    double over_provision = 1;  // invited per wanted client
    double quorum = 0.5;        // of the wanted clients
    double value_bound = 1000;  // of |x| in an update
    std::uint32_t local_epochs = 1, local_steps = 0;
    double proximal_mu = 0;
    std::string codec = "f32";                // of updates
    bool keep_optimizer = false;              // clients carry optimiser state from round to round
    std::uint64_t evaluate_every = 1;         // central, in rounds; 0 = the final model only
    std::uint64_t client_evaluate_every = 0;  // by the clients
    std::uint32_t staging = 2;                // uploads in memory at a time
    std::uint64_t set_memory_bytes = std::uint64_t{256} << 20;
    Duration patience_min = std::chrono::seconds(5);
    Duration round_max = std::chrono::minutes(30);
    Duration rejoin_wait = std::chrono::seconds(60);
    Duration wait_peers = std::chrono::hours(1);
    std::uint32_t attempts = 3;
};
OptionTable federated_options();
FederatedConfig federated_config(const OptionSource& source);

}  // namespace gossamer::federated
