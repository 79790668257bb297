#include "gossamer/training/make_trainer.hpp"

#include "learning/cuda/loader.hpp"
#include "learning/training/cuda_trainer.hpp"

namespace gossamer::training {
namespace {

Result<std::shared_ptr<Trainer>> on_card(std::shared_ptr<CpuTrainer> processor,
                                         const model::Network& network, const data::View& train,
                                         const data::View& test, int device, std::string& name) {
    const auto& api = cuda::Plugin::find();
    if (!api) return fail(api.error());
    GOSSAMER_TRY(const auto card, cuda::describe(**api, device));
    name = card.name;
    GOSSAMER_TRY(auto made,
                 CudaTrainer::create(**api, device, std::move(processor), network, train, test));
    return std::shared_ptr<Trainer>(std::move(made));
}

}  // namespace

Result<MadeTrainer> make_trainer(const std::shared_ptr<PlanStock>& plans, const data::View& train,
                                 const data::View& test, const TrainingConfig& config) {
    GOSSAMER_TRY(auto processor, CpuTrainer::create(plans, train, test, config));
    // An aggregator without data neither trains nor evaluates.
    if (config.device == Device::cpu || (train.size() == 0 && test.size() == 0))
        return MadeTrainer{std::move(processor), {}};
    std::string name;
    auto card = on_card(processor, plans->network(), train, test,
                        static_cast<int>(config.device_number), name);
    if (card) return MadeTrainer{std::move(*card), "trains on " + name};
    if (config.device == Device::cuda) return fail(std::move(card).error());
    return MadeTrainer{std::move(processor),
                       "trains on the processor: " + card.error().to_string()};
}

std::string device_line() { return cuda::device_line(); }

}  // namespace gossamer::training
