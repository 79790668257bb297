// [model] of a configuration.
#pragma once

#include "gossamer/base/options.hpp"
#include "gossamer/model/network.hpp"

namespace gossamer::model {

OptionTable model_options();
// The network asked for, for samples of this shape and this many classes or target values, at each
// of `positions`. With model.layers the last layer must give so many values (kModelShape); else
// model.name counts.
Result<NetworkSpec> network_spec(const OptionSource& options, std::vector<std::uint32_t> input,
                                 std::uint32_t outputs, std::uint32_t positions = 1);

}  // namespace gossamer::model
