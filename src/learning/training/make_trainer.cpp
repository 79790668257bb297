#include "gossamer/training/make_trainer.hpp"

#include <algorithm>

#include "learning/cuda/loader.hpp"
#include "learning/training/cuda_trainer.hpp"

namespace gossamer::training {
namespace {

struct Card {
    const gossamer_cuda_interface* api;
    std::string name;
};
Result<Card> find_card(int device) {
    const auto& api = cuda::Plugin::find();
    if (!api) return fail(api.error());
    GOSSAMER_TRY(const auto card, cuda::describe(**api, device));
    return Card{*api, card.name};
}

Result<std::shared_ptr<Trainer>> on_card(std::shared_ptr<CpuTrainer> processor,
                                         const model::Network& network, const data::View& train,
                                         const data::View& test, int device, std::string& name) {
    GOSSAMER_TRY(const auto card, find_card(device));
    name = card.name;
    GOSSAMER_TRY(auto made, CudaTrainer::create(*card.api, device, std::move(processor), network,
                                                train, test));
    return std::shared_ptr<Trainer>(std::move(made));
}

std::string on_the_processor(const Error& why) {
    return "trains on the processor: " + why.to_string();
}

class ProcessorStock : public TrainerStock {
public:
    ProcessorStock(Setup setup, std::string remark) : setup_(std::move(setup)) {
        remark_ = std::move(remark);
    }
    Result<std::shared_ptr<Trainer>> trainer(data::View train, data::View test) const override {
        GOSSAMER_TRY(auto made, CpuTrainer::create(setup_.plans, std::move(train), std::move(test),
                                                   setup_.config));
        return std::shared_ptr<Trainer>(std::move(made));
    }
    std::uint32_t stack_size() const override { return 0; }

private:
    const Setup setup_;
};

class CardStock final : public TrainerStock {
public:
    static Result<std::shared_ptr<const TrainerStock>> create(const Setup& setup) {
        const auto device = static_cast<int>(setup.config.device_number);
        GOSSAMER_TRY(const auto card, find_card(device));
        auto made = std::make_shared<CardStock>(setup);
        const auto place = [&](const data::View& view) -> Result<CudaPart> {
            if (view.size() == 0) return CudaPart{};
            GOSSAMER_TRY(auto samples, CudaSamples::place(*card.api, device, view));
            return CudaPart{std::move(samples), nullptr, static_cast<std::uint32_t>(view.size())};
        };
        GOSSAMER_TRY(made->train_, place(setup.train));
        GOSSAMER_TRY(made->test_, place(setup.test));
        for (std::uint32_t size = std::max(1u, setup.at_once);; size /= 2) {
            auto options = CudaStack::Options::of(device, setup.train, setup.test);
            options.replica_max = size;
            GOSSAMER_TRY(made->stack_, CudaStack::create(*card.api, options, setup.plans->network(),
                                                         setup.config));
            auto fits = made->stack_->rehearse(setup.train.size() > 0, setup.test.size() > 0);
            if (fits) break;
            if (fits.error().code != cuda::kGpuMemory || size == 1)
                return fail(std::move(fits).error());
        }
        made->remark_ = "trains on " + card.name + ", up to " +
                        std::to_string(made->stack_->replica_max()) + " peers side by side";
        return std::shared_ptr<const TrainerStock>(std::move(made));
    }
    explicit CardStock(const Setup& setup) : setup_(setup) {}

    Result<std::shared_ptr<Trainer>> trainer(data::View train, data::View test) const override {
        CudaPart to_train = train_, to_test = test_;
        to_train.rows = train.rows, to_train.count = static_cast<std::uint32_t>(train.size());
        to_test.count = static_cast<std::uint32_t>(test.size());
        GOSSAMER_TRY(auto processor, CpuTrainer::create(setup_.plans, std::move(train),
                                                        std::move(test), setup_.config));
        return std::make_shared<CudaTrainer>(stack_, std::move(processor), std::move(to_train),
                                             std::move(to_test));
    }
    std::uint32_t stack_size() const override { return stack_->replica_max(); }

private:
    const Setup setup_;
    CudaPart train_, test_;
    std::shared_ptr<CudaStack> stack_;
};

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
    return MadeTrainer{std::move(processor), on_the_processor(card.error())};
}

Result<std::shared_ptr<const TrainerStock>> TrainerStock::create(Setup setup) {
    std::string remark;
    if (setup.config.device != Device::cpu) {
        auto card = CardStock::create(setup);
        if (card || setup.config.device == Device::cuda) return card;
        remark = on_the_processor(card.error());
    }
    return std::make_shared<const ProcessorStock>(std::move(setup), std::move(remark));
}

std::string device_line() { return cuda::device_line(); }

}  // namespace gossamer::training
