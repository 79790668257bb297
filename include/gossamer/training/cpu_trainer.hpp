// CpuTrainer: trains a Network on one core per request.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "gossamer/data/loader.hpp"
#include "gossamer/model/plan.hpp"
#include "gossamer/training/optimiser.hpp"
#include "gossamer/training/trainer.hpp"

namespace gossamer::training {

enum class Device : std::uint8_t { cpu = 0, cuda = 1, automatic = 2 };

struct TrainingConfig {
    OptimiserSpec optimiser;
    ScheduleSpec schedule;
    std::uint32_t batch_size = 10;
    Device device = Device::cpu;
    std::uint32_t device_number = 0;
    bool fused = true;  // plain SGD inside the weight-gradient product; off only to compare
};

// What it takes to run a network.
struct Workplace {
    model::Plan plan;
    data::BatchRoom room;
};

// Workplaces of one network, lent to whichever request runs. Trainers of many peers in one process
// share one stock: its memory grows with the threads, not with the peers.
class PlanStock {
public:
    PlanStock(model::Network network, std::size_t batch_size, tensor::PoolRef pool);

    const model::Network& network() const { return network_; }
    std::size_t batch_size() const { return batch_size_; }
    std::unique_ptr<Workplace> borrow(bool gradients);
    void give_back(std::unique_ptr<Workplace> place, bool gradients);

private:
    const model::Network network_;
    const std::size_t batch_size_;
    tensor::PoolRef pool_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Workplace>> idle_[2];
};

class CpuTrainer final : public Trainer {
public:
    // kDataShape, kDataLabel when the data does not suit the network, by name. `test` may be empty.
    static Result<std::shared_ptr<CpuTrainer>> create(std::shared_ptr<PlanStock> plans,
                                                      data::View train, data::View test,
                                                      TrainingConfig config);

    const tensor::LayoutRef& layout() const override { return plans_->network().layout(); }
    std::uint64_t sample_count() const override { return train_.size(); }
    void initialise(std::span<float> parameters, RunSeed seed) const override;
    Result<TrainProduct> train(TrainRequest request, tensor::BufferPool& pool) override;
    Result<Evaluation> evaluate(std::span<const float> parameters, EvaluationSet set,
                                const Pause& pause) override;
    bool checks_finite() const override { return true; }
    const TrainingConfig& config() const { return config_; }

private:
    struct Loading;  // a loader kept warm: one peer's order of samples
    CpuTrainer(std::shared_ptr<PlanStock> plans, data::View train, data::View test,
               TrainingConfig config);
    std::unique_ptr<Loading> borrow_loader(const TrainRequest& request);
    void give_back(std::unique_ptr<Loading> loading);
    static std::uint64_t steps_of(const TrainRequest& request, const data::Loader& loader);
    Status run(const TrainRequest& request, std::span<float> weights, TrainProduct& product,
               Workplace& place, data::Loader& loader, tensor::BufferPool& pool) const;

    std::shared_ptr<PlanStock> plans_;
    data::View train_, test_;
    TrainingConfig config_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Loading>> loaders_;
};

}  // namespace gossamer::training
