#include "learning/training/cuda_stack.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "gossamer/codec/update.hpp"
#include "learning/codec/built_in.hpp"
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

gossamer_cuda_plan_options options_of(const TrainingConfig& config,
                                      const CudaStack::Options& stack) {
    const auto& o = config.optimiser;
    gossamer_cuda_plan_options p{};
    p.size = sizeof p, p.mode = GOSSAMER_CUDA_AUTO;
    p.device = stack.device, p.batch_size = config.batch_size, p.replica_max = stack.replica_max;
    p.optimiser = static_cast<std::uint32_t>(o.kind), p.nesterov = o.nesterov;
    p.momentum = static_cast<float>(o.momentum), p.decay = static_cast<float>(o.weight_decay);
    p.beta1 = static_cast<float>(o.beta1), p.beta2 = static_cast<float>(o.beta2);
    p.epsilon = static_cast<float>(o.epsilon), p.clip_norm = static_cast<float>(o.clip_norm);
    p.unfused = !config.fused;
    return p;
}

// How the card makes what is asked for; nothing where it knows no such encoding, and gives weights.
std::optional<std::uint32_t> encoding_of(const TrainRequest& request) {
    if (request.product == Product::weights) return std::nullopt;
    if (request.product == Product::delta) return GOSSAMER_CUDA_DELTA;
    switch (request.codec != nullptr ? request.codec->traits().wire_id : 0) {
        case codec::kFloat32Id: return GOSSAMER_CUDA_DELTA;
        case codec::kHalfId: return GOSSAMER_CUDA_F16;
        case codec::kBfloat16Id: return GOSSAMER_CUDA_BF16;
        case codec::kInt8Id: return GOSSAMER_CUDA_INT8;
        case codec::kSignId: return GOSSAMER_CUDA_SIGN;
        case codec::kTop1Id:
        case codec::kTop10Id: return GOSSAMER_CUDA_TOP;
        default: return std::nullopt;
    }
}

}  // namespace

std::uint64_t stream_name(const PeerId& who) {
    std::uint64_t part[4], name = 0;
    std::memcpy(part, who.bytes.data(), sizeof part);
    for (auto p : part) name = cuda::spread(name ^ p);
    return name;
}

// ---- plans --------------------------------------------------------------------------------------

CudaStack::Options CudaStack::Options::of(int device, const data::View& train,
                                          const data::View& test) {
    Options options{.device = device};
    const auto& view = train.size() > 0 ? train : test;
    if (view.size() == 0) return options;
    options.samples_most = static_cast<std::uint32_t>(std::max(train.size(), test.size()));
    options.target_count = view.data->target_count();
    if (view.data->has_labels())
        options.label_count = static_cast<std::uint32_t>(view.data->label_count());
    return options;
}

Result<std::shared_ptr<CudaStack>> CudaStack::create(const gossamer_cuda_interface& api,
                                                     const Options& options,
                                                     const model::Network& network,
                                                     TrainingConfig config) {
    GOSSAMER_TRY(auto described, cuda_network(network, options.target_count, options.label_count));
    const bool draws = std::ranges::any_of(network.stages(), [](const model::Stage& s) {
        return s.kind == model::LayerKind::dropout;
    });
    return std::shared_ptr<CudaStack>(
        new CudaStack(api, options, std::move(described), std::move(config), draws));
}

CudaStack::CudaStack(const gossamer_cuda_interface& api, const Options& options,
                     CudaNetwork network, TrainingConfig config, bool draws)
    : api_(api),
      options_(options),
      network_(std::move(network)),
      config_(std::move(config)),
      draws_(draws) {
    network_.description.layers = network_.layers.data();
    network_.description.frozen = network_.frozen.data();
    // Activations of 256 MiB at most, and no more rows than there are samples.
    std::uint64_t floats = network_.description.input_count;
    for (const auto& l : network_.layers)
        floats += std::uint64_t{l.out_height} * l.out_width * l.out_channels;
    scoring_batch_ = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>((std::uint64_t{1} << 26) / floats, 8, 1024));
    scoring_batch_ = std::clamp<std::uint32_t>(options.samples_most, 1, scoring_batch_);
}

CudaStack::~CudaStack() {
    for (auto& kept : idle_)
        for (const auto& k : kept) api_.plan_destroy(k.plan);
}

