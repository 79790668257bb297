#include "gossamer/federated/strategy.hpp"

namespace gossamer::federated {
namespace {

class FedAvgM : public Strategy {
public:
    FedAvgM(double momentum, double server_rate)
        : momentum_(static_cast<float>(momentum)), rate_(static_cast<float>(server_rate)) {}
    StrategyTraits traits() const override { return {"fed_avg_m"}; }

    Result<job::State> aggregate(const Aggregation& in) const override {
        auto vectors = VectorState::copy_or_zeros(in.state, 1, in.next.size(), in.pool);
        auto velocity = vectors[0].floats();
        for (std::size_t i = 0; i < in.next.size(); ++i) {
            velocity[i] = momentum_ * velocity[i] + in.next[i];
            in.next[i] = in.current[i] + rate_ * velocity[i];
        }
        return std::make_shared<VectorState>(std::move(vectors));
    }
    Result<job::State> load_state(ByteView saved, std::size_t parameter_count) const override {
        return VectorState::load(saved, 1, parameter_count);
    }

private:
    float momentum_, rate_;
};

}  // namespace

StrategyRef fed_avg_m(double momentum, double server_rate) {
    return std::make_shared<FedAvgM>(momentum, server_rate);
}

}  // namespace gossamer::federated
