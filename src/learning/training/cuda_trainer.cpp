#include "learning/training/cuda_trainer.hpp"

#include <utility>

namespace gossamer::training {

CudaTrainer::CudaTrainer(std::shared_ptr<CudaStack> stack, std::shared_ptr<CpuTrainer> processor,
                         CudaPart train, CudaPart test)
    : stack_(std::move(stack)),
      processor_(std::move(processor)),
      train_(std::move(train)),
      test_(std::move(test)) {}

Result<std::shared_ptr<CudaTrainer>> CudaTrainer::create(
    const gossamer_cuda_interface& api, int device, std::shared_ptr<CpuTrainer> processor,
    const model::Network& network, const data::View& train, const data::View& test) {
    const auto options = CudaStack::Options::of(device, train, test);
    GOSSAMER_TRY(auto stack, CudaStack::create(api, options, network, processor->config()));
    const auto place = [&](const data::View& view) -> Result<CudaPart> {
        if (view.size() == 0) return CudaPart{};
        GOSSAMER_TRY(auto samples, CudaSamples::place(api, device, view));
        return CudaPart{std::move(samples), nullptr, static_cast<std::uint32_t>(view.size())};
    };
    GOSSAMER_TRY(auto to_train, place(train));
    GOSSAMER_TRY(auto to_test, place(test));
    GOSSAMER_CHECK(stack->rehearse(to_train.count > 0, to_test.count > 0));
    return std::make_shared<CudaTrainer>(std::move(stack), std::move(processor),
                                         std::move(to_train), std::move(to_test));
}

std::shared_ptr<const void> CudaTrainer::foresee(const TrainRequest& request,
                                                 tensor::BufferPool& pool) {
    return stack_->foresee(train_, request, pool);
}

Result<TrainProduct> CudaTrainer::train(TrainRequest request, tensor::BufferPool& pool) {
    if (train_.count == 0)
        return fail(ErrorCode::kTrainingFailed,
                    "peer " + request.who.short_string() + " has no training samples");
    if (request.start.layout() != layout() && *request.start.layout() != *layout())
        return fail(ErrorCode::kModelLayout,
                    tensor::differences(*layout(), *request.start.layout(), 1).front());
    const Pause* pause = std::exchange(request.pause, nullptr);
    const auto cancelled = [&] { return pause != nullptr && !(*pause)(); };
    const auto gone = [round = request.round] {
        return fail(ErrorCode::kCancelled,
                    "training was cancelled in round " + std::to_string(round));
    };
    if (cancelled()) return gone();
    auto trained = stack_->train(train_, std::move(request), pool);
    if (trained && cancelled()) return gone();
    return trained;
}

Result<Evaluation> CudaTrainer::evaluate(std::span<const float> parameters, EvaluationSet which,
                                         const Pause& pause) {
    if (parameters.size() != layout()->parameter_count())
        return fail(ErrorCode::kModelLayout, "the model has " + std::to_string(parameters.size()) +
                                                 " parameters, not " +
                                                 std::to_string(layout()->parameter_count()));
    const auto& part = which == EvaluationSet::test ? test_ : train_;
    if (part.count == 0) return Evaluation{};
    if (pause && !pause()) return fail(ErrorCode::kCancelled, "evaluation was cancelled");
    return stack_->evaluate(part, parameters);
}

}  // namespace gossamer::training
