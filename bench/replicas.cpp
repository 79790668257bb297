// Two replicas on two threads beside one on one: nothing is shared but the caches and the clock.
// Beside it what the machine gives two threads that share nothing at all, multiply-adds in
// registers, and the bare step of the same net. Wall time, best of several turns, all by turns; a
// machine with one core has no answer.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bench/bare_step.hpp"
#include "gossamer/model/plan.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kBatch = 10, kSteps = 2000;
constexpr int kRepeats = 7;

using Run = std::function<void()>;  // kSteps of what one thread does

struct Samples {
    std::vector<float> inputs;
    std::vector<std::int32_t> labels;
    explicit Samples(std::size_t width) : inputs(kBatch * width), labels(kBatch) {
        auto r = stream(RunSeed{2}, Purpose::user);
        for (auto& v : inputs) v = static_cast<float>(r.uniform());
        for (auto& label : labels) label = static_cast<std::int32_t>(r.below(10));
    }
};

Run replica() {
    struct Replica {
        tensor::PoolRef pool = tensor::BufferPool::create(std::size_t{16} << 20);
        model::Network network =
            model::Network::create(model::zoo("mlp-200-200", {28, 28}, 10).value()).value();
        model::Plan plan{network, kBatch, true, *pool};
        tensor::Buffer parameters = pool->take_floats(network.layout()->parameter_count());
        Samples samples{network.input_count()};
    };
    auto own = std::make_shared<Replica>();
    own->network.initialise(own->parameters.floats(), RunSeed{1});
    return [own] {
        const auto& s = own->samples;
        for (std::size_t i = 0; i < kSteps; ++i)
            own->plan.sgd_step(own->parameters.floats(), {kBatch, s.inputs, s.labels, {}, 0},
                               1e-3f);
    };
}

Run bare_step() {
    std::shared_ptr<bench::BareStep> step = bench::make_bare_step(kBatch);
    auto samples = std::make_shared<Samples>(784);
    return [step, samples] {
        for (std::size_t i = 0; i < kSteps; ++i)
            step->step(samples->inputs.data(), samples->labels.data(), 1e-3f);
    };
}

double seconds(const std::vector<Run>& runs, std::size_t count) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back(runs[i]);
    for (auto& thread : threads) thread.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

int main() {
    struct Figure {
        std::string name, unit;
        double goal, work;  // of one run
        std::vector<Run> runs;
        double one = 1e9, two = 1e9;
    };
    const std::string net =
        std::string("mlp-200-200, batch 10 (") + model::maths_instruction_set() + ")";
    const double samples = kSteps * kBatch;
    std::vector<Figure> figures{{net, "samples/s", 1.8, samples, {replica(), replica()}}};
    if (bench::multiply_adds(0)) {
        constexpr int kMillions = 700;  // about as long as the steps
        const Run registers = [] { bench::multiply_adds(kMillions); };
        figures.push_back(
            {"multiply-adds in registers", "GF/s", 0, kMillions * 32e-3, {registers, registers}});
        figures.push_back({"the bare step", "samples/s", 0, samples, {bare_step(), bare_step()}});
    }
    for (int repeat = 0; repeat < kRepeats; ++repeat)
        for (auto& f : figures) {
            f.one = std::min(f.one, seconds(f.runs, 1));
            f.two = std::min(f.two, seconds(f.runs, 2));
        }
    const bool cores = std::thread::hardware_concurrency() >= 2;
    for (const auto& f : figures) {
        const double one = f.work / f.one, two = 2 * f.work / f.two;
        const char* met = !cores || f.goal == 0 ? "null" : two / one >= f.goal ? "true" : "false";
        std::printf(
            "{\"name\":\"%s, two threads against one\",\"value\":%.1f,\"unit\":\"%s\","
            "\"limit\":%.1f,\"ratio\":%.3f,\"goal\":%.1f,\"met\":%s}\n",
            f.name.c_str(), two, f.unit.c_str(), one, two / one, f.goal, met);
    }
}
