// What each job does: the bridge from job structs to trainers, codecs, kernels, keys and disk.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "drivers/work/executor.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/training/trainer.hpp"

namespace gossamer::work {

// Everything jobs may touch. All of it may be used from several workers at once.
struct Tools {
    std::shared_ptr<training::Trainer> trainer;
    std::shared_ptr<const codec::CodecTable> codecs;
    tensor::PoolRef pool;
    RunSeed seed;
    PeerId self;
    // Writes a checkpoint and returns where it lies; empty when nothing is kept.
    std::function<Result<std::string>(const job::CheckpointJob&)> checkpoint;
    std::function<Result<Bytes>(ByteView)> sign;
    std::function<bool(ByteView text, ByteView signature, ByteView public_key)> verify;
};

Perform make_perform(Tools tools);

// Tells the trainer of a train job to come, for as long as the answer is kept: one that trains many
// side by side then takes it along. REQUIRES job.start.filled().
std::shared_ptr<const void> foresee(const Tools& tools, const job::TrainJob& job);

}  // namespace gossamer::work
