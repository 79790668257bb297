// CudaStack: what trainers on one card share. It holds a network's plans, and trains the requests
// of many peers side by side, in one launch.
//
// A request that was foreseen (Trainer::foresee) is trained along with the first of its companions
// that is asked for; its own train() then finds it done. A plan is always made for `replica_max`
// replicas, however few there are, so the bits of a result do not depend on who else was there.
#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "gossamer/training/cpu_trainer.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::training {

// The plugin's description of a network; the other two must outlive it.
struct CudaNetwork {
    std::vector<gossamer_cuda_layer> layers;
    std::vector<float> frozen;
    gossamer_cuda_network description{};
    bool judges() const {  // as model::knows_answers()
        return description.target_count == 0 && description.loss != GOSSAMER_CUDA_RECONSTRUCTION;
    }
};
// kGpuModel, naming the layer, when the card does not run this network.
Result<CudaNetwork> cuda_network(const model::Network& network, std::uint32_t target_count,
                                 std::uint32_t label_count = 1);

// What gossamer::stream makes of a peer's id.
std::uint64_t stream_name(const PeerId& who);

// Samples on the card.
class CudaSamples {
public:
    // Errors: kGpuMemory, kGpuFailed.
    static Result<std::shared_ptr<const CudaSamples>> place(const gossamer_cuda_interface& api,
                                                            int device, const data::View& view);
    ~CudaSamples();
    CudaSamples(const CudaSamples&) = delete;
    CudaSamples& operator=(const CudaSamples&) = delete;
    const gossamer_cuda_data* data() const { return data_; }

private:
    explicit CudaSamples(const gossamer_cuda_interface& api) : api_(api) {}
    const gossamer_cuda_interface& api_;
    gossamer_cuda_data* data_ = nullptr;
};

// A peer's part of them.
struct CudaPart {
    std::shared_ptr<const CudaSamples> samples;
    std::shared_ptr<const std::vector<std::uint32_t>> rows;  // of the samples; null: all, in order
    std::uint32_t count = 0;
};

class CudaStack {
public:
    struct Options {
        int device = 0;
        std::uint32_t replica_max = 1;
        std::uint32_t target_count = 0;     // of the data; 0: labels
        std::uint32_t label_count = 1;      // of a sample
        std::uint32_t samples_most = 1024;  // that are evaluated at a time
        // As the data of these peers has them.
        static Options of(int device, const data::View& train, const data::View& test);
    };
    // Errors: kGpuModel, kGpuMemory (naming the figure), kGpuFailed.
    static Result<std::shared_ptr<CudaStack>> create(const gossamer_cuda_interface& api,
                                                     const Options& options,
                                                     const model::Network& network,
                                                     TrainingConfig config);
    ~CudaStack();
    CudaStack(const CudaStack&) = delete;
    CudaStack& operator=(const CudaStack&) = delete;

    const gossamer_cuda_interface& api() const { return api_; }
    int device() const { return options_.device; }
    std::uint32_t replica_max() const { return options_.replica_max; }
    // A card that is too small says so here, not in the middle of a run.
    Status rehearse(bool trains, bool scores);

    // A request to come, for as long as it is kept. Null where nothing is stacked.
    std::shared_ptr<const void> foresee(const CudaPart& part, const TrainRequest& request,
                                        tensor::BufferPool& pool);
    Result<TrainProduct> train(const CudaPart& part, TrainRequest request,
                               tensor::BufferPool& pool);
    Result<Evaluation> evaluate(const CudaPart& part, std::span<const float> parameters);

private:
    struct Slot;    // a request, and what came of it
    struct Launch;  // what the plugin is given for a slot
    class Borrowed;
    struct Kept {  // a plan nobody uses at the moment
        gossamer_cuda_plan* plan;
        float proximal_mu;
    };

    CudaStack(const gossamer_cuda_interface& api, const Options& options, CudaNetwork network,
              TrainingConfig config, bool draws);
    Result<gossamer_cuda_plan*> borrow(bool scoring, float proximal_mu);
    void give_back(gossamer_cuda_plan* plan, bool scoring, float proximal_mu);
    std::shared_ptr<Slot> find(const TrainRequest& request);
    std::vector<std::shared_ptr<Slot>> companions(const std::shared_ptr<Slot>& first);
    void launch(const std::vector<std::shared_ptr<Slot>>& slots);
    Status prepare(Launch& to, Slot& slot) const;
    static Status prepare_codec(Launch& to, const TrainRequest& request, std::size_t parameters,
                                tensor::BufferPool& pool);
    Result<TrainProduct> result_of(Launch& launched, const Slot& slot) const;
    std::vector<gossamer_cuda_step> steps_of(const TrainRequest& request, std::uint64_t first,
                                             std::uint64_t count, std::uint64_t taken) const;

    const gossamer_cuda_interface& api_;
    const Options options_;
    CudaNetwork network_;
    const TrainingConfig config_;
    const bool draws_;  // the network has dropout
    std::uint32_t scoring_batch_ = 1;
    std::mutex mutex_;
    std::vector<Kept> idle_[2];  // for training, for scoring
    std::list<std::weak_ptr<Slot>> foreseen_;
    std::mutex launching_;  // stacked launches come one after another
};

}  // namespace gossamer::training
