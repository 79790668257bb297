// What a program of yours adds to the built-in algorithms, strategies, codecs and trainer.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/federated/strategy.hpp"
#include "gossamer/gossip/algorithm.hpp"
#include "gossamer/training/trainer.hpp"

namespace gossamer {

struct Extensions {
    std::vector<gossip::AlgorithmEntry> algorithms;
    std::vector<federated::StrategyEntry> strategies;
    std::vector<codec::CodecRef> codecs;
    // Replaces the built-in trainer when set.
    std::function<Result<std::shared_ptr<training::Trainer>>(const OptionSource&)> trainer;
    OptionTable options;  // of the trainer
};

}  // namespace gossamer
