// The programs, as functions: the shipped mains are three lines over these, so a user's own
// algorithm, strategy, codec or trainer gets its daemon the same way:
//
//     int main(int argc, char** argv) {
//         gossamer::Extensions mine;
//         mine.algorithms.push_back(my_algorithm_entry());
//         return gossamer::run_peer(argc, argv, mine);
//     }
//
// Exit codes: 0 ok, 1 operation failed, 2 usage or configuration, 3 cannot reach or not authorised,
// 4 timed out or quorum not met, 5 partial, 70 internal error.
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

int run_peer(int argc, char** argv, const Extensions& extensions = {});
int run_aggregator(int argc, char** argv, const Extensions& extensions = {});

}  // namespace gossamer
