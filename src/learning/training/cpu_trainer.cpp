#include "gossamer/training/cpu_trainer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "gossamer/base/assert.hpp"
#include "gossamer/codec/update.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/model/maths/maths.hpp"

namespace gossamer::training {
namespace {

model::Batch batch_of(const data::Batch& b) {
    return {.size = b.size, .inputs = b.features, .labels = b.labels, .targets = b.targets};
}

// A workplace for as long as this lives.
class Lent {
public:
    Lent(PlanStock& stock, bool gradients)
        : stock_(stock), gradients_(gradients), place_(stock.borrow(gradients)) {}
    ~Lent() { stock_.give_back(std::move(place_), gradients_); }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    Workplace& operator*() { return *place_; }
    Workplace* operator->() { return place_.get(); }

private:
    PlanStock& stock_;
    bool gradients_;
    std::unique_ptr<Workplace> place_;
};

// Where the first layer takes numbers of entries, all samples must be such numbers.
Status entries_suit(const model::Network& network, const data::View& view) {
    const model::Stage& s = network.stages().front();
    const bool factors = s.kind == model::LayerKind::factors;
    if (!factors && s.kind != model::LayerKind::embedding) return {};
    const std::size_t width = view.data->feature_count();
    std::vector<float> sample(width);
    for (std::size_t i = 0; i < view.size(); ++i) {
        const std::uint32_t row = view.row(i);
        view.data->gather(sample, {&row, 1});
        for (std::size_t k = 0; k < (factors ? 2 : width); ++k) {
            const std::uint32_t most = factors && k == 1 ? s.items : s.vocabulary;
            const float v = sample[k];
            if (v >= 0 && v < static_cast<float>(most) && v == std::floor(v)) continue;
            return fail(ErrorCode::kDataShape,
                        view.data->name() + ": value " + std::to_string(k) + " of sample " +
                            std::to_string(row) + " is " + std::to_string(v) + ", but " + s.name +
                            " takes whole numbers from 0 to " + std::to_string(most - 1),
                        "give the layer in model.layers as many entries as the data has");
        }
    }
    return {};
}

Status suits(const model::Network& network, const data::View& view) {
    if (view.size() == 0) return {};
    const auto& d = *view.data;
    const auto& name = network.spec().name;
    if (d.feature_count() != network.input_count())
        return fail(ErrorCode::kDataShape,
                    d.name() + " has samples of " + tensor::shape_text(d.shape()) + ", the model " +
                        name + " takes " + tensor::shape_text(network.spec().input));
    if (network.spec().loss == model::Loss::reconstruction) {
        if (network.output_count() == network.input_count()) return {};
        return fail(ErrorCode::kDataShape,
                    "the model " + name + " gives " + std::to_string(network.output_count()) +
                        " values for samples of " + std::to_string(network.input_count()));
    }
    const std::size_t positions = d.has_labels() ? d.label_count() : 1;
    if (network.output_count() % positions != 0)
        return fail(ErrorCode::kDataShape, d.name() + " has " + std::to_string(positions) +
                                               " labels a sample, the model " + name + " gives " +
                                               std::to_string(network.output_count()) + " values");
    if (d.has_labels() && d.class_count() > network.output_count() / positions)
        return fail(ErrorCode::kDataLabel, d.name() + " has " + std::to_string(d.class_count()) +
                                               " classes, the model " + name + " tells " +
                                               std::to_string(network.output_count() / positions) +
                                               " apart");
    if (positions > 1 && network.spec().loss != model::Loss::softmax_cross_entropy)
        return fail(ErrorCode::kDataLabel,
                    d.name() + " has labels at each position, which only cross-entropy learns",
                    "set model.loss = \"cross-entropy\"");
    if (!d.has_labels() && network.spec().loss == model::Loss::softmax_cross_entropy)
        return fail(ErrorCode::kDataLabel, d.name() + " has target values, but no labels",
                    "set model.loss = \"mse\"");
    if (!d.has_labels() && d.target_count() != network.output_count())
        return fail(ErrorCode::kDataShape, d.name() + " has " + std::to_string(d.target_count()) +
                                               " target values a sample, the model " + name +
                                               " gives " + std::to_string(network.output_count()));
    return entries_suit(network, view);
}

tl::unexpected<Error> not_finite(const TrainRequest& request, const std::string& what) {
    return fail(ErrorCode::kModelNotFinite, what + " in round " + std::to_string(request.round) +
                                                " on peer " + request.who.short_string());
}

}  // namespace

PlanStock::PlanStock(model::Network network, std::size_t batch_size, tensor::PoolRef pool)
    : network_(std::move(network)), batch_size_(batch_size), pool_(std::move(pool)) {}

std::unique_ptr<Workplace> PlanStock::borrow(bool gradients) {
    {
        std::lock_guard lock(mutex_);
        auto& idle = idle_[gradients ? 1 : 0];
        if (!idle.empty()) {
            auto place = std::move(idle.back());
            idle.pop_back();
            return place;
        }
    }
    const std::size_t batch = gradients ? batch_size_ : model::scoring_batch(network_);
    return std::make_unique<Workplace>(
        Workplace{model::Plan(network_, batch, gradients, *pool_), {}});
}

void PlanStock::give_back(std::unique_ptr<Workplace> place, bool gradients) {
    std::lock_guard lock(mutex_);
    idle_[gradients ? 1 : 0].push_back(std::move(place));
}

struct CpuTrainer::Loading {
    RunSeed seed;
    PeerId who;
    data::Loader loader;
};

Result<std::shared_ptr<CpuTrainer>> CpuTrainer::create(std::shared_ptr<PlanStock> plans,
                                                       data::View train, data::View test,
                                                       TrainingConfig config) {
    for (const auto* view : {&train, &test}) GOSSAMER_CHECK(suits(plans->network(), *view));
    if (config.batch_size == 0 || config.batch_size > plans->batch_size())
        return fail(ErrorCode::kConfigRange, "training.batch_size is " +
                                                 std::to_string(config.batch_size) + ", at most " +
                                                 std::to_string(plans->batch_size()));
    return std::shared_ptr<CpuTrainer>(
        new CpuTrainer(std::move(plans), std::move(train), std::move(test), std::move(config)));
}

CpuTrainer::CpuTrainer(std::shared_ptr<PlanStock> plans, data::View train, data::View test,
                       TrainingConfig config)
    : plans_(std::move(plans)),
      train_(std::move(train)),
      test_(std::move(test)),
      config_(std::move(config)) {}

void CpuTrainer::initialise(std::span<float> parameters, RunSeed seed) const {
    plans_->network().initialise(parameters, seed);
}

std::unique_ptr<CpuTrainer::Loading> CpuTrainer::borrow_loader(const TrainRequest& request) {
    {
        std::lock_guard lock(mutex_);
        for (auto& slot : loaders_)
            if (slot->seed == request.seed && slot->who == request.who) {
                std::swap(slot, loaders_.back());
                auto loading = std::move(loaders_.back());
                loaders_.pop_back();
                return loading;
            }
    }
    data::LoaderOptions options;
    options.batch_size = config_.batch_size;
    options.seed = request.seed, options.peer = request.who;
    return std::make_unique<Loading>(
        Loading{request.seed, request.who, data::Loader(train_, options)});
}

void CpuTrainer::give_back(std::unique_ptr<Loading> loading) {
    constexpr std::size_t kKept = 8;
    std::lock_guard lock(mutex_);
    if (loaders_.size() < kKept) loaders_.push_back(std::move(loading));
}

std::uint64_t CpuTrainer::steps_of(const TrainRequest& request, const data::Loader& loader) {
    return request.steps != 0 ? request.steps
                              : std::uint64_t{request.epochs} * loader.batch_count();
}

// The batches of a round follow those of the round before, so a round can be repeated or resumed
// from its number alone.
Status CpuTrainer::run(const TrainRequest& request, std::span<float> weights, TrainProduct& product,
                       Workplace& place, data::Loader& loader, tensor::BufferPool& pool) const {
    const auto& spec = config_.optimiser;
    model::Plan& plan = place.plan;
    const std::uint64_t steps = steps_of(request, loader);
    const std::uint64_t first = request.round * steps;
    const bool fused =
        config_.fused && spec.plain() && spec.clip_norm == 0 && request.proximal_mu == 0;
    tensor::Buffer gradient;
    std::shared_ptr<OptimiserState> state;
    if (!fused) {
        gradient = pool.take_floats(weights.size());
        GOSSAMER_TRY(state, OptimiserState::after(request.state.get(), spec, weights.size(), pool));
    }
    const bool draws = std::ranges::any_of(plan.network().stages(), [](const model::Stage& s) {
        return s.kind == model::LayerKind::dropout;
    });
    double loss_sum = 0;
    std::uint64_t seen = 0;
    for (std::uint64_t i = 0; i < steps; ++i) {
        if (request.pause && !(*request.pause)())
            return fail(ErrorCode::kCancelled,
                        "training was cancelled in round " + std::to_string(request.round));
        model::Batch batch = batch_of(loader.step(first + i, place.room));
        if (draws)
            batch.draws = stream(request.seed, Purpose::dropout, first + i, request.who).next_u64();
        const double rate = config_.schedule.at(request.round, steps, i);
        double loss = 0;
        if (fused) {
            loss = plan.sgd_step(weights, batch, static_cast<float>(rate),
                                 static_cast<float>(spec.weight_decay));
        } else {
            loss = plan.gradient(weights, batch, gradient.floats());
            if (request.proximal_mu != 0)
                model::maths::add_proximal(gradient.floats().data(), weights.data(),
                                           request.start.values().data(),
                                           static_cast<model::maths::Index>(weights.size()),
                                           static_cast<float>(request.proximal_mu));
            optimise(weights, gradient.floats(), *state, spec, rate);
        }
        if (!std::isfinite(loss))
            return not_finite(request, "the loss is no longer finite, at batch " +
                                           std::to_string(i + 1) + " of " + std::to_string(steps) +
                                           ",");
        loss_sum += loss * static_cast<double>(batch.size);
        seen += batch.size;
    }
    if (state && !spec.plain()) product.state = std::move(state);
    product.step_count = steps;
    product.loss = seen != 0 ? loss_sum / static_cast<double>(seen) : 0;
    return {};
}

Result<TrainProduct> CpuTrainer::train(TrainRequest request, tensor::BufferPool& pool) {
    if (train_.size() == 0)
        return fail(ErrorCode::kTrainingFailed,
                    "peer " + request.who.short_string() + " has no training samples");
    if (request.start.layout() != layout() && *request.start.layout() != *layout()) {
        std::string all;
        for (const auto& line : tensor::differences(*layout(), *request.start.layout()))
            all += (all.empty() ? "" : "; ") + line;
        return fail(ErrorCode::kModelLayout, all);
    }
    const bool difference = request.product != Product::weights;
    const bool start_needed = difference || request.proximal_mu != 0;
    TrainProduct product;
    product.sample_count = train_.size();
    auto loading = borrow_loader(request);
    loading->loader.expect(request.round * steps_of(request, loading->loader));
    if (!start_needed && request.start.sole()) {
        product.weights = request.start.take();
    } else {
        product.weights = pool.take_floats(layout()->parameter_count());
        std::memcpy(product.weights.bytes().data(), request.start.bytes().data(),
                    product.weights.size_bytes());
    }
    Status done;
    {
        Lent place(*plans_, true);
        done = run(request, product.weights.floats(), product, *place, loading->loader, pool);
    }
    give_back(std::move(loading));
    if (!done) return fail(std::move(done).error());
    const auto weights = std::as_const(product.weights).floats();
    if (difference) product.product = request.product;
    const bool finite =
        difference ? tensor::subtract(product.weights.floats(), weights, request.start.values())
                   : tensor::all_finite(weights);
    if (!finite) return not_finite(request, "weights are no longer finite");
    if (request.product != Product::encoded || request.codec->traits().identity) return product;
    GOSSAMER_TRY(auto encoded,
                 codec::encode_update(*request.codec, weights, request.residual,
                                      {request.seed, request.round, request.who}, pool));
    product.weights = std::move(encoded.bytes), product.residual = std::move(encoded.residual);
    return product;
}

Result<Evaluation> CpuTrainer::evaluate(std::span<const float> parameters, EvaluationSet set,
                                        const Pause& pause) {
    if (parameters.size() != layout()->parameter_count())
        return fail(ErrorCode::kModelLayout, "the model has " + std::to_string(parameters.size()) +
                                                 " parameters, not " +
                                                 std::to_string(layout()->parameter_count()));
    const data::View& view = set == EvaluationSet::test ? test_ : train_;
    Evaluation result;
    result.sample_count = view.size();
    if (view.size() == 0) return result;
    Lent place(*plans_, false);
    data::LoaderOptions options;
    options.batch_size = place->plan.batch_max(), options.shuffle = false;
    data::Loader loader(view, options);
    model::Score total;
    for (std::size_t i = 0; i < loader.batch_count(); ++i) {
        if (pause && !pause()) return fail(ErrorCode::kCancelled, "evaluation was cancelled");
        const auto batch = batch_of(loader.batch(0, i, place->room));
        const auto score = place->plan.score(parameters, batch);
        total.loss_sum += score.loss_sum, total.correct += score.correct;
        total.counted += score.counted;
    }
    const auto count = static_cast<double>(std::max<std::uint64_t>(total.counted, 1));
    result.loss = total.loss_sum / count;
    const bool judged =
        model::knows_answers(place->plan.network().spec().loss, view.data->target_count() > 0);
    result.accuracy = judged ? static_cast<double>(total.correct) / count : std::nan("");
    return result;
}

}  // namespace gossamer::training