// A plan for as long as this lives.
class CudaStack::Borrowed {
public:
    Borrowed(CudaStack& owner, gossamer_cuda_plan* plan, bool scoring, float mu)
        : owner_(owner), plan_(plan), scoring_(scoring), mu_(mu) {}
    ~Borrowed() {
        // After a failure of the card a plan is of no more use.
        if (good)
            owner_.give_back(plan_, scoring_, mu_);
        else
            owner_.api_.plan_destroy(plan_);
    }
    Borrowed(const Borrowed&) = delete;
    gossamer_cuda_plan* get() const { return plan_; }
    bool good = false;

private:
    CudaStack& owner_;
    gossamer_cuda_plan* plan_;
    bool scoring_;
    float mu_;
};

Result<gossamer_cuda_plan*> CudaStack::borrow(bool scoring, float proximal_mu) {
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
    auto options = options_of(config_, options_);
    options.proximal_mu = proximal_mu;
    if (scoring) options.scoring = 1, options.batch_size = scoring_batch_, options.replica_max = 1;
    gossamer_cuda_plan* plan = nullptr;
    gossamer_cuda_error error{};
    auto code = api_.plan_create(&network_.description, &options, &plan, &error);
    if (code == GOSSAMER_CUDA_MEMORY) {  // idle ones, of another pull towards the start, give way
        std::lock_guard lock(mutex_);
        for (const auto& kept : idle_[0]) api_.plan_destroy(kept.plan);
        idle_[0].clear();
        code = api_.plan_create(&network_.description, &options, &plan, &error);
    }
    if (code != GOSSAMER_CUDA_OK) return failed(error);
    return plan;
}

void CudaStack::give_back(gossamer_cuda_plan* plan, bool scoring, float proximal_mu) {
    std::lock_guard lock(mutex_);
    idle_[scoring ? 1 : 0].push_back({plan, proximal_mu});
}

Status CudaStack::rehearse(bool trains, bool scores) {
    for (const bool scoring : {false, true}) {
        if (!(scoring ? scores : trains)) continue;
        GOSSAMER_TRY(auto* plan, borrow(scoring, 0));
        give_back(plan, scoring, 0);
    }
    return {};
}

// ---- training -----------------------------------------------------------------------------------

struct CudaStack::Slot {
    CudaPart part;
    TrainRequest request;
    tensor::BufferPool* pool;
    bool done = false;
    Result<TrainProduct> result = fail(ErrorCode::kCancelled, "the job was cancelled");
};

struct CudaStack::Launch {
    gossamer_cuda_replica replica{};
    std::vector<gossamer_cuda_step> steps;
    std::shared_ptr<OptimiserState> state;
    std::vector<float> read_residual;
    tensor::Buffer next_residual;
    TrainProduct product;
};

std::vector<gossamer_cuda_step> CudaStack::steps_of(const TrainRequest& request,
                                                    std::uint64_t first, std::uint64_t count,
                                                    std::uint64_t taken) const {
    const bool adam = config_.optimiser.kind != OptimiserKind::sgd;
    std::vector<gossamer_cuda_step> steps(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        steps[i].rate = static_cast<float>(config_.schedule.at(request.round, count, i));
        if (draws_)
            steps[i].draws =
                stream(request.seed, Purpose::dropout, first + i, request.who).next_u64();
        if (!adam) continue;
        const auto correction =
            correction_of(config_.optimiser, static_cast<double>(taken + i + 1));
        steps[i].correction1 = correction.first, steps[i].correction2 = correction.second;
    }
    return steps;
}

// What the encoding of a lossy codec takes besides its kind.
Status CudaStack::prepare_codec(Launch& to, const TrainRequest& request, std::size_t parameters,
                                tensor::BufferPool& pool) {
    auto& p = to.replica.product;
    const auto traits = request.codec->traits();
    if (p.kind == GOSSAMER_CUDA_TOP) p.top_count = codec::top_count(traits.wire_id, parameters);
    p.rounding =
        codec::rounding_key({.seed = request.seed, .round = request.round, .who = request.who});
    if (!traits.error_feedback) return {};
    GOSSAMER_TRY(const auto before,
                 codec::residual_values(request.residual, parameters, to.read_residual));
    to.next_residual = pool.take_floats(parameters);
    p.residual = before.data(), p.next_residual = to.next_residual.floats().data();
    return {};
}

