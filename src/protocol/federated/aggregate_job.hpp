// The arithmetic at the end of a round, as a pure job: the exact sum becomes the mean delta, the
// strategy makes the next model of it, in one new buffer.
#pragma once

#include <vector>

#include "gossamer/federated/strategy.hpp"
#include "gossamer/job/job.hpp"

namespace gossamer::federated {

struct AggregateRequest {
    std::uint64_t round = 0;
    StrategyRef strategy;
    codec::CodecRef codec;  // of the updates
    tensor::ExactScale scale;
    struct Accepted {
        PeerId peer;
        float weight = 0;
        tensor::Payload payload;  // when the rule needs the set
    };
    std::vector<Accepted> accepted;  // in PeerId order
    job::Sum sum;
    tensor::Model current, next;
    job::State state;
};
// Errors of the job: the strategy's own; kModelNotFinite.
job::ComputeJob aggregate_job(AggregateRequest request);

}  // namespace gossamer::federated
