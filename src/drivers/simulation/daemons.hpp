// A scenario as a fleet of real daemons: keys, certificates and a configuration for each, how to
// start them, and the scenario again with their PeerIds, so that the simulator repeats the run.
//
//   federation/  aggregator/{identity,config.toml}  peer-0/{identity,config.toml} ...
//   start.sh  README.txt  scenario.toml
#pragma once

#include <string>
#include <vector>

#include "drivers/simulation/scenario.hpp"

namespace gossamer::simulation {

struct DaemonExport {
    std::string folder;
    // Where each that is dialled listens; {port} counts up from first_port, {n} is the index of a
    // peer or "aggregator".
    std::string address = "127.0.0.1:{port}";
    unsigned first_port = 7400;
    double certificate_days = 30;
    WallTime now;
};

struct ExportedDaemon {
    std::string name;  // "peer-3", "aggregator": its folder
    PeerId id;
    std::string address;  // "" when it only dials out
};

// The aggregator first, when there is one. Errors: kUsage (addresses), kKeyExists when the folder
// holds an export already, those of the disk.
Result<std::vector<ExportedDaemon>> export_daemons(const Scenario& scenario,
                                                   const DaemonExport& how);

}  // namespace gossamer::simulation
