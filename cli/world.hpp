// A federation on this host: keys, peers and an aggregator, each a folder with an identity, a
// configuration and a log, each a process of its own. For the demo, system tests and benchmarks.
#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cli/process.hpp"
#include "gossamer/base/peer_id.hpp"

namespace gossamer::cli {

// Options of a configuration by key, values as TOML writes them: {"run.rounds", "20"}.
using Options = std::map<std::string, std::string>;
std::string toml_text(std::string_view text);  // as a TOML string

struct WorldPlan {
    std::string folder;    // everything lies below it
    std::string programs;  // the build folder, or the prefix of an installation
    std::string mode;      // "gossip" or "federated"
    unsigned peer_count = 8;
    Options options;  // of all daemons; data.part and the addresses are set for each
    std::string peer_program, aggregator_program;  // other than the shipped ones, when not empty
};

// What one daemon said last, over its control socket.
struct Report {
    bool fresh = false;  // it answered
    std::string phase;
    std::uint64_t round = 0, round_max = 0;
    double loss = NAN, accuracy = NAN;  // until known
    std::uint64_t sent_bytes = 0, received_bytes = 0;
    std::vector<std::pair<PeerId, std::string>> members;  // id, state
};

struct Daemon {
    std::string name, folder, program, config, socket, log;
    Options options;
    PeerId id;
    Process process;
    Report report;
    bool killed = false;
};

class World {
public:
    // Makes keys, certificates and configurations for one mode, with our own commands.
    static Result<World> create(const WorldPlan& plan);

    // Writes the daemon's options as its configuration, and starts it.
    Status start(Daemon& daemon);
    void ask(Daemon& daemon);  // updates its report; leaves it stale when it does not answer
    void stop_all();           // SIGTERM, then SIGKILL after two seconds

    std::vector<Daemon> daemons;  // the aggregator first, when there is one
    Daemon* aggregator();
    std::string mode, folder, programs;

private:
    void set_options(const WorldPlan& plan, Daemon& daemon, unsigned place);
    std::vector<unsigned> ports_;
};

// Where "peers/gossamer-peer" of the build folder is: there, or in bin/ of an installation.
std::string program_in(const std::string& programs, const std::string& path);
// Makes a key and a certificate of this role in `identity`, with our own commands.
Result<PeerId> make_identity(const std::string& programs, const std::string& federation,
                             const std::string& identity, const std::string& role);
// The newest final.safetensors below a daemon's folder; empty when there is none.
std::string final_model(const Daemon& daemon);

// Runs a program to its end; its output when it succeeded.
Result<std::string> run_command(const std::vector<std::string>& arguments);
// Ports of this host that were free a moment ago.
std::vector<unsigned> free_ports(std::size_t count);

}  // namespace gossamer::cli
