// A step plan: everything one training step of a network needs, sized once for a largest batch.
// Stepping allocates nothing. A plan belongs to one thread at a time; parameters are the caller's,
// so one plan serves any number of replicas, one after another.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gossamer/model/network.hpp"
#include "gossamer/tensor/buffer.hpp"

namespace gossamer::model {

struct Sink;

// Samples to learn from; labels or targets, whichever the loss wants.
struct Batch {
    std::size_t size = 0;
    std::span<const float> inputs;  // size x input_count
    // One a sample, each in [0, output_count); with softmax_cross_entropy any number a sample: the
    // outputs are then so many positions of classes each, and label -1 (padding) counts nothing.
    std::span<const std::int32_t> labels;
    std::span<const float> targets;  // size x output_count
    std::uint64_t draws = 0;         // what dropout leaves out; another number for every batch
};

struct Score {
    double loss_sum = 0;        // over samples, or over the positions that count
    std::uint64_t counted = 0;  // so many
    std::uint64_t correct = 0;  // of labels; 0 without
};

class Plan {
public:
    // `gradients` false: for score() alone, which needs far less memory.
    Plan(const Network& network, std::size_t batch_max, bool gradients, tensor::BufferPool& pool);

    // What one takes, so that a step too large for the machine is refused before anything starts.
    static std::uint64_t bytes(const Network& network, std::size_t batch_max, bool gradients);

    std::size_t batch_max() const { return batch_max_; }
    const Network& network() const { return network_; }

    // REQUIRES of all: batch.size in [1, batch_max], parameters of the network's layout.
    // Mean loss over the batch; writes every element of `gradient`.
    double gradient(std::span<const float> parameters, const Batch& batch,
                    std::span<float> gradient);
    // Plain SGD without ever forming the gradient (about a third faster for small dense nets):
    // parameters = (1 - rate · decay) · parameters - rate · gradient. Returns the mean loss before.
    double sgd_step(std::span<float> parameters, const Batch& batch, float rate, float decay = 0);
    Score score(std::span<const float> parameters, const Batch& batch);
    // The last layer's outputs, size x output_count; valid until the next call.
    std::span<const float> outputs(std::span<const float> parameters, const Batch& batch);

private:
    double learn(const float* parameters, const Batch& batch, const Sink& sink);
    void forward(const float* parameters, const Batch& batch, bool training);
    void backward(const float* parameters, const Batch& batch, const Sink& sink);
    const float* output_of(int stage, const Batch& batch) const;

    struct Room {  // a stage's part of the arena, in floats
        std::size_t output = 0, kept = 0, delta = 0;
        bool adds_input = false;  // a later stage has written the gradient of the same input
        bool adds_source = false;
        bool learns = false;  // it, or a stage it reads: gradients go back so far
    };
    struct Arena {
        std::vector<Room> rooms;
        std::size_t floats = 0, work = 0, spare = 0, scratch = 0;
    };
    static Arena lay_out(const Network& network, std::size_t batch_max, bool gradients);

    Network network_;
    std::size_t batch_max_;
    bool gradients_;
    std::vector<Room> rooms_;
    std::size_t work_ = 0, spare_ = 0, scratch_ = 0;
    tensor::Buffer arena_;
};

// A batch size that keeps the activations of score() near the caches.
std::size_t scoring_batch(const Network& network);

// "x86-64-v4": which build of the maths library the loader chose.
const char* maths_instruction_set();

}  // namespace gossamer::model
