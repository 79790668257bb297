// Training on one thread, everything included (shuffle, gather, loss, update, checks), beside what
// the core allows for the same step: the bare step in hand-placed registers for the 2NN
// (bare_step.hpp; AVX-512 only), the bare Eigen products on the same instruction set for the
// convolutional net. Both take turns, and the best of each counts; times are the thread's own CPU
// time, so that other work on the machine disturbs them less.
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "bench/bare_step.hpp"
#include "bench/eigen_products.hpp"
#include "gossamer/training/cpu_trainer.hpp"

using namespace gossamer;

namespace {

constexpr int kRepeats = 30;

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

// Best samples per second of some steps, by turns with the limit's.
struct Trained {
    Trained(const char* network, int batch_size, std::uint32_t step_count)
        : batch(batch_size),
          steps(step_count),
          plans(std::make_shared<training::PlanStock>(
              model::Network::create(model::zoo(network, {28, 28}, 10).value()).value(),
              static_cast<std::size_t>(batch), pool)) {
        training::TrainingConfig config;
        config.batch_size = static_cast<std::uint32_t>(batch);
        trainer = training::CpuTrainer::create(plans, images(960), {}, config).value();
        auto buffer = pool->take_floats(trainer->layout()->parameter_count());
        trainer->initialise(buffer.floats(), RunSeed{1});
        model = tensor::Model::of(trainer->layout(), std::move(buffer));
    }
    void run() {
        training::TrainRequest request;
        request.start = std::move(model), request.round = round++, request.steps = steps;
        const double begin = cpu_seconds();
        auto product = trainer->train(std::move(request), *pool).value();
        best = std::max(best, steps * batch / (cpu_seconds() - begin));
        model = tensor::Model::of(trainer->layout(), std::move(product.weights));
    }
    int batch;
    std::uint32_t steps;
    tensor::PoolRef pool = tensor::BufferPool::create(std::size_t{64} << 20);
    std::shared_ptr<training::PlanStock> plans;
    std::shared_ptr<training::CpuTrainer> trainer;
    tensor::Model model;
    std::uint64_t round = 0;
    double best = 0;
};

template <class Limit>
double compare(Trained& ours, Limit&& step) {
    double best = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        ours.run();
        const double begin = cpu_seconds();
        for (std::uint32_t i = 0; i < ours.steps; ++i) step(i);
        best = std::max(best, ours.steps * ours.batch / (cpu_seconds() - begin));
    }
    return best;
}

void report(const char* network, const char* limit_name, const Trained& ours, double limit,
            double goal) {
    std::printf(
        "{\"name\":\"training %s, batch %d, against %s (%s)\",\"value\":%.0f,"
        "\"unit\":\"samples/s\",",
        network, ours.batch, limit_name, model::maths_instruction_set(), ours.best);
    if (limit > 0)
        std::printf("\"limit\":%.0f,\"ratio\":%.3f,\"goal\":%.2f,\"met\":%s}\n", limit,
                    ours.best / limit, goal, ours.best / limit >= goal ? "true" : "false");
    else
        std::printf("\"limit\":null,\"ratio\":null,\"goal\":%.2f,\"met\":null}\n", goal);
    std::fflush(stdout);
}

void dense_net(int batch, std::uint32_t steps) {
    Trained ours("mlp-200-200", batch, steps);
    auto bare = bench::make_bare_step(batch);
    std::vector<float> x(960 * 784);
    std::vector<std::int32_t> labels(960);
    auto r = stream(RunSeed{2}, Purpose::user);
    for (auto& v : x) v = r.below(4) == 0 ? static_cast<float>(r.uniform()) : 0.0f;
    for (auto& label : labels) label = static_cast<std::int32_t>(r.below(10));
    const auto batches = static_cast<std::uint32_t>(960 / batch);
    const double limit = compare(ours, [&](std::uint32_t i) {
        const std::size_t at = static_cast<std::size_t>(i % batches) * batch;
        if (bare) bare->step(&x[at * 784], &labels[at], 0.05f);
    });
    report("mlp-200-200", "the bare step", ours, bare ? limit : 0, 0.9);
}

void convolutional_net(int batch, std::uint32_t steps) {
    Trained ours("fedavg-cnn", batch, steps);
    auto bare = products({.cnn = true, .batch = batch});
    const double limit = compare(ours, [&](std::uint32_t) { bare->step(); });
    report("fedavg-cnn", "Eigen's products", ours, limit, 1.3);
}

}  // namespace

int main() {
    dense_net(10, 96);
    dense_net(32, 30);
    convolutional_net(10, 5);
    convolutional_net(32, 2);
}
