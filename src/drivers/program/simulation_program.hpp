// gossamer-sim: its commands and flags.
#pragma once

#include "gossamer/assembly/extensions.hpp"

namespace gossamer::program {

int run_simulation(int argc, char** argv, const Extensions& extensions);

}  // namespace gossamer::program
