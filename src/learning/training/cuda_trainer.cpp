#include "learning/training/cuda_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "learning/cuda/arithmetic.hpp"
#include "learning/cuda/loader.hpp"

namespace gossamer::training {
namespace {

tl::unexpected<Error> failed(const gossamer_cuda_error& error) {
    return fail(cuda::error_of(error));
}

tl::unexpected<Error> not_finite(const TrainRequest& request, const std::string& what) {
    return fail(ErrorCode::kModelNotFinite, what + " in round " + std::to_string(request.round) +
                                                " on peer " + request.who.short_string());
}

gossamer_cuda_plan_options options_of(const TrainingConfig& config, int device, std::uint32_t batch,
                                      bool scoring, float proximal_mu) {
    const auto& o = config.optimiser;
    gossamer_cuda_plan_options p{};
    p.size = sizeof p;
    p.device = device, p.batch_size = batch, p.replica_max = 1, p.scoring = scoring;
    p.mode = GOSSAMER_CUDA_AUTO;
    p.optimiser = static_cast<std::uint32_t>(o.kind), p.nesterov = o.nesterov;
    p.momentum = static_cast<float>(o.momentum), p.decay = static_cast<float>(o.weight_decay);
    p.beta1 = static_cast<float>(o.beta1), p.beta2 = static_cast<float>(o.beta2);
    p.epsilon = static_cast<float>(o.epsilon), p.clip_norm = static_cast<float>(o.clip_norm);
    p.proximal_mu = proximal_mu, p.unfused = !config.fused;
    return p;
}

}  // namespace

std::uint64_t stream_name(const PeerId& who) {
    std::uint64_t part[4], name = 0;
    std::memcpy(part, who.bytes.data(), sizeof part);
    for (auto p : part) name = cuda::spread(name ^ p);
    return name;
}

// A plan for as long as this lives.
class CudaTrainer::Borrowed {
public:
    Borrowed(CudaTrainer& owner, gossamer_cuda_plan* plan, bool scoring, float mu)
        : owner_(owner), plan_(plan), scoring_(scoring), mu_(mu) {}
    ~Borrowed() {
        // After a failure of the card a plan is of no more use.
        if (good)
            owner_.give_back(plan_, scoring_, mu_);
        else
            owner_.api_.plan_destroy(plan_);
    }
    Borrowed(const Borrowed&) = delete;
    Borrowed& operator=(const Borrowed&) = delete;
    gossamer_cuda_plan* get() const { return plan_; }
    bool good = false;

private:
    CudaTrainer& owner_;
    gossamer_cuda_plan* plan_;
    bool scoring_;
    float mu_;
};

CudaTrainer::CudaTrainer(const gossamer_cuda_interface& api, int device,
                         std::shared_ptr<CpuTrainer> processor, CudaNetwork network, bool draws)
    : api_(api),
      device_(device),
      processor_(std::move(processor)),
      network_(std::move(network)),
      draws_(draws) {
    network_.description.layers = network_.layers.data();
}

CudaTrainer::~CudaTrainer() {
    for (auto& kept : idle_)
        for (const auto& k : kept) api_.plan_destroy(k.plan);
    for (const auto& set : {train_, test_})
        if (set.data != nullptr) api_.data_destroy(set.data);
}

Result<std::shared_ptr<CudaTrainer>> CudaTrainer::create(
    const gossamer_cuda_interface& api, int device, std::shared_ptr<CpuTrainer> processor,
    const model::Network& network, const data::View& train, const data::View& test) {
    std::uint32_t targets = 0;
    for (const auto* view : {&train, &test})
        if (view->size() > 0) targets = view->data->target_count();
    GOSSAMER_TRY(auto described, cuda_network(network, targets));
    const bool draws = std::ranges::any_of(network.stages(), [](const model::Stage& s) {
        return s.kind == model::LayerKind::dropout;
    });
    std::shared_ptr<CudaTrainer> made(
        new CudaTrainer(api, device, std::move(processor), std::move(described), draws));
    made->scoring_batch_ = static_cast<std::uint32_t>(
        std::clamp<std::size_t>(std::size_t{1 << 22} / network.input_count(), 16, 1024));
    GOSSAMER_TRY(made->train_, made->place(train));
    GOSSAMER_TRY(made->test_, made->place(test));
    // A card that is too small says so here, not in the middle of a run.
    for (const bool scoring : {false, true}) {
        if ((scoring ? made->test_ : made->train_).count == 0) continue;
        GOSSAMER_TRY(auto* plan, made->borrow(scoring, 0));
        made->give_back(plan, scoring, 0);
    }
    return made;
}

Result<CudaTrainer::Set> CudaTrainer::place(const data::View& view) const {
    Set set;
    if (view.size() == 0) return set;
    // Only the rows of the view: several peers on one machine do not each keep all data.
    std::vector<std::uint32_t> rows(view.size());
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = view.row(i);
    const auto& d = *view.data;
    if (d.label_count() > 1)
        return fail(cuda::kGpuModel,
                    d.name() + " has labels at each position, which the card does not learn",
                    "set training.device = \"cpu\"");
    std::vector<float> features(rows.size() * d.feature_count()), targets;
    std::vector<std::int32_t> labels;
    d.gather(features, rows);
    gossamer_cuda_data_description to{};
    to.size = sizeof to;
    to.sample_count = rows.size(), to.feature_count = d.feature_count();
    to.floats = features.data();
    if (d.has_labels()) {
        labels.resize(rows.size());
        d.gather_labels(labels, rows);
        to.labels = labels.data(), to.class_count = d.class_count();
    } else {
        targets.resize(rows.size() * d.target_count());
        d.gather_targets(targets, rows);
        to.targets = targets.data(), to.target_count = d.target_count();
    }
    gossamer_cuda_error error{};
    if (api_.data_create(device_, &to, &set.data, &error) != GOSSAMER_CUDA_OK) return failed(error);
    set.count = static_cast<std::uint32_t>(rows.size());
    return set;
}

Result<gossamer_cuda_plan*> CudaTrainer::borrow(bool scoring, float proximal_mu) {
    {
        std::lock_guard lock(mutex_);
        auto& idle = idle_[scoring ? 1 : 0];
        for (auto& kept : idle)
            if (scoring || kept.proximal_mu == proximal_mu) {
                std::swap(kept, idle.back());
                auto* plan = idle.back().plan;
                idle.pop_back();
                return plan;
            }
    }
    const auto& config = processor_->config();
    const auto options = options_of(config, device_, scoring ? scoring_batch_ : config.batch_size,
                                    scoring, proximal_mu);
    gossamer_cuda_plan* plan = nullptr;
    gossamer_cuda_error error{};
    if (api_.plan_create(&network_.description, &options, &plan, &error) != GOSSAMER_CUDA_OK)
        return failed(error);
    return plan;
}

void CudaTrainer::give_back(gossamer_cuda_plan* plan, bool scoring, float proximal_mu) {
    std::lock_guard lock(mutex_);
    idle_[scoring ? 1 : 0].push_back({plan, proximal_mu});
}

std::vector<gossamer_cuda_step> CudaTrainer::steps_of(const TrainRequest& request,
                                                      std::uint64_t first, std::uint64_t count,
                                                      std::uint64_t taken) const {
    const auto& config = processor_->config();
    const bool adam = config.optimiser.kind != OptimiserKind::sgd;
    std::vector<gossamer_cuda_step> steps(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        steps[i].rate = static_cast<float>(config.schedule.at(request.schedule_offset + first + i));
        if (draws_)
            steps[i].draws =
                stream(request.seed, Purpose::dropout, first + i, request.who).next_u64();
        if (!adam) continue;
        const auto t = static_cast<double>(taken + i + 1);
        const auto& o = config.optimiser;
        steps[i].correction1 = static_cast<float>(1 / (1 - std::pow(o.beta1, t)));
        steps[i].correction2 = static_cast<float>(1 / (1 - std::pow(o.beta2, t)));
    }
    return steps;
}

Result<TrainProduct> CudaTrainer::train(TrainRequest request, tensor::BufferPool& pool) {
    if (train_.count == 0)
        return fail(ErrorCode::kTrainingFailed,
                    "peer " + request.who.short_string() + " has no training samples");
    if (request.start.layout() != layout() && *request.start.layout() != *layout())
        return fail(ErrorCode::kModelLayout,
                    tensor::differences(*layout(), *request.start.layout(), 1).front());
    const auto cancelled = [&] { return request.pause && !(*request.pause)(); };
    const auto& spec = processor_->config().optimiser;
    const std::uint64_t batch = processor_->config().batch_size;
    const std::uint64_t batches = (train_.count + batch - 1) / batch;
    const std::uint64_t count = request.steps != 0 ? request.steps : request.epochs * batches;
    if (count > (std::uint64_t{1} << 30))
        return fail(ErrorCode::kTrainingFailed, std::to_string(count) + " steps at once");
    const std::uint64_t first = request.round * count;
    const std::size_t parameters = layout()->parameter_count();

    TrainProduct product;
    product.sample_count = train_.count, product.step_count = count;
    std::shared_ptr<OptimiserState> state;
    if (!spec.plain()) {
        GOSSAMER_TRY(state, OptimiserState::after(request.state.get(), spec, parameters, pool));
    }
    const auto steps = steps_of(request, first, count, state ? state->steps : 0);
    product.weights = pool.take_floats(parameters);

    gossamer_cuda_replica one{};
    one.start = request.start.values().data(), one.data = train_.data;
    one.row_count = train_.count, one.shuffled = 1;
    one.seed = request.seed.value, one.who = stream_name(request.who);
    one.first_step = first, one.step_count = static_cast<std::uint32_t>(count);
    one.steps = steps.data();
    const auto area = [](tensor::Buffer& b) { return b.empty() ? nullptr : b.floats().data(); };
    if (state) {
        one.first = one.first_out = area(state->first);
        one.second = one.second_out = area(state->second);
    }
    one.product.kind =
        request.product == Product::delta ? GOSSAMER_CUDA_DELTA : GOSSAMER_CUDA_WEIGHTS;
    one.out = product.weights.bytes().data(), one.out_room_bytes = product.weights.size_bytes();
    gossamer_cuda_job job{};
    job.size = sizeof job, job.replica_count = 1, job.replicas = &one;

    const auto mu = static_cast<float>(request.proximal_mu);
    if (cancelled())
        return fail(ErrorCode::kCancelled,
                    "training was cancelled in round " + std::to_string(request.round));
    GOSSAMER_TRY(auto* plan, borrow(false, mu));
    Borrowed borrowed(*this, plan, false, mu);
    gossamer_cuda_error error{};
    if (api_.train(borrowed.get(), &job, &error) != GOSSAMER_CUDA_OK) return failed(error);
    borrowed.good = true;
    if (one.failed_step != 0)
        return not_finite(request, "the loss is no longer finite, at batch " +
                                       std::to_string(one.failed_step) + " of " +
                                       std::to_string(count) + ",");
    if (one.finite == 0) return not_finite(request, "weights are no longer finite");
    if (cancelled())
        return fail(ErrorCode::kCancelled,
                    "training was cancelled in round " + std::to_string(request.round));
    product.loss = one.seen != 0 ? one.loss_sum / static_cast<double>(one.seen) : 0;
    if (state) state->steps += count;
    product.state = std::move(state);
    return product;
}

Result<Evaluation> CudaTrainer::evaluate(std::span<const float> parameters, EvaluationSet which,
                                         const Pause& pause) {
    if (parameters.size() != layout()->parameter_count())
        return fail(ErrorCode::kModelLayout, "the model has " + std::to_string(parameters.size()) +
                                                 " parameters, not " +
                                                 std::to_string(layout()->parameter_count()));
    const Set& set = which == EvaluationSet::test ? test_ : train_;
    Evaluation result;
    result.sample_count = set.count;
    if (set.count == 0) return result;
    if (pause && !pause()) return fail(ErrorCode::kCancelled, "evaluation was cancelled");
    gossamer_cuda_replica one{};
    one.start = parameters.data(), one.data = set.data, one.row_count = set.count;
    one.step_count = (set.count + scoring_batch_ - 1) / scoring_batch_;
    gossamer_cuda_job job{};
    job.size = sizeof job, job.replica_count = 1, job.replicas = &one;
    GOSSAMER_TRY(auto* plan, borrow(true, 0));
    Borrowed borrowed(*this, plan, true, 0);
    gossamer_cuda_error error{};
    if (api_.score(borrowed.get(), &job, &error) != GOSSAMER_CUDA_OK) return failed(error);
    borrowed.good = true;
    const auto count = static_cast<double>(set.count);
    // As on the processor: a loss that is not finite is told, not hidden.
    result.loss = one.failed_step != 0 ? std::nan("") : one.loss_sum / count;
    result.accuracy = static_cast<double>(one.correct) / count;
    return result;
}

}  // namespace gossamer::training
