// System tests: real processes, real TLS, real disks, on this host.
#pragma once

#include <functional>
#include <string>

#include "cli/world.hpp"

namespace gossamer::system_test {

// A folder of its own under the build folder, emptied first.
std::string fresh_folder(const std::string& name);

// Small synthetic data and a small network, so that a run takes a second or two.
// What follows the header of a safetensors file; empty when it is none.
std::string tensors_of(const std::string& path);
cli::Options small_learning();

cli::World make_world(const std::string& name, const std::string& mode, unsigned peer_count,
                      const cli::Options& more);

// Asks all daemons again and again until `condition` holds; false when it did not in time.
// `patience` is for ordinary builds: sanitizers train tens of times slower, and get more.
bool eventually(cli::World& world, Duration patience, const std::function<bool()>& condition);
// Waits for all to end; true when each ended with exit code 0.
bool all_end_well(cli::World& world, Duration patience);

std::string text_of(const std::string& path);
// What the daemon wrote to its log so far; for messages of failed checks too.
std::string log_of(const cli::Daemon& daemon);

}  // namespace gossamer::system_test
