#include "heavy_ball.hpp"

using namespace gossamer;

namespace {

class HeavyBall final : public gossip::Algorithm {
public:
    explicit HeavyBall(double beta) : beta_(beta) {}

    gossip::Contract contract() const override {
        return {.name = "heavy-ball", .kept_models = 1, .preserves_mean = false};
    }

    // models: start, trained, mixed, and from the second step on u.
    std::optional<gossip::Arithmetic> combine(const gossip::StepView&,
                                              std::span<const gossip::Received>) const override {
        return gossip::Arithmetic{"heavy_ball", [beta = beta_](job::ComputeInput& in) {
                                      auto start = in.models[0].values();
                                      auto mixed = in.models[2].values();
                                      bool moving = in.models.size() > 3;
                                      auto next = in.pool->take_floats(start.size());
                                      auto velocity = in.pool->take_floats(start.size());
                                      for (std::size_t i = 0; i < start.size(); ++i) {
                                          double u = moving ? beta * in.models[3].values()[i] : 0.0;
                                          u += static_cast<double>(mixed[i]) - start[i];
                                          velocity.floats()[i] = static_cast<float>(u);
                                          next.floats()[i] = static_cast<float>(start[i] + u);
                                      }
                                      job::ComputeOutput out;
                                      out.models.push_back(std::move(next));
                                      out.models.push_back(std::move(velocity));
                                      return Result<job::ComputeOutput>(std::move(out));
                                  }};
    }

private:
    double beta_;
};

}  // namespace

gossip::AlgorithmRef heavy_ball(double beta) { return std::make_shared<HeavyBall>(beta); }

gossip::AlgorithmEntry heavy_ball_entry() {
    return {"heavy-ball",
            "D-PSGD with momentum in the mixing",
            {{"gossip.heavy-ball.beta",
              OptionKind::real,
              0.5,
              "",
              "How much of a step's change is carried on; 0 is D-PSGD, near 1 overshoots.",
              {},
              0,
              0.99}},
            [](const OptionSource& options) -> Result<gossip::AlgorithmRef> {
                return heavy_ball(options.real("gossip.heavy-ball.beta"));
            }};
}
