// CudaTrainer: trains on a graphics card, through the plugin. A request's weights cross the bus
// once each way, encoded on the way back where that is asked for; data, orders, gradients and the
// optimiser's state stay on the card in between.
#pragma once

#include <memory>

#include "learning/training/cuda_stack.hpp"

namespace gossamer::training {

class CudaTrainer final : public Trainer {
public:
    // Of a peer of its own. `processor` has checked the data and gives the layout, the first
    // parameters and the configuration. Errors: kGpuModel, kGpuMemory (naming the figure),
    // kGpuFailed.
    static Result<std::shared_ptr<CudaTrainer>> create(
        const gossamer_cuda_interface& api, int device, std::shared_ptr<CpuTrainer> processor,
        const model::Network& network, const data::View& train, const data::View& test);
    // Of one of many peers that share a stack, and maybe samples.
    CudaTrainer(std::shared_ptr<CudaStack> stack, std::shared_ptr<CpuTrainer> processor,
                CudaPart train, CudaPart test);

    const tensor::LayoutRef& layout() const override { return processor_->layout(); }
    std::uint64_t sample_count() const override { return processor_->sample_count(); }
    void initialise(std::span<float> parameters, RunSeed seed) const override {
        processor_->initialise(parameters, seed);
    }
    std::shared_ptr<const void> foresee(const TrainRequest& request,
                                        tensor::BufferPool& pool) override;
    // A request runs to its end once begun: `pause` is asked before and after.
    Result<TrainProduct> train(TrainRequest request, tensor::BufferPool& pool) override;
    Result<Evaluation> evaluate(std::span<const float> parameters, EvaluationSet set,
                                const Pause& pause) override;
    bool checks_finite() const override { return true; }

private:
    std::shared_ptr<CudaStack> stack_;
    std::shared_ptr<CpuTrainer> processor_;
    CudaPart train_, test_;
};

}  // namespace gossamer::training
