// A trainer that costs next to nothing, of a model as large as asked: what is left of a round or
// an exchange is the machinery.
#pragma once

#include "gossamer/assembly/extensions.hpp"

namespace gossamer::bench {

// Adds the option bench.parameters: how many float32 parameters the model has.
Extensions bench_extensions();

}  // namespace gossamer::bench
