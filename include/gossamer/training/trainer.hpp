// Trainer: what a peer knows about learning. Bring your own by deriving from it, some forty lines:
// the runtime asks for nothing else.
//
// A trainer is used by several worker threads at once, each with a request of its own. It keeps no
// state between requests that would change their results: a request repeated gives the same bits.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/handle.hpp"
#include "gossamer/tensor/state.hpp"

namespace gossamer::training {

// Called between batches, so that urgent work can run; false: give up (kCancelled).
using Pause = std::function<bool()>;

// What a trainer is asked for; it may always give weights, and the runtime makes the rest of them.
// encoded: of the delta. A trainer on a device so sends less over the bus.
enum class Product : std::uint8_t { weights = 0, delta = 1, encoded = 2 };  // weights - start

struct TrainRequest {
    tensor::Model start;      // when it is the only handle, it may be trained in place: whoever
                              // wants to fall back on it keeps a handle
    std::uint64_t round = 1;  // from 1; names the batches: round r takes up where r - 1 ended
    PeerId who;
    RunSeed seed;
    std::uint32_t epochs = 1, steps = 0;  // steps count when not 0
    tensor::State state;  // of the optimiser; null: fresh; of any other type: read from save()
    Product product = Product::weights;
    const codec::Codec* codec = nullptr;  // of an encoded product; its bytes to the bit
    tensor::State residual;               // what encoded products before it left unsent
    double proximal_mu = 0;               // FedProx: adds mu / 2 · |w - start|² to the loss
    const Pause* pause = nullptr;         // null: never
};

struct TrainProduct {
    tensor::Buffer weights;  // or what `product` says
    Product product = Product::weights;
    tensor::State state;             // null when the optimiser keeps none
    tensor::State residual;          // what an encoded product leaves unsent; null when nothing
    std::uint64_t sample_count = 0;  // in the local training set: the update's weight
    std::uint64_t step_count = 0;    // batches seen
    double loss = 0;                 // mean over the samples seen
};

enum class EvaluationSet : std::uint8_t { test = 0, train = 1 };

struct Evaluation {
    // Means over the labels, or over the samples; accuracy NaN where no answer is right or wrong.
    double loss = 0, accuracy = 0;
    std::uint64_t sample_count = 0;  // 0: this peer holds no such samples
};

class Trainer {
public:
    virtual ~Trainer() = default;

    virtual const tensor::LayoutRef& layout() const = 0;
    virtual std::uint64_t sample_count() const = 0;  // in the training set
    // The run's first parameters: a function of the seed alone, the same on all peers.
    virtual void initialise(std::span<float> parameters, RunSeed seed) const = 0;
    // Tells of a train() to come with this request, for as long as the answer is kept. A trainer
    // that trains many peers side by side takes those it foresees along; others need not care.
    virtual std::shared_ptr<const void> foresee(const TrainRequest& /*request*/,
                                                tensor::BufferPool& /*pool*/) {
        return nullptr;
    }
    // Errors: kModelNotFinite when loss or weights are no longer finite (naming round and peer),
    // kModelLayout when `start` has other tensors, kCancelled, kTrainingFailed.
    virtual Result<TrainProduct> train(TrainRequest request, tensor::BufferPool& pool) = 0;
    virtual Result<Evaluation> evaluate(std::span<const float> parameters, EvaluationSet set,
                                        const Pause& pause) = 0;
    // True when train() itself fails rather than give weights that are not finite; otherwise the
    // runtime looks through all of them after each call.
    virtual bool checks_finite() const { return false; }
};

}  // namespace gossamer::training
