// `gossamer demo`: eight peers train on Fashion-MNIST as separate processes over mutual TLS, by
// gossip and with an aggregator; one is killed and comes back; a table compares.
#pragma once

#include <cstdint>
#include <string>

#include "gossamer/base/result.hpp"

namespace gossamer::cli::demo {

struct DemoOptions {
    std::string folder;    // results go to a new folder in it
    std::string programs;  // the build folder
    bool json = false;
    unsigned peer_count = 8;
    std::uint64_t seed = 1;
};

// Returns the exit code: 0, or 5 when a mode missed what it should show.
Result<int> run_demo(const DemoOptions& options);

}  // namespace gossamer::cli::demo
