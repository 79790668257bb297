#include "cli/demo/baseline.hpp"

#include <algorithm>
#include <chrono>

#include "gossamer/data/load.hpp"
#include "gossamer/model/network.hpp"
#include "gossamer/training/cpu_trainer.hpp"
#include "records/storage/safetensors.hpp"

namespace gossamer::cli::demo {

struct Baseline::State {
    Plan plan;
    tensor::PoolRef pool = tensor::BufferPool::create(std::size_t{64} << 20);
    data::Split data;
    data::Partition parts;
    std::shared_ptr<training::PlanStock> plans;
    training::TrainingConfig config;

    Result<double> train(data::View view) {
        auto own = config;
        own.schedule.length = plan.batches(view.size());
        GOSSAMER_TRY(auto trainer, training::CpuTrainer::create(plans, std::move(view),
                                                                data::View::all(data.test), own));
        auto start = pool->take_floats(trainer->layout()->parameter_count());
        trainer->initialise(start.floats(), RunSeed{plan.seed});
        training::TrainRequest request;
        request.start = tensor::Model::of(trainer->layout(), std::move(start));
        request.seed = RunSeed{plan.seed};
        request.epochs = plan.epochs;
        GOSSAMER_TRY(auto product, trainer->train(std::move(request), *pool));
        GOSSAMER_TRY(
            auto e, trainer->evaluate(product.weights.floats(), training::EvaluationSet::test, {}));
        return e.accuracy;
    }
};

Baseline::Baseline(std::unique_ptr<State> state) : state_(std::move(state)) {}
Baseline::~Baseline() = default;

Result<std::unique_ptr<Baseline>> Baseline::create(const Plan& plan) {
    auto state = std::make_unique<State>();
    state->plan = plan;
    data::DataConfig config;
    config.partition.kind = data::PartitionKind::dirichlet;
    config.partition.alpha = plan.alpha;
    config.partition.part_count = plan.peer_count;
    GOSSAMER_TRY(state->data, data::load_dataset(config, RunSeed{plan.seed}));
    GOSSAMER_TRY(state->parts, data::load_partition(config, *state->data.train, plan.peer_count,
                                                    RunSeed{plan.seed}));
    GOSSAMER_TRY(auto spec, model::zoo("mlp-200-200", state->data.train->shape(),
                                       state->data.train->class_count()));
    GOSSAMER_TRY(auto network, model::Network::create(std::move(spec)));
    state->config.schedule = {.kind = training::ScheduleKind::cosine,
                              .rate = plan.learning_rate,
                              .factor = plan.final_factor};
    state->config.batch_size = plan.batch_size;
    state->plans =
        std::make_shared<training::PlanStock>(std::move(network), plan.batch_size, state->pool);
    return std::unique_ptr<Baseline>(new Baseline(std::move(state)));
}

Result<Row> Baseline::local_only() {
    Row row{.name = "local only", .accuracy_worst = 1};
    auto begin = std::chrono::steady_clock::now();
    for (const auto& part : state_->parts) {
        GOSSAMER_TRY(auto accuracy, state_->train(data::View::of(state_->data.train, part)));
        row.accuracy_mean += accuracy / static_cast<double>(state_->parts.size());
        row.accuracy_worst = std::min(row.accuracy_worst, accuracy);
    }
    row.wall_seconds = seconds(std::chrono::steady_clock::now() - begin);
    return row;
}

Result<Row> Baseline::central() {
    auto begin = std::chrono::steady_clock::now();
    GOSSAMER_TRY(auto accuracy, state_->train(data::View::all(state_->data.train)));
    return Row{.name = "central (pooled data)",
               .accuracy_mean = accuracy,
               .accuracy_worst = accuracy,
               .wall_seconds = seconds(std::chrono::steady_clock::now() - begin)};
}

Result<double> Baseline::accuracy_of(const std::string& model_file) {
    storage::RealDisk disk;
    const auto& layout = state_->plans->network().layout();
    GOSSAMER_TRY(auto values, storage::load_parameters(disk, model_file, *layout, state_->pool));
    GOSSAMER_TRY(auto trainer,
                 training::CpuTrainer::create(state_->plans, data::View::all(state_->data.train),
                                              data::View::all(state_->data.test), state_->config));
    GOSSAMER_TRY(auto e, trainer->evaluate(std::as_const(values).floats(),
                                           training::EvaluationSet::test, {}));
    return e.accuracy;
}

}  // namespace gossamer::cli::demo
