// The built-in trainer for a configuration: on the processor, or on a graphics card.
#pragma once

#include <memory>
#include <string>

#include "gossamer/training/cpu_trainer.hpp"

namespace gossamer::training {

struct MadeTrainer {
    std::shared_ptr<Trainer> trainer;
    std::string remark;  // where it trains and why there, unless plainly on the processor
};

// Errors: those of CpuTrainer::create; with Device::cuda also kGpuPlugin, kGpuDriver, kGpuDevice,
// kGpuModel, kGpuMemory. With Device::automatic these lead to the processor, and into the remark.
Result<MadeTrainer> make_trainer(const std::shared_ptr<PlanStock>& plans, const data::View& train,
                                 const data::View& test, const TrainingConfig& config);

// The graphics card of `gossamer version`: "NVIDIA H200, 139 GiB", or "none: " and why.
std::string device_line();

}  // namespace gossamer::training
