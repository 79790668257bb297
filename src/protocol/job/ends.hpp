// What a job reads, what it will fill, and which sum it touches: for whoever decides when a job may
// run.
#pragma once

#include <vector>

#include "gossamer/job/job.hpp"

namespace gossamer::job {

struct Ends {
    std::vector<const tensor::Handle*> inputs, outputs;  // those that exist
    const void* sum = nullptr;
};
Ends ends_of(const Job& job);  // its pointers live as long as the job stays where it is

}  // namespace gossamer::job
