// What a simulated world is made of, as options of the section [simulation] beside those of the
// daemons.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/base/peer_id.hpp"

namespace gossamer::simulation {

enum class ComputeMode : std::uint8_t {
    real,       // trains on real data
    cost,       // training changes nothing and takes its time: for protocol studies
    quadratic,  // trains on f_i(x) = 1/2 (x - b_i)' A (x - b_i): for conformance
};
enum class Latency : std::uint8_t { fixed, uniform, exponential };
enum class Availability : std::uint8_t { always, churn, diurnal, trace };
enum class Disks : std::uint8_t { none, aggregator, all };

struct NetworkConfig {
    Latency distribution = Latency::uniform;
    Duration latency = 20ms;  // one way: the mean of what pairs of places have
    double jitter = 0.1;      // a packet takes up to this part longer
    double up_bytes_per_second = 0, down_bytes_per_second = 0;  // of each place; 0 = no limit
    double server_bytes_per_second = 0;                         // of an aggregator, each way
    double rate_spread = 0;  // deviation of the logarithm of what peers' lines carry
    double loss = 0;         // chance that a packet is sent again after a timeout
    double nat_part = 0;     // of the peers that cannot be dialled
};

struct DeviceConfig {
    double samples_per_second = 10'000;      // trained
    double server_samples_per_second = 1e6;  // of the aggregator, which only evaluates
    double speed_spread = 0;                 // deviation of the logarithm of the speeds
    double slow_part = 0, slow_factor = 10;
    double memory = 0;         // bytes of a device to train in; 0: as many as it takes
    double memory_spread = 0;  // deviation of its logarithm
    double drift = 0;          // of the wall clocks, at most, as a part
    Duration clock_error{};    // of the wall clocks at the start, at most
    Availability availability = Availability::always;
    Duration up_mean = 600s, down_mean = 60s;  // churn
    bool churn_loses_power = false;            // or only its process
    Duration day = 24h;                        // diurnal
    double asleep_part = 0.5;                  // of the day, staggered over the places
    std::string trace_file;
};

struct QuadraticConfig {
    std::uint32_t dimension = 10;
    double condition = 10, spread = 1;
    double rate = 0.1;
    std::uint64_t steps = 0;  // with that rate, then 0; 0 = all
};

struct WorldConfig {
    ComputeMode compute = ComputeMode::real;
    std::uint64_t peers = 0;          // 0 = run.peers
    std::size_t cost_parameters = 1;  // of the model, under ComputeMode::cost
    std::uint64_t cost_samples = 60;  // each device holds, likewise
    Duration start_spread = 1s;
    Duration time_max = 24h;
    Disks disks = Disks::aggregator;
    NetworkConfig network;
    DeviceConfig devices;
    QuadraticConfig quadratic;
    std::vector<std::string> faults;
    std::vector<PeerId> ids;  // of the peers, then the aggregator; empty = made up
};

OptionTable simulation_options();
Result<WorldConfig> world_config(const OptionSource& source);

}  // namespace gossamer::simulation
