// What the star world computes: the jobs, the disk, and the closed form of a round.
#include <algorithm>

#include <doctest/doctest.h>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/tensor/exact_sum.hpp"
#include "gossamer/tensor/identity.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "star_world.hpp"

namespace gossamer::federated::testing {

using namespace std::chrono_literals;

std::vector<float> trained_by(std::size_t client, std::uint64_t round,
                              std::span<const float> start) {
    auto noise = stream({7}, Purpose::shuffle, round, client);
    std::vector<float> out(start.begin(), start.end());
    for (std::size_t i = 0; i < out.size(); ++i) {
        auto target = static_cast<float>((client + i) % 5);
        out[i] += 0.3F * (target - out[i]) + 0.01F * static_cast<float>(noise.uniform());
    }
    return out;
}

namespace {

struct LeftOf final : tensor::StateValue {  // stands for what a round's update left unsent
    explicit LeftOf(std::uint64_t r) : round(r) {}
    Bytes save() const override { return Bytes(1, std::byte(round)); }
    std::uint64_t round;
};

}  // namespace

void StarWorld::start_job(std::size_t who, job::JobOrder order) {
    auto takes = some(10us, 20ms);
    if (auto* train = std::get_if<job::TrainJob>(&order.job))
        takes = train_time ? train_time(who, train->round) : some(20ms, 400ms);
    if (std::holds_alternative<job::EvaluateJob>(order.job)) takes = some(1ms, 1500ms);
    if (auto* write = std::get_if<job::CheckpointJob>(&order.job); write && who == kAggregator)
        writing_.push_back(*write);
    if (std::holds_alternative<job::AccumulateJob>(order.job))
        staged_most = std::max(staged_most, ++staged_);
    auto shared = std::make_shared<job::JobOrder>(std::move(order));
    at(now + takes, [this, who, life = party(who).life, shared] { try_job(who, life, shared); });
}

void StarWorld::try_job(std::size_t who, std::uint64_t life, std::shared_ptr<job::JobOrder> order) {
    if (party(who).life != life) return;
    bool cancelled = cancelled_.erase({who, order->id.value}) > 0;
    Result<job::JobDone> done = fail(ErrorCode::kCancelled, "cancelled");
    if (!cancelled) {
        auto missing = [](const tensor::Model& m) { return m.exists() && !m.filled(); };
        bool wait = std::visit(
            [&](auto& job) {
                if constexpr (requires { job.start; })
                    return missing(job.start);
                else if constexpr (requires {
                                       job.base;
                                       job.payload;
                                   })
                    return false;
                else if constexpr (requires { job.model; })
                    return missing(job.model);
                else
                    return false;
            },
            order->job);
        if (wait) return parked_.push_back([=, this] { try_job(who, life, order); });
        done = compute(who, order->job);
        for (auto& parked : std::exchange(parked_, {})) at(now + some(10us, 2ms), parked);
    }
    // A job's inputs are gone when it is answered.
    bool added = std::holds_alternative<job::AccumulateJob>(order->job);
    order->job = job::InitialModelJob{};
    if (added) --staged_;
    auto id = order->id;
    turn(who, [&](job::Turn& t) {
        bool mine = who == kAggregator ? engine->on_job_done(t, id, std::move(done), 1ms)
                                       : clients[who]->on_job_done(t, id, std::move(done), 1ms);
        CHECK(mine);
    });
}

Result<job::JobDone> StarWorld::compute(std::size_t who, job::Job& any) {
    auto count = options.parameters;
    auto copy = [&](std::span<const float> from) {
        auto buffer = pool_->take_floats(count);
        std::ranges::copy(from, buffer.floats().begin());
        return buffer;
    };
    auto encode = [&](std::span<const float> weights, std::span<const float> start,
                      std::uint8_t id) {
        std::vector<float> delta(count);
        tensor::subtract(delta, weights, start);
        auto codec = codec::find_codec(id).value();
        auto buffer = pool_->take(codec->bytes_max(count));
        // Non-finite values travel as they are: the aggregator must refuse them.
        if (!codec->encode(buffer.bytes(), delta, {}))
            std::ranges::copy(std::as_bytes(std::span(delta)), buffer.bytes().begin());
        return buffer;
    };
    if (auto* j = std::get_if<job::InitialModelJob>(&any)) {
        auto buffer = pool_->take_floats(count);
        auto draw = stream(options.run.seed, Purpose::model_init);
        for (auto& x : buffer.floats()) x = static_cast<float>(draw.uniform());
        j->out.fill(std::move(buffer));
        return job::InitialModelDone{};
    }
    if (auto* j = std::get_if<job::TrainJob>(&any)) {
        ++train_jobs, trained[who].insert(j->round);
        residual_of[who][j->round] =
            j->residual ? dynamic_cast<const LeftOf&>(*j->residual).round : 0;
        if (training_fails && training_fails(who, j->round))
            return fail(ErrorCode::kTrainingFailed, "the loss is not finite");
        auto weights = trained_by(who, j->round, j->start.values());
        if (tamper) tamper(who, j->round, weights);
        auto encoded = encode(weights, j->start.values(), j->codec);
        const auto size = encoded.size_bytes();
        j->encoded.fill(std::move(encoded));
        return job::TrainDone{.sample_count = 10 * (who + 1),
                              .step_count = 1,
                              .loss = 1.0 / static_cast<double>(j->round),
                              .state = {},
                              .byte_count = size,
                              .residual = std::make_shared<LeftOf>(j->round)};
    }
    if (auto* j = std::get_if<job::EvaluateJob>(&any)) {
        if (who == kAggregator ? !options.aggregator_finds_test_data
                               : !options.clients_have_test_data)
            return job::EvaluateDone{0, 0, 0};
        auto off = tensor::squared_norm(j->model.values()) / static_cast<double>(count);
        return job::EvaluateDone{off, 1 / (1 + 1 / off), 100};
    }
    if (auto* j = std::get_if<job::DecodeJob>(&any)) {
        std::vector<float> values(count);
        auto bytes = j->payload.bytes();
        std::copy(bytes.begin(), bytes.end(), std::as_writable_bytes(std::span(values)).begin());
        j->out.fill(copy(values));
        return job::DecodeDone{};
    }
    if (auto* j = std::get_if<job::AccumulateJob>(&any)) {
        auto& parts = j->sum.parts();
        auto part = parts.lend(*pool_);
        auto added = codec::add_encoded(part.words(), *codec::find_codec(j->codec).value(),
                                        j->update.bytes(), j->weight, j->scale);
        parts.give_back(std::move(part));
        GOSSAMER_CHECK(std::move(added));
        return job::AccumulateDone{};
    }
    if (auto* j = std::get_if<job::ComputeJob>(&any)) {
        j->input.pool = pool_;
        GOSSAMER_TRY(auto out, j->run(j->input));
        for (std::size_t k = 0; k < out.models.size(); ++k) {
            if (j->finite && !tensor::all_finite(std::as_const(out.models[k]).floats()))
                return fail(ErrorCode::kModelNotFinite, j->name + " made a model that is not");
            j->out_models[k].fill(std::move(out.models[k]));
        }
        return job::ComputeDone{out.state, std::move(out.result)};
    }
    if (auto* j = std::get_if<job::IdentifyJob>(&any))
        return job::IdentifyDone{tensor::model_identity(j->model.bytes(), *layout)};
    if (auto* j = std::get_if<job::CheckpointJob>(&any)) {
        if (who == kAggregator) writing_.clear();  // the engine writes one at a time
        if (disk_fails && disk_fails(j->round))
            return fail(ErrorCode::kDiskFull,
                        "no space left for round " + std::to_string(j->round));
        return write(who, *j);
    }
    return fail(ErrorCode::kInternal, "a job this world does not know");
}

job::CheckpointDone StarWorld::write(std::size_t who, job::CheckpointJob& j) {
    if (who != kAggregator) {
        if (j.final_) final_models[who].assign(j.model.values().begin(), j.model.values().end());
        return {"client"};
    }
    ++disk_syncs;
    auto record = load_round_record(j.record);
    REQUIRE(record);
    if (record->plan) plans[record->plan->round] = *record->plan;
    if (!j.model.exists()) {
        disk_.begun = j.record;
        return {"commits"};
    }
    job::Restored kept{j.round, tensor::Model{}, j.identity, j.record, {}};
    auto buffer = pool_->take_floats(options.parameters);
    std::ranges::copy(j.model.values(), buffer.floats().begin());
    kept.model = tensor::Model::of(layout, std::move(buffer));
    for (const auto& state : j.states) kept.states.emplace_back(state.name, state.state->save());
    models[j.round].assign(j.model.values().begin(), j.model.values().end());
    identities[j.round] = j.identity;
    scores[j.round] = j.score;
    disk_.checkpoint = std::move(kept);
    disk_.begun.reset();
    return {"round-" + std::to_string(j.round)};
}

std::vector<float> expected_next(const StarWorld& world, std::uint64_t round) {
    const auto& before = world.models.at(round - 1);
    const auto& plan = world.plans.at(round);
    std::vector<std::int64_t> sum(before.size());
    double total = 0;
    std::vector<float> delta(before.size());
    for (std::size_t k = 0; k < world.clients.size(); ++k) {
        const auto& in = world.accepted.at(round);
        if (std::ranges::find(in, world.id_of(k)) == in.end()) continue;
        auto weight = static_cast<float>(10 * (k + 1));
        tensor::subtract(delta, trained_by(k, round, before), before);
        tensor::exact_add(sum, delta, weight, plan.scale);
        total += weight;
    }
    std::vector<float> next(before.size());
    tensor::exact_decode(next, sum, plan.scale, total);
    tensor::add(next, next, before);
    return next;
}

}  // namespace gossamer::federated::testing
