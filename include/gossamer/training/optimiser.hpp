// Optimisers and learning-rate schedules, on flat buffers in one pass.
//
// An optimiser is a plain description; what it remembers (velocity, moments, step count) is an
// OptimiserState, which travels through jobs and into checkpoints.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

#include "gossamer/base/result.hpp"
#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/state.hpp"

namespace gossamer::training {

enum class OptimiserKind : std::uint8_t { sgd = 0, adam = 1, adamw = 2 };

struct OptimiserSpec {
    OptimiserKind kind = OptimiserKind::sgd;
    double momentum = 0;      // of sgd: v = momentum · v + g, w -= rate · v
    bool nesterov = false;    // w -= rate · (g + momentum · v)
    double weight_decay = 0;  // g += decay · w; in adamw w shrinks by rate · decay on its own
    double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // of adam, adamw (Kingma & Ba 2015)
    double clip_norm = 0;                               // longest gradient of a batch; 0 = any

    bool operator==(const OptimiserSpec&) const = default;
    bool plain() const { return kind == OptimiserKind::sgd && momentum == 0; }
};

enum class ScheduleKind : std::uint8_t { constant, step, cosine, inverse };

// rate(t), t counted from the end of the warm-up:
//   constant: rate    step: rate · factor^floor(t / length)    inverse: rate / (1 + t / length)
//   cosine: from rate to rate · factor along half a cosine over `length` steps, then level
// During the first `warmup` steps the rate rises in equal steps from rate / warmup.
struct ScheduleSpec {
    ScheduleKind kind = ScheduleKind::constant;
    double rate = 0.05;
    std::uint64_t warmup = 0, length = 1000;  // in batches
    double factor = 0.1;

    double at(std::uint64_t step) const;  // from 0
    // Of batch i of a round, which has so many; rounds count from 1.
    double at(std::uint64_t round, std::uint64_t steps, std::uint64_t i) const {
        return at((std::max<std::uint64_t>(round, 1) - 1) * steps + i);
    }
    bool operator==(const ScheduleSpec&) const = default;
};

class OptimiserState final : public tensor::StateValue {
public:
    OptimiserKind kind = OptimiserKind::sgd;
    std::uint64_t steps = 0;
    tensor::Buffer first, second;  // velocity or first moments; second moments; may be empty

    Bytes save() const override;
    // kCheckpointFormat when the bytes are of another optimiser or another number of parameters.
    static Result<std::shared_ptr<OptimiserState>> load(ByteView saved, OptimiserKind kind,
                                                        std::size_t parameter_count,
                                                        tensor::BufferPool& pool);
    // For `count` parameters: a copy of `before`, or zeros when it is null or of another optimiser.
    // A state that is not an OptimiserState came out of a checkpoint, and is read from its save();
    // errors as of load().
    static Result<std::shared_ptr<OptimiserState>> after(const tensor::StateValue* before,
                                                         const OptimiserSpec& spec,
                                                         std::size_t count,
                                                         tensor::BufferPool& pool);
};

// What undoes the pull of moments that begin at 0, after so many steps: 1 / (1 - beta^steps). Of
// the betas as steps take them, in float32: else beta2 near 1 would make each step too short.
struct Correction {
    float first = 1, second = 1;
};
Correction correction_of(const OptimiserSpec& spec, double steps);

// One step: parameters and state change; the gradient too (it is clipped in place).
void optimise(std::span<float> parameters, std::span<float> gradient, OptimiserState& state,
              const OptimiserSpec& spec, double rate);

}  // namespace gossamer::training
