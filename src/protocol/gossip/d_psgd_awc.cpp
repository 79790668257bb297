// D-PSGD, adapt with combine: what is averaged is the model the step began with, so it can travel
// while the local steps are taken; their change is added to the mean afterwards. The guarantees are
// those of the other order.
#include "gossamer/gossip/algorithm.hpp"

namespace gossamer::gossip {

namespace {

// next = mixed + (trained - start), in double, rounded once.
Result<job::ComputeOutput> add_local_change(job::ComputeInput& in) {
    auto start = in.models[0].values();
    auto trained = in.models[1].values();
    auto mixed = in.models[2].values();
    auto buffer = in.pool->take_floats(mixed.size());
    auto next = buffer.floats();
    for (std::size_t i = 0; i < next.size(); ++i)
        next[i] = static_cast<float>(static_cast<double>(mixed[i]) +
                                     (static_cast<double>(trained[i]) - start[i]));
    job::ComputeOutput out;
    out.models.push_back(std::move(buffer));
    return out;
}

class DPsgdAwc final : public Algorithm {
public:
    Contract contract() const override { return {.name = "d-psgd-awc", .sends = Sends::start}; }
    std::optional<Arithmetic> combine(const StepView&, std::span<const Received>) const override {
        return Arithmetic{"add_local_change", add_local_change};
    }
};

}  // namespace

AlgorithmRef d_psgd_awc() { return std::make_shared<DPsgdAwc>(); }

}  // namespace gossamer::gossip
