// [model] of a configuration.
#pragma once

#include "gossamer/base/options.hpp"
#include "gossamer/model/network.hpp"

namespace gossamer::model {

OptionTable model_options();
// The network asked for, for samples of this shape and this many classes or target values. With
// model.layers the last layer must give `outputs` values (kModelShape); else model.name counts.
Result<NetworkSpec> network_spec(const OptionSource& options, std::vector<std::uint32_t> input,
                                 std::uint32_t outputs);

}  // namespace gossamer::model
