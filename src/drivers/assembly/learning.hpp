// Data, network and trainer of one member, out of its configuration.
#pragma once

#include <memory>

#include "gossamer/assembly/extensions.hpp"
#include "gossamer/job/lifecycle.hpp"

namespace gossamer::assembly {

struct Learning {
    std::shared_ptr<training::Trainer> trainer;
    std::shared_ptr<const codec::CodecTable> codecs;
    tensor::PoolRef pool;
    bool has_test_data = false;
};

// An aggregator trains on nothing: it needs the data for the shape of the model, and the test
// samples, when there are any, for central evaluation.
Result<Learning> make_learning(const OptionSource& options, const job::RunConfig& run, Role role,
                               const Extensions& extensions);

}  // namespace gossamer::assembly