Status CudaStack::prepare(Launch& to, Slot& slot) const {
    const auto& request = slot.request;
    const std::uint64_t batch = config_.batch_size;
    const std::uint64_t batches = (slot.part.count + batch - 1) / batch;
    const std::uint64_t count = request.steps != 0 ? request.steps : request.epochs * batches;
    if (count > (std::uint64_t{1} << 30))
        return fail(ErrorCode::kTrainingFailed, std::to_string(count) + " steps at once");
    const std::uint64_t first = request.round * count;
    const std::size_t parameters = network_.description.parameter_count;
    if (!config_.optimiser.plain()) {
        GOSSAMER_TRY(to.state, OptimiserState::after(request.state.get(), config_.optimiser,
                                                     parameters, *slot.pool));
    }
    to.steps = steps_of(request, first, count, to.state ? to.state->steps : 0);
    auto& product = to.product;
    product.sample_count = slot.part.count, product.step_count = count;
    auto& one = to.replica;
    const auto encoding = encoding_of(request);
    one.product.kind = encoding.value_or(GOSSAMER_CUDA_WEIGHTS);
    product.product = encoding ? request.product : Product::weights;
    product.weights = product.product == Product::encoded
                          ? slot.pool->take(request.codec->bytes_max(parameters))
                          : slot.pool->take_floats(parameters);
    if (product.product == Product::encoded)
        GOSSAMER_CHECK(prepare_codec(to, request, parameters, *slot.pool));
    one.out = product.weights.bytes().data(), one.out_room_bytes = product.weights.size_bytes();
    one.start = request.start.values().data(), one.data = slot.part.samples->data();
    one.rows = slot.part.rows ? slot.part.rows->data() : nullptr;
    one.row_count = slot.part.count, one.shuffled = 1;
    one.seed = request.seed.value, one.who = stream_name(request.who);
    one.first_step = first, one.step_count = static_cast<std::uint32_t>(count);
    one.steps = to.steps.data();
    if (!to.state) return {};
    const auto area = [](tensor::Buffer& b) { return b.empty() ? nullptr : b.floats().data(); };
    one.first = one.first_out = area(to.state->first);
    one.second = one.second_out = area(to.state->second);
    return {};
}

Result<TrainProduct> CudaStack::result_of(Launch& launched, const Slot& slot) const {
    const auto& one = launched.replica;
    if (one.failed_step != 0)
        return not_finite(slot.request, "the loss is no longer finite, at batch " +
                                            std::to_string(one.failed_step) + " of " +
                                            std::to_string(one.step_count) + ",");
    if (one.finite == GOSSAMER_CUDA_BEYOND_CODEC)
        return fail(ErrorCode::kUpdateTooLarge,
                    "the update of round " + std::to_string(slot.request.round) +
                        " is beyond the range of " + std::string(slot.request.codec->traits().name),
                    "Use codec bf16 or f32.");
    if (one.finite != GOSSAMER_CUDA_SENT)
        return not_finite(slot.request, "weights are no longer finite");
    auto& product = launched.product;
    product.loss = one.seen != 0 ? one.loss_sum / static_cast<double>(one.seen) : 0;
    if (launched.state) launched.state->steps += product.step_count;
    product.state = std::move(launched.state);
    if (!launched.next_residual.empty())
        product.residual = std::make_shared<codec::Residual>(std::move(launched.next_residual));
    return std::move(product);
}

