#include "gossamer/federated/strategy.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::federated {
namespace {

class FedAvg : public Strategy {
public:
    explicit FedAvg(double server_rate) : rate_(static_cast<float>(server_rate)) {}
    StrategyTraits traits() const override { return {"fed_avg"}; }

    Result<job::State> aggregate(const Aggregation& in) const override {
        if (rate_ == 1) {
            tensor::add(in.next, in.next, in.current);
        } else {
            for (std::size_t i = 0; i < in.next.size(); ++i)
                in.next[i] = in.current[i] + rate_ * in.next[i];
        }
        return job::State{};
    }

private:
    float rate_;
};

}  // namespace

StrategyRef fed_avg(double server_rate) { return std::make_shared<FedAvg>(server_rate); }

}  // namespace gossamer::federated
