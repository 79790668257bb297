#include "gossamer/training/optimiser.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/model/maths/maths.hpp"

namespace gossamer::training {
namespace {

using model::maths::Index;

constexpr std::uint32_t kStateMagic = 0x31534f47;  // "GOS1"

tensor::Buffer zeros(std::size_t count, tensor::BufferPool& pool) {
    auto buffer = pool.take_floats(count);
    std::ranges::fill(buffer.floats(), 0.0f);
    return buffer;
}
tensor::Buffer copy(const tensor::Buffer& from, tensor::BufferPool& pool) {
    auto buffer = pool.take(from.size_bytes());
    std::memcpy(buffer.bytes().data(), from.bytes().data(), from.size_bytes());
    return buffer;
}

// What saved bytes say; nothing when they are no optimiser's.
std::optional<OptimiserKind> kind_of(ByteView saved) {
    ByteReader in(saved);
    const auto magic = in.get<std::uint32_t>();
    const auto kind = in.get<OptimiserKind>();
    if (!in.ok() || magic != kStateMagic) return {};
    return kind;
}

}  // namespace

double ScheduleSpec::at(std::uint64_t step) const {
    if (step < warmup) return rate * static_cast<double>(step + 1) / static_cast<double>(warmup);
    const auto t = static_cast<double>(step - warmup);
    const auto span = static_cast<double>(std::max<std::uint64_t>(length, 1));
    switch (kind) {
        case ScheduleKind::constant: return rate;
        case ScheduleKind::step: return rate * std::pow(factor, std::floor(t / span));
        case ScheduleKind::cosine: {
            const double way = std::min(t / span, 1.0);
            return rate * (factor + (1 - factor) * 0.5 * (1 + std::cos(std::numbers::pi * way)));
        }
        case ScheduleKind::inverse: return rate / (1 + t / span);
    }
    return rate;
}

Bytes OptimiserState::save() const {
    ByteWriter out;
    out.put(kStateMagic);
    out.put(kind);
    out.put(steps);
    for (const auto* buffer : {&first, &second}) {
        out.put(static_cast<std::uint64_t>(buffer->size_bytes()));
        out.put_bytes(buffer->bytes());
    }
    return out.take();
}

Result<std::shared_ptr<OptimiserState>> OptimiserState::load(ByteView saved, OptimiserKind kind,
                                                             std::size_t parameter_count,
                                                             tensor::BufferPool& pool) {
    ByteReader in(saved);
    auto state = std::make_shared<OptimiserState>();
    const auto magic = in.get<std::uint32_t>();
    state->kind = in.get<OptimiserKind>();
    state->steps = in.get<std::uint64_t>();
    if (!in.ok() || magic != kStateMagic || state->kind != kind)
        return fail(ErrorCode::kCheckpointFormat,
                    "the optimiser's state is not of the optimiser configured");
    for (auto* buffer : {&state->first, &state->second}) {
        const auto size = in.get<std::uint64_t>();
        if (!in.ok() || size > in.left() || (size != 0 && size != parameter_count * sizeof(float)))
            return fail(ErrorCode::kCheckpointFormat,
                        "the optimiser's state is of another model, or cut short");
        if (size == 0) continue;
        *buffer = pool.take(static_cast<std::size_t>(size));
        const auto part = in.get_bytes(static_cast<std::size_t>(size));
        std::memcpy(buffer->bytes().data(), part.data(), part.size());
        if (!tensor::all_finite(std::as_const(*buffer).floats()))
            return fail(ErrorCode::kCheckpointFormat, "the optimiser's state is not finite");
    }
    if (!in.at_end())
        return fail(ErrorCode::kCheckpointFormat, "bytes follow the optimiser's state");
    return state;
}

Result<std::shared_ptr<OptimiserState>> OptimiserState::after(const tensor::StateValue* before,
                                                              const OptimiserSpec& spec,
                                                              std::size_t count,
                                                              tensor::BufferPool& pool) {
    const auto* old = dynamic_cast<const OptimiserState*>(before);
    std::shared_ptr<OptimiserState> state;
    const auto saved = before && !old ? before->save() : Bytes();
    if (before && !old && kind_of(saved).value_or(spec.kind) == spec.kind) {
        GOSSAMER_TRY(state, load(saved, spec.kind, count, pool));
    } else {
        state = std::make_shared<OptimiserState>();
        state->kind = spec.kind;
        if (old && old->kind == spec.kind) {
            state->steps = old->steps;
            if (old->first.size_bytes() == count * sizeof(float))
                state->first = copy(old->first, pool);
            if (old->second.size_bytes() == count * sizeof(float))
                state->second = copy(old->second, pool);
        }
    }
    const bool adam = spec.kind != OptimiserKind::sgd;
    if ((adam || spec.momentum != 0) && state->first.empty()) state->first = zeros(count, pool);
    if (adam && state->second.empty()) state->second = zeros(count, pool);
    return state;
}

Correction correction_of(const OptimiserSpec& spec, double steps) {
    const auto of = [steps](double beta) {
        return static_cast<float>(1 / (1 - std::pow(double(static_cast<float>(beta)), steps)));
    };
    return {of(spec.beta1), of(spec.beta2)};
}

void optimise(std::span<float> parameters, std::span<float> gradient, OptimiserState& state,
              const OptimiserSpec& spec, double rate) {
    namespace maths = model::maths;
    GOSSAMER_ASSERT(parameters.size() == gradient.size(), "one gradient a parameter");
    const auto n = static_cast<Index>(parameters.size());
    float* w = parameters.data();
    float* g = gradient.data();
    if (spec.clip_norm > 0) {
        const double norm = std::sqrt(tensor::squared_norm(gradient));
        if (norm > spec.clip_norm) maths::scale(g, n, static_cast<float>(spec.clip_norm / norm));
    }
    ++state.steps;
    const auto rate_f = static_cast<float>(rate), decay = static_cast<float>(spec.weight_decay);
    if (spec.plain()) return maths::sgd_step(w, g, n, rate_f, decay);
    GOSSAMER_ASSERT(state.first.size_bytes() == parameters.size_bytes(), "a state for this model");
    float* first = state.first.floats().data();
    if (spec.kind == OptimiserKind::sgd)
        return maths::momentum_step(w, first, g, n,
                                    {.rate = rate_f,
                                     .momentum = static_cast<float>(spec.momentum),
                                     .decay = decay,
                                     .nesterov = spec.nesterov});
    GOSSAMER_ASSERT(state.second.size_bytes() == parameters.size_bytes(), "a state for this model");
    const auto correction = correction_of(spec, static_cast<double>(state.steps));
    maths::adam_step(w, first, state.second.floats().data(), g, n,
                     {.rate = rate_f,
                      .beta1 = static_cast<float>(spec.beta1),
                      .beta2 = static_cast<float>(spec.beta2),
                      .epsilon = static_cast<float>(spec.epsilon),
                      .decay = decay,
                      .correction1 = correction.first,
                      .correction2 = correction.second,
                      .decoupled = spec.kind == OptimiserKind::adamw});
}

}  // namespace gossamer::training
