// D-PSGD, adapt then combine: every peer takes its local steps and sends the result; the next model
// is the weighted mean of what the neighbourhood sent. It keeps nothing, so a neighbour may come,
// go or be late without repair; a lost message moves the mean, since its weight goes to self.
#include "gossamer/gossip/algorithm.hpp"

namespace gossamer::gossip {

namespace {

class DPsgd final : public Algorithm {
public:
    Contract contract() const override {
        return {.name = "d-psgd", .sends = Sends::trained, .needs_start = false};
    }
};

}  // namespace

AlgorithmRef d_psgd() { return std::make_shared<DPsgd>(); }

}  // namespace gossamer::gossip
