// Samples on the card, and what a job over them must satisfy.
#pragma once

#include <string>

#include "learning/cuda/encode.hpp"
#include "learning/cuda/learn.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

// A data set on the card.
template <class Machine>
struct DeviceData {
    DeviceData(int device, const gossamer_cuda_data_description& d) : machine(device) {
        sample_count = d.sample_count, feature_count = d.feature_count;
        target_count = d.target_count, class_count = d.class_count, byte_scale = d.byte_scale;
        label_count = d.label_count;
        const std::size_t values = sample_count * feature_count;
        auto put = [&](const void* from, std::size_t bytes) -> void* {
            if (from == nullptr) return nullptr;
            void* to = machine.allocate(bytes, "the data set");
            if (to != nullptr) machine.upload(to, from, bytes);
            return to;
        };
        bytes = static_cast<std::uint8_t*>(put(d.bytes, values));
        floats = static_cast<float*>(put(d.floats, values * sizeof(float)));
        labels = static_cast<std::int32_t*>(
            put(d.labels, sample_count * label_count * sizeof(std::int32_t)));
        targets = static_cast<float*>(put(d.targets, sample_count * target_count * sizeof(float)));
        machine.wait();
    }
    Machine machine;
    std::uint64_t sample_count, feature_count;
    std::uint32_t target_count, class_count, label_count;
    float byte_scale;
    std::uint8_t* bytes;
    float *floats, *targets;
    std::int32_t* labels;
};

// What a plan expects of its jobs.
struct Wanted {
    std::uint64_t input_count, output_count;
    std::uint32_t target_count, label_count;
    int loss;
    std::uint64_t parameter_count;
    std::uint32_t replica_max;
    bool scoring;
};

// Empty, or what is wrong with a job.
template <class Machine>
std::string job_fault(const gossamer_cuda_job& job, const Wanted& wanted) {
    if (job.replica_count == 0 || job.replica_count > wanted.replica_max)
        return std::to_string(job.replica_count) + " replicas, the plan has room for " +
               std::to_string(wanted.replica_max);
    for (std::uint32_t r = 0; r < job.replica_count; ++r) {
        const auto& one = job.replicas[r];
        const std::string name = "replica " + std::to_string(r);
        if (one.start == nullptr || one.data == nullptr) return name + " has no start or data";
        const auto& data = *reinterpret_cast<const DeviceData<Machine>*>(one.data);
        if (data.feature_count != wanted.input_count)
            return name + ": samples of " + std::to_string(data.feature_count) +
                   " values, the network takes " + std::to_string(wanted.input_count);
        if (data.target_count != wanted.target_count && wanted.loss != kReconstruction)
            return name + ": another number of targets";
        if (wanted.target_count == 0 && wanted.loss != kReconstruction && data.labels == nullptr)
            return name + " has no labels";
        if (wanted.loss != kReconstruction && data.labels != nullptr &&
            data.class_count > wanted.output_count / wanted.label_count)
            return name + ": more classes than outputs";
        if (wanted.loss != kReconstruction && data.labels != nullptr &&
            data.label_count != wanted.label_count)
            return name + ": another number of labels";
        if (one.row_count == 0 || one.row_count > (1u << 30)) return name + " has no samples";
        if (one.rows == nullptr && one.row_count > data.sample_count)
            return name + " has more rows than there are samples";
        for (std::uint32_t i = 0; one.rows != nullptr && i < one.row_count; ++i)
            if (one.rows[i] >= data.sample_count) return name + " has a row out of range";
        if (one.step_count > (1u << 30)) return name + " has too many steps";
        if (!wanted.scoring && one.step_count > 0 && one.steps == nullptr)
            return name + " has no rates";
        if (wanted.scoring) continue;
        const auto& p = one.product;
        if (p.kind > GOSSAMER_CUDA_TOP || one.out == nullptr ||
            (p.kind == GOSSAMER_CUDA_TOP &&
             (p.top_count == 0 || p.top_count > wanted.parameter_count)))
            return name + " has no product";
        if (one.out_room_bytes <
            encoded_bytes(static_cast<int>(p.kind), wanted.parameter_count, p.top_count))
            return name + " has too little room for its product";
    }
    return {};
}

}  // namespace gossamer::cuda
