// On real data: what each network of the zoo reaches in a short run.
#include <doctest/doctest.h>

#include <filesystem>

#include "gossamer/data/load.hpp"
#include "gossamer/training/cpu_trainer.hpp"

using namespace gossamer;
using namespace gossamer::training;

namespace {

struct Goal {
    const char* network;
    std::size_t samples;
    std::uint32_t epochs;
    double rate, accuracy;
};

double reached(const Goal& goal) {
    data::DataConfig config;
    config.train_max = goal.samples, config.test_max = 2000;
    const auto split = data::load_dataset(config, RunSeed{1}).value();
    auto spec = model::zoo(goal.network, split.train->shape(), split.train->class_count()).value();
    auto pool = tensor::BufferPool::create(std::size_t{64} << 20);
    auto plans = std::make_shared<PlanStock>(model::Network::create(spec).value(), 10, pool);
    TrainingConfig training;
    training.schedule.rate = goal.rate;
    auto trainer = CpuTrainer::create(plans, data::View::all(split.train),
                                      data::View::all(split.test), training)
                       .value();
    auto buffer = pool->take_floats(trainer->layout()->parameter_count());
    trainer->initialise(buffer.floats(), RunSeed{1});
    TrainRequest request;
    request.start = tensor::Model::of(trainer->layout(), std::move(buffer));
    request.seed = RunSeed{1}, request.epochs = goal.epochs;
    auto product = trainer->train(std::move(request), *pool).value();
    return trainer->evaluate(product.weights.floats(), EvaluationSet::test, {}).value().accuracy;
}

}  // namespace

TEST_CASE("Short runs on Fashion-MNIST reach the accuracy expected of each network") {
    if (!std::filesystem::exists(data::kFashionMnistFolder)) {
        MESSAGE("SKIPPED: the package dataset-fashion-mnist is not installed");
        return;
    }
    for (const Goal& goal :
         {Goal{"softmax-regression", 10000, 2, 0.02, 0.77},
          Goal{"mlp-200-200", 10000, 3, 0.05, 0.79}, Goal{"fedavg-cnn", 3000, 2, 0.05, 0.77}}) {
        const double accuracy = reached(goal);
        MESSAGE(std::string(goal.network), ": ", accuracy);
        CHECK(accuracy > goal.accuracy);
    }
}
