// The demo's world: a federation with keys, eight peers with unequal parts of the data, and an
// aggregator; each a folder with an identity, a configuration and a log, each a process of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "cli/process.hpp"
#include "gossamer/base/peer_id.hpp"

namespace gossamer::cli::demo {

struct Plan {
    std::string folder;       // of this demo's results
    std::string programs;     // the build folder: cli/, peers/, aggregator/ lie in it
    unsigned peer_count = 8;
    std::uint64_t seed = 1;
    std::uint64_t gossip_steps = 0, federated_rounds = 0;
    std::uint32_t local_epochs = 1, local_steps = 0;
    double alpha = 0.5;
};

// What one daemon said last, over its control socket.
struct Report {
    bool fresh = false;  // it answered
    std::string phase;
    std::uint64_t round = 0, round_max = 0;
    double loss = 0, accuracy = 0;  // NaN until known
    std::uint64_t sent_bytes = 0, received_bytes = 0;
    std::vector<std::pair<PeerId, std::string>> members;  // id, state
};

struct Daemon {
    std::string name, folder, program, config, socket, log;
    PeerId id;
    Process process;
    Report report;
    bool killed = false;
};

class World {
public:
    // Makes keys, certificates and configurations for one mode, with our own commands.
    static Result<World> create(const Plan& plan, const std::string& mode);

    Status start(Daemon& daemon);
    void ask(Daemon& daemon);  // updates its report; leaves it stale when it does not answer
    void stop_all();           // SIGTERM, then SIGKILL after two seconds

    std::vector<Daemon> daemons;  // the aggregator first, when there is one
    Daemon* aggregator();
    std::string mode, folder;

private:
    Status make_identity(const Plan& plan, Daemon& daemon, const std::string& role);
    Status write_config(const Plan& plan, Daemon& daemon, unsigned place);
    std::vector<unsigned> ports_;
};

// Runs a program to its end; its output when it succeeded.
Result<std::string> run_command(const std::vector<std::string>& arguments);
// Ports of this host that were free a moment ago.
std::vector<unsigned> free_ports(std::size_t count);

}  // namespace gossamer::cli::demo
