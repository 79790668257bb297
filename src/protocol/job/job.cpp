#include "gossamer/job/job.hpp"

namespace gossamer::job {

std::string_view name_of(const Job& job) {
    static constexpr std::string_view names[] = {
        "initial_model", "train",   "evaluate", "encode", "decode", "mix",
        "accumulate",    "compute", "identify", "sign",   "verify", "checkpoint"};
    static_assert(std::size(names) == std::variant_size_v<Job>);
    static_assert(std::variant_size_v<Job> == std::variant_size_v<JobDone>);
    return names[job.index()];
}

}  // namespace gossamer::job
