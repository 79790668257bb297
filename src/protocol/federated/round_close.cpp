// The round engine between rounds: plan, persist, distribute; close, aggregate, seal, commit.
#include <algorithm>

#include <fmt/format.h>

#include "gossamer/base/assert.hpp"
#include "protocol/federated/aggregate_job.hpp"
#include "protocol/federated/round_engine.hpp"

namespace gossamer::federated {

namespace {
constexpr std::uint64_t kCommitsKept = 64;  // rounds
}

// ---- plan ---------------------------------------------------------------------------------------

std::size_t RoundEngine::peers_needed() const {
    auto least = static_cast<std::size_t>(setup_.config.clients_min);
    return completed_ == 0 ? std::max(least, static_cast<std::size_t>(setup_.run.peers)) : least;
}

void RoundEngine::wait_for_peers(job::Turn& turn) {
    phase_ = Phase::waiting;
    waiting_since_ = turn.now;
    told_.reset();
}

void RoundEngine::try_begin(job::Turn& turn) {
    auto here = trainable_;
    // A run that lost peers in its first round does not need all of them again.
    auto needed = failures_ == 0 ? peers_needed() : std::size_t{setup_.config.clients_min};
    if (here < std::max<std::size_t>(needed, 1)) {
        // Each time in a small fleet; of thousands nobody wants to read of each, with the names of
        // all who are missing.
        const auto step = std::max<std::size_t>(needed / 64, 1);
        if (told_ && (here > *told_ ? here - *told_ : *told_ - here) < step) return;
        told_ = here;
        auto waiting = status(turn.now).waiting;
        GOSSAMER_ASSERT(!waiting.empty(), "a waiting engine knows for what");
        return turn.notice(std::move(waiting.front()));
    }
    auto plan = make_plan(turn, failures_);
    if (!plan) return finish(turn, plan.error().what, false, plan.error());
    plan_ = std::move(*plan);
    plan_->base = identity_;
    phase_ = Phase::persisting;
    start_checkpoint(turn, false, false);
}

// The sum's fixed point must hold the heaviest update, so a weight far above the others' would
// round theirs away, whether its update comes or not.
void RoundEngine::leave_out_heavy(job::Turn& turn, std::vector<Invited>& cohort) {
    if (cohort.empty()) return;
    std::vector<float> weights;
    for (const auto& [peer, weight] : cohort) weights.push_back(weight);
    const auto middle = weights.begin() + static_cast<std::ptrdiff_t>((weights.size() - 1) / 2);
    std::nth_element(weights.begin(), middle, weights.end());
    const float most = *middle * kWeightRatioMax;
    std::erase_if(cohort, [&](const Invited& one) {
        if (one.weight <= most) return false;
        if (heavy_.insert(one.peer).second)  // said once
            turn.notice(message::Warning{
                {ErrorCode::kUpdateTooLarge,
                 fmt::format("{} says it has {:.6g} samples, half of the others at most {:.6g}; "
                             "it takes no part, for its weight would round theirs away",
                             one.peer.short_string(), one.weight, *middle),
                 "Look at its data; it counts again when it joins with fewer."}});
        return true;
    });
}

Result<RoundPlan> RoundEngine::make_plan(job::Turn& turn, std::uint32_t attempt) {
    auto here = candidates();
    const auto& config = setup_.config;
    Selection selection{
        completed_ + 1,       turn.seed, attempt, here, config.fraction, config.clients_min,
        config.over_provision};
    auto cohort = setup_.strategy->select(selection);
    RoundPlan plan;
    plan.round = completed_ + 1, plan.attempt = attempt;
    std::sort(cohort.peers.begin(), cohort.peers.end());
    for (const auto& candidate : here) {  // a user's rule may name anybody: keep who is here
        if (!std::binary_search(cohort.peers.begin(), cohort.peers.end(), candidate.peer)) continue;
        plan.cohort.push_back({candidate.peer, static_cast<float>(candidate.sample_count)});
    }
    leave_out_heavy(turn, plan.cohort);
    float largest = 0;
    double total = 0;
    for (const auto& [peer, weight] : plan.cohort)
        largest = std::max(largest, weight), total += weight;
    if (plan.cohort.empty())
        return fail(ErrorCode::kNoPeers, "the strategy selected no client that is here");
    plan.wanted = std::clamp<std::uint64_t>(cohort.wanted, 1, plan.cohort.size());
    auto exact = config.quorum * static_cast<double>(plan.wanted);
    auto quorum = static_cast<std::uint64_t>(exact);
    if (exact - static_cast<double>(quorum) > 1e-9) ++quorum;
    plan.quorum = std::clamp<std::uint64_t>(quorum, 1, plan.wanted);
    plan.scale = tensor::ExactScale::choose(largest, total, config.value_bound);
    auto set_bytes = plan.cohort.size() * setup_.codec->bytes_max(setup_.layout->parameter_count());
    if (setup_.strategy->traits().needs_set && set_bytes > config.set_memory_bytes)
        return fail(ErrorCode::kConfigConflict,
                    fmt::format("strategy {} needs all {} updates of a round at once, {}, but "
                                "federated.set_memory is {}",
                                setup_.strategy->traits().name, plan.cohort.size(),
                                format_bytes(static_cast<std::int64_t>(set_bytes)),
                                format_bytes(static_cast<std::int64_t>(config.set_memory_bytes))),
                    "Raise federated.set_memory, or lower federated.fraction.");
    return plan;
}

void RoundEngine::distribute(job::Turn& turn) {
    phase_ = Phase::collecting;
    slots_.clear(), queue_.clear(), reports_.clear();
    sum_ = job::Sum::fresh(setup_.layout->parameter_count());
    refused_ = 0, received_bytes_ = 0;
    round_begun_ = turn.now;
    for (const auto& invited : plan_->cohort) {
        auto& slot = slots_[invited.peer];
        slot.weight = invited.weight;
        slot.since = turn.now;
        slots_.limit(slot, turn.now + setup_.config.rejoin_wait);
        auto& client = clients_[invited.peer];
        if (client.here) {
            start_client(turn, invited.peer, slot);
        } else if (client.state == message::MemberState::dead ||
                   client.state == message::MemberState::left) {
            exclude(turn, invited.peer, slot, ErrorCode::kUpdateStale, "it is gone");
        }
    }
}

// ---- close --------------------------------------------------------------------------------------

void RoundEngine::try_close(job::Turn& turn) {
    auto counted = slots_.count(Stage::counted), adding = slots_.count(Stage::adding);
    if (adding > 0 || (counted < plan_->wanted && slots_.outstanding() > 0)) return;
    if (counted < plan_->quorum) return repeat_round(turn);
    publish_reports(turn, completed_);
    if (evaluate_job_) return;  // of the model this round started from: the run may stop with it
    if (stop_.reason()) return finish(turn, *stop_.reason(), true);
    aggregate(turn);
}

void RoundEngine::refuse_queue(job::Turn& turn, job::RefuseReason why) {
    for (const auto& peer : queue_) turn.refuse(peer, slots_.at(peer).offer, why);
    queue_.clear();
}

void RoundEngine::repeat_round(job::Turn& turn) {
    refuse_queue(turn, job::RefuseReason::early);
    ++failures_;
    Error error{
        ErrorCode::kQuorum,
        fmt::format("round {} has {} of the {} updates it needs (attempt {} of {})", plan_->round,
                    slots_.count(Stage::counted), plan_->quorum, failures_, setup_.config.attempts),
        {}};
    std::size_t untold = 0;
    for (const auto& [peer, slot] : slots_) {
        if (slot.stage() != Stage::excluded) continue;
        const auto why = "; " + peer.short_string() + ": " + slot.why;
        if (untold == 0 && error.what.size() + why.size() < kReasonMost - 64)
            error.what += why;
        else
            ++untold;
    }
    if (untold > 0) error.what += fmt::format("; and {} more", untold);
    turn.notice(message::Warning{error});
    if (failures_ >= setup_.config.attempts) return finish(turn, error.what, false, error);
    slots_.clear();
    plan_.reset();
    sum_ = {};
    wait_for_peers(turn);
    try_begin(turn);
}

void RoundEngine::aggregate(job::Turn& turn) {
    phase_ = Phase::aggregating;
    AggregateRequest request{plan_->round, setup_.strategy, setup_.codec, plan_->scale};
    double loss = 0, weights = 0;
    for (auto& [peer, slot] : slots_) {
        if (slot.stage() == Stage::counted) {
            request.accepted.push_back({peer, slot.weight, std::move(slot.payload)});
            loss += slot.weight * slot.loss, weights += slot.weight;
        } else if (slot.stage() != Stage::excluded) {
            late_ += slot.stage() == Stage::asking;
            refuse_offer(turn, peer, slot, job::RefuseReason::stale);
            if (clients_[peer].here)
                turn.send(peer, message::RoundClosed{run_, plan_->round, ErrorCode::kUpdateStale,
                                                     fmt::format("the round had the {} updates it "
                                                                 "wanted",
                                                                 plan_->wanted)});
        }
    }
    queue_.clear();
    round_loss_ = loss / weights;
    next_ = tensor::Model::promise(setup_.layout);
    request.sum = std::exchange(sum_, {});
    request.current = model_, request.next = next_, request.state = state_;
    aggregate_job_ = turn.start(aggregate_job(std::move(request)), job::JobClass::normal);
    identify_job_ = turn.start(job::IdentifyJob{next_}, job::JobClass::normal);
    auto every = setup_.config.evaluate_every;
    bool last = setup_.run.rounds != 0 && plan_->round >= setup_.run.rounds;
    if (last || (every != 0 && plan_->round % every == 0))
        start_evaluation(turn, next_, plan_->round);
}

// ---- seal ---------------------------------------------------------------------------------------

void RoundEngine::on_aggregated(job::Turn& turn, Result<job::JobDone> done) {
    if (!done) {
        for (auto* job : {&identify_job_, &evaluate_job_})
            if (*job) abandoned_.insert(**job), job->reset();
        next_ = {};
        auto error = done.error();
        return finish(turn, "the strategy failed: " + error.to_string(), false, error);
    }
    state_ = std::move(std::get<job::ComputeDone>(*done).state);
    model_ = std::exchange(next_, {});
    completed_ = plan_->round;
    accepted_.clear();
    for (const auto& [peer, slot] : slots_) {
        if (slot.stage() != Stage::counted) continue;
        accepted_.push_back(peer);
        uncommitted_[peer] = completed_;
    }
    std::erase_if(uncommitted_, [&](const auto& owed) {  // they are not coming back to it
        return owed.second + kCommitsKept < completed_;
    });
    failures_ = 0;
    phase_ = Phase::sealing;
    plan_.reset();
    stop_.on_round(completed_);
    stop_.on_time(turn.now);
    auto here = trainable_;
    if (stop_.reason() || here < std::max<std::size_t>(peers_needed(), 1)) return;
    if (auto plan = make_plan(turn, 0)) {
        plan_ = std::move(*plan);
        // The model travels while it is hashed and written; RoundStart follows when it is on disk.
        for (const auto& invited : plan_->cohort)
            send_copy(turn, invited.peer, clients_[invited.peer]);
    }
}

void RoundEngine::on_identified(job::Turn& turn, const Digest256& identity) {
    identity_ = identity;
    if (plan_) plan_->base = identity;
    bool last = phase_ == Phase::sealing && stop_.reason();
    if (last) {
        run_stage_ = RunStage::finishing;
        reason_ = *stop_.reason(), reached_ = true;
        plan_.reset();
    }
    start_checkpoint(turn, true, last);
}

void RoundEngine::on_checkpoint(job::Turn& turn, const Result<job::JobDone>& done) {
    if (done) {
        const auto& path = std::get<job::CheckpointDone>(*done).path;
        bool with_model = phase_ == Phase::initial || phase_ == Phase::sealing ||
                          (phase_ == Phase::finishing && final_begun_);
        if (with_model && !path.empty()) turn.notice(message::CheckpointWritten{completed_, path});
    } else {
        // The run goes on; the last good checkpoint stays what a restart would begin from.
        turn.notice(message::Warning{done.error()});
    }
    switch (phase_) {
        case Phase::initial: return wait_for_peers(turn);
        case Phase::persisting: return distribute(turn);
        case Phase::sealing: return commit(turn);
        case Phase::finishing:
            if (final_begun_) {
                final_written_ = true;
            } else {
                start_checkpoint(turn, true, true);
            }
            return;
        default: return;
    }
}

void RoundEngine::commit(job::Turn& turn) {
    for (const auto& peer : accepted_)
        if (clients_[peer].here) turn.send(peer, message::Commit{run_, completed_});
    turn.notice(message::RoundFinished{completed_, round_loss_, accepted_, late_, refused_,
                                       received_bytes_, turn.now - round_begun_, identity_});
    late_ = 0;
    slots_.clear();
    if (stop_.reason()) {
        final_written_ = final_begun_;
        finish(turn, *stop_.reason(), true);
    } else if (plan_) {
        distribute(turn);
    } else {
        wait_for_peers(turn);
    }
}

}  // namespace gossamer::federated
