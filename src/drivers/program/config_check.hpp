// What is wrong with a configuration as a whole: values that are right each and not together, names
// that nobody knows, addresses that are none. One check for `gossamer config check`, for --check
// and for every start of a daemon, so that the first two call nothing well that does not start.
// What takes keys, data or a network to find comes after it.
#pragma once

#include <optional>
#include <vector>

#include "gossamer/assembly/extensions.hpp"
#include "gossamer/base/peer_id.hpp"
#include "records/config/config.hpp"

namespace gossamer::program {

struct ConfigFindings {
    std::vector<Error> errors;    // each once, with the places where its keys are set
    std::vector<Error> warnings;  // of the graph: it works, but not as one may think
};

// Without a role the file may be for a peer or an aggregator, and has to be right for both.
ConfigFindings check_config(const config::Config& config, std::optional<Role> role,
                            const Extensions& extensions);

}  // namespace gossamer::program
