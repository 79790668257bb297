// The program behind gossamer-peer and gossamer-aggregator: flags, configuration, assembly, run.
#pragma once

#include "gossamer/program.hpp"

namespace gossamer::program {

int run_daemon(int argc, char** argv, Role role, const Extensions& extensions);

}  // namespace gossamer::program
