// Two replicas on two threads beside one on one: nothing is shared but the caches and the clock.
// Wall time, best of several turns; a machine with one core has no answer.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "gossamer/model/plan.hpp"

using namespace gossamer;

namespace {

constexpr std::size_t kBatch = 10, kSteps = 2000;
constexpr int kRepeats = 7;

class Replica {
public:
    Replica()
        : network_(model::Network::create(model::zoo("mlp-200-200", {28, 28}, 10).value()).value()),
          plan_(network_, kBatch, true, *pool_),
          parameters_(pool_->take_floats(network_.layout()->parameter_count())),
          inputs_(kBatch * network_.input_count()),
          labels_(kBatch) {
        network_.initialise(parameters_.floats(), RunSeed{1});
        auto r = stream(RunSeed{2}, Purpose::user);
        for (auto& v : inputs_) v = static_cast<float>(r.uniform());
        for (auto& label : labels_) label = static_cast<std::int32_t>(r.below(10));
    }
    void run() {
        for (std::size_t i = 0; i < kSteps; ++i)
            plan_.sgd_step(parameters_.floats(), {kBatch, inputs_, labels_, {}, 0}, 1e-3f);
    }

private:
    tensor::PoolRef pool_ = tensor::BufferPool::create(std::size_t{16} << 20);
    model::Network network_;
    model::Plan plan_;
    tensor::Buffer parameters_;
    std::vector<float> inputs_;
    std::vector<std::int32_t> labels_;
};

double rate_of(std::vector<Replica>& replicas, std::size_t count) {
    const auto begin = std::chrono::steady_clock::now();
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([&, i] { replicas[i].run(); });
    for (auto& thread : threads) thread.join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    return double(count * kSteps * kBatch) / took.count();
}

}  // namespace

int main() {
    std::vector<Replica> replicas(2);
    double one = 0, two = 0;
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
        one = std::max(one, rate_of(replicas, 1));
        two = std::max(two, rate_of(replicas, 2));
    }
    const bool cores = std::thread::hardware_concurrency() >= 2;
    std::printf(
        "{\"name\":\"mlp-200-200, batch 10, two replicas on two threads, against one "
        "(%s)\",\"value\":%.0f,\"unit\":\"samples/s\",\"limit\":%.0f,\"ratio\":%.3f,\"goal\":1.8,"
        "\"met\":%s}\n",
        model::maths_instruction_set(), two, one, two / one,
        !cores             ? "null"
        : two / one >= 1.8 ? "true"
                           : "false");
}
