// How far the models of a gossip run are from their mean, step by step, while the run goes on.
//
// Each peer's model is looked at when it has finished a step, so that peers which are at different
// steps at one moment are still compared at the same step. Of large models a sample is looked at:
// blocks of parameters spread over the vector, a few cache lines a peer.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "gossamer/tensor/handle.hpp"

namespace gossamer::simulation {

class ConsensusMeter {
public:
    static constexpr std::size_t kBlock = 64, kBlocksMax = 16;
    static constexpr std::size_t kOpenMax = 32, kStepsMax = 1024;

    ConsensusMeter(std::size_t parameter_count, std::size_t peer_count);

    // Whether this step is looked at: all at first, then every second, every fourth, ...
    bool wants(std::uint64_t step) const { return step <= 1 || step % every_ == 0; }
    // What of a model is looked at; on any thread.
    std::vector<float> sample(const tensor::Model& model) const;
    void add(std::uint64_t step, std::span<const float> sample);
    void finish();  // steps that not everybody reached

    // Root mean square over peers and parameters of the distance from the mean.
    const std::map<std::uint64_t, double>& distances() const { return distances_; }

private:
    struct Open {
        std::vector<float> first;  // the first model: sums of differences lose no digits
        std::vector<double> sums;
        double squares = 0;
        std::size_t count = 0;
    };
    void close(std::map<std::uint64_t, Open>::iterator at);

    std::size_t parameter_count_, peer_count_;
    std::vector<std::size_t> blocks_;  // where they begin
    std::uint64_t every_ = 1;
    std::map<std::uint64_t, Open> open_;
    std::map<std::uint64_t, double> distances_;
};

}  // namespace gossamer::simulation
