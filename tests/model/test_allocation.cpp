// A step plan takes its memory when it is made: no step after that asks for any.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <vector>

#include "gossamer/model/plan.hpp"

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // theirs is operator new

namespace {
std::atomic<std::size_t> asked{0};
void* counted(std::size_t size, std::size_t alignment) {
    ++asked;
    size = (size + alignment - 1) / alignment * alignment;
    if (void* p = std::aligned_alloc(alignment, size ? size : alignment)) return p;
    throw std::bad_alloc();
}
}  // namespace

void* operator new(std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return counted(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

using namespace gossamer;
using namespace gossamer::model;

TEST_CASE("no step asks for memory: products, convolutions, recurrence, attention") {
    struct Case {
        std::vector<std::uint32_t> input;
        std::vector<const char*> layers;
    };
    const std::vector<Case> cases = {
        {{20}, {"dense 30 relu", "dense 10"}},
        {{8, 8, 1}, {"conv 6 3x3 relu", "maxpool 2x2", "dense 10"}},
        {{6}, {"embedding 12 8", "lstm 7", "last", "dense 10"}},
        {{6}, {"embedding 12 8", "attention 2", "last", "dense 10"}},
    };
    auto pool = tensor::BufferPool::create(1 << 24);
    for (const auto& c : cases) {
        CAPTURE(std::string(c.layers.front()));
        NetworkSpec spec{.name = "test", .input = c.input};
        for (const char* text : c.layers) spec.layers.push_back(parse_layer(text).value());
        const auto network = Network::create(spec);
        REQUIRE_MESSAGE(network, (network ? "" : network.error().to_string()));
        std::size_t features = 1;
        for (const auto n : c.input) features *= n;
        constexpr std::size_t kBatch = 5;
        const std::vector<float> inputs(kBatch * features, 1);
        const std::vector<std::int32_t> labels = {0, 3, 9, 1, 3};
        std::vector<float> weights(network->layout()->parameter_count(), 0.01f);
        auto gradient = weights;
        const Batch batch{.size = kBatch, .inputs = inputs, .labels = labels, .draws = 1};
        Plan plan(*network, kBatch, true, *pool);
        const auto before = asked.load();
        CHECK(before > 0);  // it counts
        double loss = 0;
        for (int step = 0; step < 100; ++step) {
            loss += plan.sgd_step(weights, batch, 0.01f, 0);
            loss += plan.gradient(weights, batch, gradient);
        }
        loss += plan.score(weights, batch).loss_sum;
        CHECK(asked.load() == before);
        CHECK(loss > 0);
    }
}

#endif
