// The plugin's functions with their structs filled in, for the checks and the benchmark.
#pragma once

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/cuda/nets.hpp"

namespace gossamer::cuda {

using Api = gossamer_cuda_interface;

// Null, with the reason printed, when the plugin cannot be used here.
inline const Api* load_api(const char* path) {
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "no plugin: %s\n", dlerror());
        return nullptr;
    }
    using Entry = const Api* (*)(std::uint32_t);
    const auto entry = reinterpret_cast<Entry>(dlsym(library, GOSSAMER_CUDA_SYMBOL));
    const Api* api = entry != nullptr ? entry(GOSSAMER_CUDA_VERSION) : nullptr;
    if (api == nullptr) std::fprintf(stderr, "%s is of another version\n", path);
    return api;
}

[[noreturn]] inline void stop(const gossamer_cuda_error& error) {
    std::fprintf(stderr, "the plugin failed (%d): %s\n", error.code, error.what);
    std::exit(1);
}

class Data {
public:
    Data(const Api& api, const Samples& samples) : api_(api) {
        gossamer_cuda_error error{};
        const auto d = samples.description();
        if (api.data_create(0, &d, &data_, &error) != 0) stop(error);
    }
    ~Data() { api_.data_destroy(data_); }
    Data(const Data&) = delete;
    Data& operator=(const Data&) = delete;
    const gossamer_cuda_data* get() const { return data_; }

private:
    const Api& api_;
    gossamer_cuda_data* data_ = nullptr;
};

inline gossamer_cuda_plan_options plan_options(std::uint32_t batch, std::uint32_t replicas = 1,
                                               std::uint32_t mode = GOSSAMER_CUDA_GRAPH) {
    gossamer_cuda_plan_options o{};
    o.size = sizeof o;
    o.batch_size = batch, o.replica_max = replicas, o.mode = mode;
    o.beta1 = 0.9f, o.beta2 = 0.999f, o.epsilon = 1e-8f;
    return o;
}

// One replica's part of a job, with the memory it points to.
struct Work {
    std::vector<float> start;
    std::vector<std::uint32_t> rows;
    std::vector<gossamer_cuda_step> steps;
    std::vector<float> first, second;  // in and out, when not empty
    std::vector<unsigned char> out;
    std::vector<float> residual, next_residual;
    gossamer_cuda_replica r{};

    Work(const Data& data, std::vector<float> weights, std::uint32_t row_count,
         std::uint32_t step_count, float rate)
        : start(std::move(weights)) {
        r.data = data.get(), r.row_count = row_count, r.step_count = step_count;
        r.seed = 5, r.who = 77, r.shuffled = 1;
        for (std::uint32_t s = 1; s <= step_count; ++s) {
            const auto c = [&](double beta) {
                return static_cast<float>(1 / (1 - std::pow(beta, double(s))));
            };
            steps.push_back({rate, c(0.9), c(0.999), 0, s * 0x123456789abcdefull});
        }
        r.product.kind = GOSSAMER_CUDA_DELTA;
    }
    const std::vector<float> floats() const {
        std::vector<float> v(r.out_bytes / sizeof(float));
        std::memcpy(v.data(), out.data(), v.size() * sizeof(float));
        return v;
    }
};

class PlanOf {
public:
    PlanOf(const Api& api, const Net& net, const gossamer_cuda_plan_options& options)
        : api_(api), net_(net) {
        gossamer_cuda_error error{};
        const auto n = net_.description();
        if (api.plan_create(&n, &options, &plan_, &error) != 0) stop(error);
    }
    ~PlanOf() { api_.plan_destroy(plan_); }
    PlanOf(const PlanOf&) = delete;
    PlanOf& operator=(const PlanOf&) = delete;
    gossamer_cuda_plan* get() const { return plan_; }

    // Seconds on the card.
    double run(std::vector<Work*> works, bool scoring = false) {
        std::vector<gossamer_cuda_replica> replicas;
        for (Work* w : works) {
            auto& r = w->r;
            r.start = w->start.data(), r.steps = w->steps.data();
            r.rows = w->rows.empty() ? nullptr : w->rows.data();
            if (!w->first.empty()) r.first = r.first_out = w->first.data();
            if (!w->second.empty()) r.second = r.second_out = w->second.data();
            w->out.resize(net_.parameters * 8 + 64);
            r.out = w->out.data(), r.out_room_bytes = w->out.size();
            if (!w->residual.empty()) {
                w->next_residual.resize(net_.parameters);
                r.product.residual = w->residual.data();
                r.product.next_residual = w->next_residual.data();
            }
            replicas.push_back(r);
        }
        gossamer_cuda_job job{};
        job.size = sizeof job;
        job.replica_count = static_cast<std::uint32_t>(replicas.size());
        job.replicas = replicas.data();
        gossamer_cuda_error error{};
        const int code =
            scoring ? api_.score(plan_, &job, &error) : api_.train(plan_, &job, &error);
        if (code != 0) stop(error);
        for (std::size_t i = 0; i < works.size(); ++i) works[i]->r = replicas[i];
        return job.device_seconds;
    }

private:
    const Api& api_;
    Net net_;
    gossamer_cuda_plan* plan_ = nullptr;
};

}  // namespace gossamer::cuda
