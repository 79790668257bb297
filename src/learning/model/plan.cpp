#include "gossamer/model/plan.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "learning/model/loss.hpp"
#include "learning/model/stage_run.hpp"

namespace gossamer::model {
namespace {

// Draws of one stage's dropout within a batch.
std::uint64_t draws_of(std::uint64_t batch, std::size_t stage) {
    return batch + 0x9e3779b97f4a7c15u * (stage + 1);
}

}  // namespace

Plan::Arena Plan::lay_out(const Network& network, std::size_t batch_max, bool gradients) {
    Arena arena;
    auto& rooms = arena.rooms;
    std::size_t work = 0, spare = 0;
    auto reserve = [&](std::size_t count) {
        const std::size_t at = arena.floats;
        arena.floats += (count + 15) / 16 * 16;  // 64-byte lines
        return at;
    };
    const auto& stages = network.stages();
    for (std::size_t i = 0; i < stages.size(); ++i) {
        const Stage& s = stages[i];
        Room room;
        auto learns = [&](int stage) {
            return stage >= 0 && rooms[static_cast<std::size_t>(stage)].learns;
        };
        room.learns = s.learns_any() || learns(s.input) || learns(s.source);
        room.output = reserve(batch_max * s.out_count());
        room.kept = reserve(kept_floats(s, batch_max));
        if (gradients) room.delta = reserve(batch_max * s.out_count());
        work = std::max(work, work_floats(s, batch_max, gradients));
        auto written = [&](int to) {  // on the way back later stages come first
            for (std::size_t j = i + 1; j < stages.size(); ++j)
                if (stages[j].input == to || stages[j].source == to) return true;
            return false;
        };
        room.adds_input = written(s.input);
        // Joined with itself, a stage has the way of the input there already.
        room.adds_source = written(s.source) || (s.kind == LayerKind::add && s.source == s.input);
        if (gradients && (room.adds_input || room.adds_source))
            spare = std::max(spare, batch_max * s.in_count());
        rooms.push_back(room);
    }
    arena.scratch = reserve(network.output_count());
    arena.work = reserve(work), arena.spare = reserve(spare);
    return arena;
}

std::uint64_t Plan::bytes(const Network& network, std::size_t batch_max, bool gradients) {
    return std::uint64_t{lay_out(network, batch_max, gradients).floats} * sizeof(float);
}

Plan::Plan(const Network& network, std::size_t batch_max, bool gradients, tensor::BufferPool& pool)
    : network_(network), batch_max_(batch_max), gradients_(gradients) {
    GOSSAMER_ASSERT(batch_max > 0, "a plan needs a batch");
    GOSSAMER_ASSERT(!network.frozen_layout() || network.frozen_values(),
                    "frozen tensors have got their values");
    auto arena = lay_out(network, batch_max, gradients);
    rooms_ = std::move(arena.rooms);
    work_ = arena.work, spare_ = arena.spare, scratch_ = arena.scratch;
    arena_ = pool.take_floats(arena.floats);
}

const float* Plan::output_of(int stage, const Batch& batch) const {
    return stage < 0 ? batch.inputs.data()
                     : arena_.floats().data() + rooms_[static_cast<std::size_t>(stage)].output;
}

void Plan::forward(const float* parameters, const Batch& batch, bool training) {
    GOSSAMER_ASSERT(batch.size > 0 && batch.size <= batch_max_, "batch does not fit the plan");
    GOSSAMER_ASSERT(batch.inputs.size() == batch.size * network_.input_count(),
                    "samples are checked against the network before training");
    float* arena = arena_.floats().data();
    for (std::size_t i = 0; i < rooms_.size(); ++i) {
        const Stage& s = network_.stages()[i];
        run_stage({.s = s,
                   .count = batch.size,
                   .in = output_of(s.input, batch),
                   .shortcut = s.kind == LayerKind::add ? output_of(s.source, batch) : nullptr,
                   .out = arena + rooms_[i].output,
                   .kept = arena + rooms_[i].kept,
                   .work = arena + work_,
                   .values = {parameters, network_.frozen_values()},
                   .training = training,
                   .draws = draws_of(batch.draws, i)});
    }
}

void Plan::backward(const float* parameters, const Batch& batch, const Sink& sink) {
    float* arena = arena_.floats().data();
    auto delta_of = [&](int stage) -> float* {
        return stage < 0 || !rooms_[static_cast<std::size_t>(stage)].learns
                   ? nullptr
                   : arena + rooms_[static_cast<std::size_t>(stage)].delta;
    };
    for (std::size_t i = rooms_.size(); i-- > 0;) {
        const Stage& s = network_.stages()[i];
        const Room& room = rooms_[i];
        if (!room.learns) continue;
        const Index in_floats = index(batch.size * s.in_count());
        float* input = delta_of(s.input);
        float* next = input && room.adds_input ? arena + spare_ : input;
        run_back({.s = s,
                  .count = batch.size,
                  .in = output_of(s.input, batch),
                  .out = arena + room.output,
                  .delta = arena + room.delta,
                  .next = next,
                  .kept = arena + room.kept,
                  .work = arena + work_,
                  .values = {parameters, network_.frozen_values()},
                  .sink = sink,
                  .draws = draws_of(batch.draws, i)});
        if (next != input) maths::add(input, next, in_floats);
        if (s.kind != LayerKind::add) continue;
        float* source = delta_of(s.source);
        if (source && room.adds_source)
            maths::add(source, arena + room.delta, in_floats);
        else if (source)
            std::copy_n(arena + room.delta, in_floats, source);
    }
}

double Plan::learn(const float* parameters, const Batch& batch, const Sink& sink) {
    GOSSAMER_ASSERT(gradients_, "this plan was made for scoring");
    forward(parameters, batch, true);
    float* arena = arena_.floats().data();
    const Score s = loss_of(network_.spec().loss, arena + rooms_.back().output, batch,
                            network_.output_count(), arena + rooms_.back().delta, arena + scratch_);
    backward(parameters, batch, sink);
    return s.counted > 0 ? s.loss_sum / double(s.counted) : 0.0;
}

double Plan::gradient(std::span<const float> parameters, const Batch& batch,
                      std::span<float> gradient) {
    GOSSAMER_ASSERT(gradient.size() == network_.layout()->parameter_count(), "gradient's size");
    return learn(parameters.data(), batch, {.out = gradient.data(), .keep = 0, .scale = 1});
}

double Plan::sgd_step(std::span<float> parameters, const Batch& batch, float rate, float decay) {
    return learn(parameters.data(), batch,
                 {.out = parameters.data(), .keep = 1.0f - rate * decay, .scale = -rate});
}

Score Plan::score(std::span<const float> parameters, const Batch& batch) {
    forward(parameters.data(), batch, false);
    float* arena = arena_.floats().data();
    return loss_of(network_.spec().loss, arena + rooms_.back().output, batch,
                   network_.output_count(), nullptr, arena + scratch_);
}

std::span<const float> Plan::outputs(std::span<const float> parameters, const Batch& batch) {
    forward(parameters.data(), batch, false);
    return {arena_.floats().data() + rooms_.back().output, batch.size * network_.output_count()};
}

std::size_t scoring_batch(const Network& network) {
    constexpr std::size_t kBytes = std::size_t{2} << 20;
    std::size_t floats = network.input_count();
    for (const Stage& s : network.stages())
        floats += s.in_count() + s.out_count() + kept_floats(s, 1) + work_floats(s, 1, false);
    return std::clamp<std::size_t>(kBytes / (floats * sizeof(float)), 8, 512);
}

const char* maths_instruction_set() { return maths::instruction_set(); }

}  // namespace gossamer::model