// REQUIRES at most replica_max slots of one pull towards the start.
void CudaStack::launch(const std::vector<std::shared_ptr<Slot>>& slots) {
    const auto mu = static_cast<float>(slots.front()->request.proximal_mu);
    auto plan = borrow(false, mu);
    std::vector<Launch> launches(slots.size());
    std::vector<gossamer_cuda_replica> replicas;
    std::vector<std::size_t> sent;
    for (std::size_t i = 0; i < slots.size(); ++i) {
        auto& slot = *slots[i];
        slot.done = true;
        if (!plan) {
            slot.result = fail(plan.error());
        } else if (auto ready = prepare(launches[i], slot); !ready) {
            slot.result = fail(std::move(ready).error());
        } else {
            replicas.push_back(launches[i].replica), sent.push_back(i);
        }
    }
    if (!plan) return;
    Borrowed borrowed(*this, *plan, false, mu);
    gossamer_cuda_job job{};
    job.size = sizeof job, job.replica_count = static_cast<std::uint32_t>(replicas.size());
    job.replicas = replicas.data();
    gossamer_cuda_error error{};
    borrowed.good = replicas.empty() || api_.train(*plan, &job, &error) == GOSSAMER_CUDA_OK;
    for (std::size_t i = 0; i < sent.size(); ++i) {
        auto& slot = *slots[sent[i]];
        auto& launched = launches[sent[i]];
        launched.replica = replicas[i];
        slot.result = borrowed.good ? result_of(launched, slot) : failed(error);
    }
}

// ---- requests that were foreseen ----------------------------------------------------------------

std::shared_ptr<const void> CudaStack::foresee(const CudaPart& part, const TrainRequest& request,
                                               tensor::BufferPool& pool) {
    if (options_.replica_max == 1 || part.count == 0) return nullptr;
    auto slot = std::make_shared<Slot>();
    slot->part = part, slot->request = request, slot->pool = &pool;
    slot->request.pause = nullptr;
    std::lock_guard lock(mutex_);
    std::erase_if(foreseen_, [](const auto& weak) { return weak.expired(); });
    foreseen_.push_back(slot);
    return slot;
}

std::shared_ptr<CudaStack::Slot> CudaStack::find(const TrainRequest& request) {
    std::lock_guard lock(mutex_);
    for (auto it = foreseen_.begin(); it != foreseen_.end(); ++it) {
        auto slot = it->lock();
        if (!slot || slot->request.who != request.who || slot->request.round != request.round ||
            !slot->request.start.same_as(request.start) ||
            slot->request.product != request.product || slot->request.codec != request.codec ||
            slot->request.residual != request.residual)
            continue;
        foreseen_.erase(it);
        return slot;
    }
    return nullptr;
}

std::vector<std::shared_ptr<CudaStack::Slot>> CudaStack::companions(
    const std::shared_ptr<Slot>& first) {
    std::vector<std::shared_ptr<Slot>> all{first};
    std::lock_guard lock(mutex_);
    for (const auto& weak : foreseen_) {
        if (all.size() == options_.replica_max) break;
        auto slot = weak.lock();
        if (slot && !slot->done && slot->request.proximal_mu == first->request.proximal_mu)
            all.push_back(std::move(slot));
    }
    return all;
}

Result<TrainProduct> CudaStack::train(const CudaPart& part, TrainRequest request,
                                      tensor::BufferPool& pool) {
    std::unique_lock launching(launching_, std::defer_lock);
    if (options_.replica_max > 1) launching.lock();
    auto slot = find(request);
    if (!slot) {
        slot = std::make_shared<Slot>();
        slot->part = part, slot->request = std::move(request), slot->pool = &pool;
    }
    if (!slot->done) launch(companions(slot));
    return std::move(slot->result);
}

Result<Evaluation> CudaStack::evaluate(const CudaPart& part, std::span<const float> parameters) {
    Evaluation result{.sample_count = part.count};
    gossamer_cuda_replica one{};
    one.start = parameters.data(), one.data = part.samples->data();
    one.rows = part.rows ? part.rows->data() : nullptr, one.row_count = part.count;
    one.step_count = (part.count + scoring_batch_ - 1) / scoring_batch_;
    gossamer_cuda_job job{};
    job.size = sizeof job, job.replica_count = 1, job.replicas = &one;
    GOSSAMER_TRY(auto* plan, borrow(true, 0));
    Borrowed borrowed(*this, plan, true, 0);
    gossamer_cuda_error error{};
    if (api_.score(borrowed.get(), &job, &error) != GOSSAMER_CUDA_OK) return failed(error);
    borrowed.good = true;
    // As on the processor: a loss that is not finite is told, not hidden.
    const auto count = static_cast<double>(std::max<std::uint64_t>(one.counted, 1));
    result.loss = one.failed_step != 0 ? std::nan("") : one.loss_sum / count;
    result.accuracy = network_.judges() ? static_cast<double>(one.correct) / count : std::nan("");
    return result;
}

}  // namespace gossamer::training
