// The built-in trainer for a configuration: on the processor, or on a graphics card; of one peer,
// or of many in one process.
#pragma once

#include <cstdint>
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

// Makes the trainers of many peers that share their samples and, where they train on a card, its
// memory: it holds all samples once, and trains up to stack_size() peers side by side. Immutable;
// trainers may be made on any thread.
class TrainerStock {
public:
    struct Setup {
        std::shared_ptr<PlanStock> plans;
        data::View train, test;  // of all peers
        TrainingConfig config;
        std::uint32_t at_once = 1;  // peers that may train at a time; a small card takes fewer
    };
    // Errors: as make_trainer, but for those of a peer's own data.
    static Result<std::shared_ptr<const TrainerStock>> create(Setup setup);
    virtual ~TrainerStock() = default;

    // Of a peer whose samples are some of those of the stock; `test`: all of its, or none.
    virtual Result<std::shared_ptr<Trainer>> trainer(data::View train, data::View test) const = 0;
    virtual std::uint32_t stack_size() const = 0;          // 0: on the processor, peer by peer
    const std::string& remark() const { return remark_; }  // as of MadeTrainer

protected:
    std::string remark_;
};

// The graphics card of `gossamer version`: "NVIDIA H200, 139 GiB", or "none: " and why.
std::string device_line();

}  // namespace gossamer::training
