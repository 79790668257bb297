// Trainers for worlds that study protocols or check arithmetic.
#pragma once

#include <memory>

#include "drivers/simulation/config.hpp"
#include "gossamer/training/trainer.hpp"

namespace gossamer::simulation {

tensor::LayoutRef vector_layout(std::size_t count);  // one tensor "x"

// Leaves the weights as they are, all 0 at first.
std::shared_ptr<training::Trainer> cost_trainer(tensor::LayoutRef layout, std::uint64_t samples);

// Peer i minimises f_i(x) = 1/2 (x - b_i)' A (x - b_i), A diagonal with eigenvalues from
// 1/condition to 1, b_i normal, all drawn from the seed; one step is x -= rate · A (x - b_i). Its
// loss is f_i before the step; evaluate() gives f_i, and no accuracy.
class Quadratic {
public:
    Quadratic(const QuadraticConfig& config, RunSeed seed);
    std::size_t dimension() const { return eigenvalues_.size(); }
    const std::vector<double>& eigenvalues() const { return eigenvalues_; }
    const tensor::LayoutRef& layout() const { return layout_; }
    std::vector<double> optimum(std::uint64_t peer) const;  // b_i
    std::shared_ptr<training::Trainer> trainer(std::uint64_t peer, double rate,
                                               std::uint64_t steps_with_rate) const;

private:
    QuadraticConfig config_;
    RunSeed seed_;
    tensor::LayoutRef layout_;
    std::vector<double> eigenvalues_;
};

}  // namespace gossamer::simulation
