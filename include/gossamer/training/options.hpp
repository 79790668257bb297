// [training] of a configuration.
#pragma once

#include "gossamer/base/options.hpp"
#include "gossamer/training/cpu_trainer.hpp"

namespace gossamer::training {

OptionTable training_options();
// kConfigConflict when two options contradict each other.
Result<TrainingConfig> training_config(const OptionSource& options);

}  // namespace gossamer::training
