// gossamer-sim with two algorithms that no program should bring: one that breaks its promise, and
// one whose making throws.
#include <stdexcept>

#include "gossamer/program.hpp"

using namespace gossamer;

namespace {

// Says that the mean of all models is kept, and takes over the first neighbour's as it is.
class Drifting final : public gossip::Algorithm {
public:
    gossip::Contract contract() const override { return {.name = "drifting"}; }
    gossip::MixWeights weights(const gossip::StepView&, std::span<const gossip::Received> heard,
                               const job::State&) const override {
        gossip::MixWeights weights{.self = heard.empty() ? 1.0 : 0.0, .heard = {}};
        weights.heard.resize(heard.size());
        if (!heard.empty()) weights.heard.front() = 1;
        return weights;
    }
};

}  // namespace

int main(int argc, char** argv) {
    Extensions mine;
    mine.algorithms.push_back({"drifting",
                               "breaks its promise",
                               {},
                               [](const OptionSource&) -> Result<gossip::AlgorithmRef> {
                                   return std::make_shared<Drifting>();
                               }});
    mine.algorithms.push_back(
        {"throwing", "throws", {}, [](const OptionSource&) -> Result<gossip::AlgorithmRef> {
             throw std::runtime_error("this algorithm cannot be made");
         }});
    return run_simulation(argc, argv, mine);
}
