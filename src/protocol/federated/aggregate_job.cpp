#include "protocol/federated/aggregate_job.hpp"

#include "gossamer/tensor/exact_sum.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::federated {

job::ComputeJob aggregate_job(AggregateRequest request) {
    job::ComputeJob out;
    out.name = "the aggregation of round " + std::to_string(request.round);
    out.finite = true;
    out.input.models = {std::move(request.current)};
    out.input.sum = std::move(request.sum);
    out.input.state = std::move(request.state);
    out.out_models = {std::move(request.next)};
    bool needs_set = request.strategy->traits().needs_set;
    std::vector<std::pair<PeerId, float>> weights;
    double total = 0;
    for (auto& accepted : request.accepted) {
        weights.emplace_back(accepted.peer, accepted.weight);
        total += accepted.weight;
        if (needs_set) out.input.payloads.push_back(std::move(accepted.payload));
    }
    out.run = [strategy = request.strategy, codec = request.codec, scale = request.scale,
               round = request.round, weights,
               total](job::ComputeInput& in) -> Result<job::ComputeOutput> {
        auto current = in.models[0].values();
        auto next = in.pool->take_floats(current.size());
        tensor::exact_decode(next.floats(), in.sum.parts().total(), scale, total);
        std::vector<AcceptedDelta> deltas;
        for (std::size_t k = 0; k < in.payloads.size(); ++k)
            deltas.push_back({weights[k].first, weights[k].second, in.payloads[k].bytes(),
                              codec.get(), current.size()});
        Aggregation aggregation{round,          current,  next.floats(), deltas,
                                weights.size(), in.state, in.pool};
        GOSSAMER_TRY(auto state, strategy->aggregate(aggregation));
        job::ComputeOutput result;
        result.models.push_back(std::move(next));
        result.state = std::move(state);
        return result;
    };
    return out;
}

}  // namespace gossamer::federated
