#include "bench_trainer.hpp"

#include <algorithm>
#include <cstring>

namespace gossamer::bench {
namespace {

constexpr std::size_t kStride = 4096;  // one weight in so many changes

class BenchTrainer final : public training::Trainer {
public:
    explicit BenchTrainer(std::uint32_t parameter_count) {
        auto layout = std::make_shared<tensor::Layout>();
        layout->add("weights", {parameter_count});
        layout_ = std::move(layout);
    }
    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return 100; }
    void initialise(std::span<float> parameters, RunSeed) const override {
        for (std::size_t i = 0; i < parameters.size(); ++i)
            parameters[i] = static_cast<float>(i % 1024) * 1e-3F;
    }
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        training::TrainProduct product;
        auto start = request.start.values();
        product.weights = pool.take_floats(start.size());
        auto weights = product.weights.floats();
        std::memcpy(weights.data(), start.data(), start.size_bytes());
        for (std::size_t i = request.round % kStride; i < weights.size(); i += kStride)
            weights[i] += 1e-3F;
        product.sample_count = sample_count();
        product.step_count = 1;
        return product;
    }
    Result<training::Evaluation> evaluate(std::span<const float>, training::EvaluationSet,
                                          const training::Pause&) override {
        return training::Evaluation{};  // no test data
    }

private:
    tensor::LayoutRef layout_;
};

}  // namespace

Extensions bench_extensions() {
    Extensions mine;
    mine.options.push_back({.key = "bench.parameters",
                            .kind = OptionKind::integer,
                            .fallback = std::int64_t{256},
                            .unit = "parameters",
                            .reason = "Size of the model.",
                            .least = 1,
                            .most = 1e9});
    mine.trainer = [](const OptionSource& o) -> Result<std::shared_ptr<training::Trainer>> {
        return std::make_shared<BenchTrainer>(
            static_cast<std::uint32_t>(o.integer("bench.parameters")));
    };
    return mine;
}

}  // namespace gossamer::bench
