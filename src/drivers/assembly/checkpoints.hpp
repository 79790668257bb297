// Checkpoint jobs on disk: one store for a run, used by one worker at a time.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "gossamer/job/job.hpp"
#include "gossamer/job/lifecycle.hpp"
#include "gossamer/training/cpu_trainer.hpp"
#include "records/storage/checkpoint.hpp"
#include "records/storage/run_folder.hpp"

namespace gossamer::assembly {

class Checkpoints {
public:
    // The folder outlives restarts: it belongs to the run's name, not to one start of a daemon.
    static Result<std::unique_ptr<Checkpoints>> open(storage::Disk& disk, std::string folder,
                                                     std::string final_model, std::string run,
                                                     storage::CheckpointConfig config);

    // The final model then has the tensors that are not exchanged, too. Null: it has none.
    void complete_with(std::shared_ptr<const training::PlanStock> plans) {
        plans_ = std::move(plans);
    }
    // A job's work: a checkpoint, a record alone, and the final model when it says so.
    Result<std::string> write(const job::CheckpointJob& job);
    // What to go on from; empty when there is nothing. `damaged` names what was passed over.
    Result<std::optional<job::Restored>> restore(const tensor::PoolRef& pool,
                                                 std::vector<std::string>& damaged);

    // The final model could not be written: the run is not over on disk.
    bool final_lost() const { return final_lost_; }

private:
    Checkpoints(storage::Disk& disk, storage::CheckpointStore store, std::string final_model,
                std::string run)
        : disk_(disk),
          store_(std::move(store)),
          final_model_(std::move(final_model)),
          run_(std::move(run)) {}

    storage::Disk& disk_;
    std::mutex mutex_;
    storage::CheckpointStore store_;
    std::string final_model_, run_;
    std::shared_ptr<const training::PlanStock> plans_;
    std::atomic<bool> final_lost_ = false;
};

}  // namespace gossamer::assembly
