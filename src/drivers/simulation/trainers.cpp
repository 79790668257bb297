#include "drivers/simulation/trainers.hpp"

#include <algorithm>

namespace gossamer::simulation {

namespace {

tensor::Buffer start_of(training::TrainRequest& request, tensor::BufferPool& pool) {
    if (request.start.sole()) return request.start.take();
    auto buffer = pool.take_floats(request.start.layout()->parameter_count());
    std::ranges::copy(request.start.values(), buffer.floats().begin());
    return buffer;
}

class CostTrainer final : public training::Trainer {
public:
    CostTrainer(tensor::LayoutRef layout, std::uint64_t samples)
        : layout_(std::move(layout)), samples_(samples) {}
    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return samples_; }
    void initialise(std::span<float> parameters, RunSeed) const override {
        std::ranges::fill(parameters, 0.0f);
    }
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        return training::TrainProduct{.weights = start_of(request, pool),
                                      .sample_count = samples_,
                                      .step_count = std::max(1u, request.steps)};
    }
    Result<training::Evaluation> evaluate(std::span<const float>, training::EvaluationSet,
                                          const training::Pause&) override {
        return training::Evaluation{};
    }

private:
    tensor::LayoutRef layout_;
    std::uint64_t samples_;
};

class QuadraticTrainer final : public training::Trainer {
public:
    QuadraticTrainer(tensor::LayoutRef layout, std::vector<double> eigenvalues,
                     std::vector<double> optimum, double rate, std::uint64_t steps_with_rate)
        : layout_(std::move(layout)),
          eigenvalues_(std::move(eigenvalues)),
          optimum_(std::move(optimum)),
          rate_(rate),
          steps_with_rate_(steps_with_rate) {}
    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return 1; }
    void initialise(std::span<float> parameters, RunSeed) const override {
        std::ranges::fill(parameters, 0.0f);
    }
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        training::TrainProduct product;
        product.loss = value_at(request.start.values());
        const auto round = request.round;
        const auto steps = std::max(1u, request.steps);
        product.weights = start_of(request, pool);
        auto x = product.weights.floats();
        const double rate = steps_with_rate_ == 0 || round <= steps_with_rate_ ? rate_ : 0;
        for (std::uint32_t s = 0; s < steps; ++s)
            for (std::size_t k = 0; k < x.size(); ++k)
                x[k] = static_cast<float>(x[k] - rate * eigenvalues_[k] * (x[k] - optimum_[k]));
        product.sample_count = 1;
        product.step_count = steps;
        return product;
    }
    Result<training::Evaluation> evaluate(std::span<const float> x, training::EvaluationSet,
                                          const training::Pause&) override {
        return training::Evaluation{.loss = value_at(x), .sample_count = 1};
    }

private:
    double value_at(std::span<const float> x) const {
        double sum = 0;
        for (std::size_t k = 0; k < x.size(); ++k)
            sum += 0.5 * eigenvalues_[k] * (x[k] - optimum_[k]) * (x[k] - optimum_[k]);
        return sum;
    }
    tensor::LayoutRef layout_;
    std::vector<double> eigenvalues_, optimum_;
    double rate_;
    std::uint64_t steps_with_rate_;
};

}  // namespace

tensor::LayoutRef vector_layout(std::size_t count) {
    tensor::Layout layout;
    layout.add("x", {static_cast<std::uint32_t>(count)});
    return std::make_shared<const tensor::Layout>(std::move(layout));
}

std::shared_ptr<training::Trainer> cost_trainer(tensor::LayoutRef layout, std::uint64_t samples) {
    return std::make_shared<CostTrainer>(std::move(layout), samples);
}

Quadratic::Quadratic(const QuadraticConfig& config, RunSeed seed)
    : config_(config), seed_(seed), layout_(vector_layout(config.dimension)) {
    const double most = portable_log(config.condition);
    for (std::uint32_t k = 0; k < config.dimension; ++k) {
        const double part = config.dimension > 1 ? double(k) / (config.dimension - 1) : 0;
        eigenvalues_.push_back(portable_exp(-most * part));
    }
}

std::vector<double> Quadratic::optimum(std::uint64_t peer) const {
    auto draws = stream(seed_, Purpose::data, 77, peer);
    std::vector<double> b(dimension());
    for (auto& x : b) x = static_cast<float>(config_.spread * draws.normal());
    return b;
}

std::shared_ptr<training::Trainer> Quadratic::trainer(std::uint64_t peer, double rate,
                                                      std::uint64_t steps_with_rate) const {
    return std::make_shared<QuadraticTrainer>(layout_, eigenvalues_, optimum(peer), rate,
                                              steps_with_rate);
}

}  // namespace gossamer::simulation
