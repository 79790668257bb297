// Training on one thread, batch 10, everything included (shuffle, gather, loss, update, checks),
// beside the bare Eigen products of the same step on the same instruction set. Times are the
// thread's own CPU time, so that other work on the machine disturbs them less.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "bench/eigen_products.hpp"
#include "gossamer/training/cpu_trainer.hpp"

using namespace gossamer;

namespace {

constexpr int kBatch = 10, kRepeats = 7;
constexpr double kGoal = 0.6;

double cpu_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

std::unique_ptr<bench::Products> products(const bench::Net& net) {
    const std::string set = model::maths_instruction_set();
    if (set == "x86-64-v4") return bench::v4::make_products(net);
    if (set == "x86-64-v3") return bench::v3::make_products(net);
    return bench::v1::make_products(net);
}

data::View images(std::size_t count) {
    data::Dataset::Parts parts{.name = "random images", .shape = {28, 28}, .class_count = 10};
    auto r = stream(RunSeed{1}, Purpose::user);
    for (std::size_t i = 0; i < count; ++i) {
        parts.labels.push_back(static_cast<std::int32_t>(r.below(10)));
        for (int k = 0; k < 784; ++k)
            parts.bytes.push_back(static_cast<std::uint8_t>(r.below(4) == 0 ? r.below(256) : 0));
    }
    return data::View::all(data::Dataset::make(std::move(parts)).value());
}

void measure(const char* network, bool cnn, std::uint32_t steps) {
    auto pool = tensor::BufferPool::create(std::size_t{64} << 20);
    auto spec = model::zoo(network, {28, 28}, 10).value();
    auto plans = std::make_shared<training::PlanStock>(model::Network::create(spec).value(),
                                                       std::size_t{kBatch}, pool);
    auto trainer = training::CpuTrainer::create(plans, images(1000), {}, {}).value();
    auto bare = products({.cnn = cnn, .batch = kBatch});
    auto buffer = pool->take_floats(trainer->layout()->parameter_count());
    trainer->initialise(buffer.floats(), RunSeed{1});
    auto model = tensor::Model::of(trainer->layout(), std::move(buffer));
    double ours = 0, theirs = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        training::TrainRequest request;
        request.start = std::move(model);
        request.round = static_cast<std::uint64_t>(repeat), request.steps = steps;
        double begin = cpu_seconds();
        auto product = trainer->train(std::move(request), *pool).value();
        ours = std::max(ours, steps * kBatch / (cpu_seconds() - begin));
        model = tensor::Model::of(trainer->layout(), std::move(product.weights));
        begin = cpu_seconds();
        for (std::uint32_t i = 0; i < steps; ++i) bare->step();
        theirs = std::max(theirs, steps * kBatch / (cpu_seconds() - begin));
    }
    std::printf(
        "{\"name\":\"training %s, batch %d, one thread (%s)\",\"value\":%.0f,"
        "\"unit\":\"samples/s\",\"limit\":%.0f,\"ratio\":%.3f,\"goal\":%.2f,\"met\":%s}\n",
        network, kBatch, model::maths_instruction_set(), ours, theirs, ours / theirs, kGoal,
        ours / theirs >= kGoal ? "true" : "false");
    std::fflush(stdout);
}

}  // namespace

int main() {
    measure("mlp-200-200", false, 3000);
    measure("fedavg-cnn", true, 60);
}
