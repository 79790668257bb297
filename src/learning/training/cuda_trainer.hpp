// CudaTrainer: trains on a graphics card, through the plugin. A request's weights cross the bus
// once each way; data, orders, gradients and the optimiser's state stay on the card in between.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "gossamer/training/cpu_trainer.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::training {

// The plugin's description of a network; `layers` must outlive it.
struct CudaNetwork {
    std::vector<gossamer_cuda_layer> layers;
    gossamer_cuda_network description{};
};
// kGpuModel, naming the layer, when the card does not run this network.
Result<CudaNetwork> cuda_network(const model::Network& network, std::uint32_t target_count);

// What gossamer::stream makes of a peer's id.
std::uint64_t stream_name(const PeerId& who);

class CudaTrainer final : public Trainer {
public:
    // `processor` has checked the data and gives the layout, the first parameters and the
    // configuration. Errors: kGpuModel, kGpuMemory (naming the figure), kGpuFailed.
    static Result<std::shared_ptr<CudaTrainer>> create(
        const gossamer_cuda_interface& api, int device, std::shared_ptr<CpuTrainer> processor,
        const model::Network& network, const data::View& train, const data::View& test);
    ~CudaTrainer() override;
    CudaTrainer(const CudaTrainer&) = delete;
    CudaTrainer& operator=(const CudaTrainer&) = delete;

    const tensor::LayoutRef& layout() const override { return processor_->layout(); }
    std::uint64_t sample_count() const override { return processor_->sample_count(); }
    void initialise(std::span<float> parameters, RunSeed seed) const override {
        processor_->initialise(parameters, seed);
    }
    // A request runs to its end once begun: `pause` is asked before and after.
    Result<TrainProduct> train(TrainRequest request, tensor::BufferPool& pool) override;
    Result<Evaluation> evaluate(std::span<const float> parameters, EvaluationSet set,
                                const Pause& pause) override;
    bool checks_finite() const override { return true; }

private:
    struct Set {  // samples on the card
        gossamer_cuda_data* data = nullptr;
        std::shared_ptr<const std::vector<std::uint32_t>> rows;
        std::uint32_t count = 0;
    };
    struct Kept {  // a plan nobody uses at the moment
        gossamer_cuda_plan* plan;
        float proximal_mu;
    };
    class Borrowed;

    CudaTrainer(const gossamer_cuda_interface& api, int device,
                std::shared_ptr<CpuTrainer> processor, CudaNetwork network, bool draws);
    Result<Set> place(const data::View& view) const;
    Result<gossamer_cuda_plan*> borrow(bool scoring, float proximal_mu);
    void give_back(gossamer_cuda_plan* plan, bool scoring, float proximal_mu);
    std::vector<gossamer_cuda_step> steps_of(const TrainRequest& request, std::uint64_t first,
                                             std::uint64_t count, std::uint64_t taken) const;

    const gossamer_cuda_interface& api_;
    const int device_;
    std::shared_ptr<CpuTrainer> processor_;
    CudaNetwork network_;
    const bool draws_;  // the network has dropout
    std::uint32_t scoring_batch_ = 1;
    Set train_, test_;
    std::mutex mutex_;
    std::vector<Kept> idle_[2];  // for training, for scoring
};

}  // namespace gossamer::training
