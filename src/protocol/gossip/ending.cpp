// Evaluation, checkpoints, and how a run ends.
#include <algorithm>
#include <limits>

#include "protocol/gossip/gossip.hpp"

namespace gossamer::gossip {

namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::size_t kRosterMax = 1'000'000;
// Between the step at which a rule fires and the one at which all stop: time for the news.
constexpr std::uint64_t kNoticeSteps = 2;

}  // namespace

void Gossip::after_step(job::Turn& turn) {
    if (!averaging_) {
        const auto& config = setup_->config;
        if (config.evaluate_every && done_ % config.evaluate_every == 0) evaluate(turn, false);
        if (config.checkpoint_every && done_ % config.checkpoint_every == 0)
            checkpoint(turn, false);
    }
    go_on(turn);
}

// ---- evaluation and checkpoints -----------------------------------------------------------------

void Gossip::evaluate(job::Turn& turn, bool last) {
    if (!last && running(Work::evaluate)) return;  // the machine is slower than the steps
    auto id = start(turn, Work::evaluate, job::EvaluateJob{model_, job::EvaluationSet::test},
                    job::JobClass::normal);
    evaluations_[id] = done_;
}

void Gossip::on_evaluated(job::Turn& turn, job::JobId id, Result<job::JobDone> done) {
    auto of = evaluations_.extract(id);
    if (of.empty()) return;
    const auto round = of.mapped();
    const auto* e = done ? std::get_if<job::EvaluateDone>(&*done) : nullptr;
    if (e && e->sample_count > 0) {
        accuracy_ = e->accuracy;
        turn.notice(message::Evaluated{round, "local", e->loss, e->accuracy, e->sample_count});
        if (stage_ < Stage::closing) {
            rule_.on_evaluation(round, e->accuracy, e->loss);
            check_rule(turn);
        }
    } else if (!done && !evaluation_failed_) {
        evaluation_failed_ = true;  // said once
        turn.notice(message::Warning{done.error()});
    }
    if (stage_ == Stage::closing && evaluations_.empty()) checkpoint(turn, true);
}

void Gossip::checkpoint(job::Turn& turn, bool last) {
    if (!last && !stopping_ && running(Work::checkpoint)) return;
    job::CheckpointJob job;
    job.round = done_;
    job.model = model_;
    job.record = record(turn.now);
    if (optimiser_) job.states.push_back({"optimiser", optimiser_});
    if (state_) job.states.push_back({"algorithm", state_});
    job.score = accuracy_.value_or(std::numeric_limits<double>::quiet_NaN());
    job.final_ = last;
    auto id = start(turn, Work::checkpoint, std::move(job), job::JobClass::background);
    checkpoints_[id] = done_;
}

void Gossip::on_checkpoint(job::Turn& turn, job::JobId id, Result<job::JobDone> done) {
    const auto of = checkpoints_.extract(id);
    if (done) {
        const auto& path = std::get<job::CheckpointDone>(*done).path;
        if (!path.empty()) turn.notice(message::CheckpointWritten{of.mapped(), path});
    } else {
        turn.notice(message::Warning{done.error()});  // the run goes on
    }
    if (stage_ != Stage::closing || running(Work::checkpoint)) return;
    if (running(Work::evaluate) && !stopping_) return;
    turn.notice(message::RunEnded{done_, reason_, true});
    if (stopping_) {  // nobody is served any more
        stage_ = Stage::over;
        return;
    }
    stage_ = Stage::lingering;
    since_ = turn.now;
    timer(Timer::linger) = turn.now + patience_.cap();
    announce(turn);
}

Bytes Gossip::record(Instant now) const {
    ByteWriter out;
    out.put(kRecordVersion);
    out.put(roster_->epoch);
    const bool settled = setup_->roster != nullptr;  // then it need not be remembered
    out.put(settled ? 0u : static_cast<std::uint32_t>(roster_->size()));
    if (!settled)
        for (const auto& id : roster_->members) out.put(id.bytes);
    out.put(stop_);
    out.put_blob(rule_.save(now));
    return out.take();
}

void Gossip::restore(job::Turn& turn) {
    auto restored = std::move(*restored_);
    restored_.reset();
    ByteReader in(restored.record);
    bool known = in.get<std::uint8_t>() == kRecordVersion;
    topology::Roster roster;
    roster.epoch = in.get<std::uint64_t>();
    auto count = in.get<std::uint32_t>();
    known = known && count <= kRosterMax && in.left() >= count * sizeof(PeerId);
    for (std::uint32_t i = 0; known && i < count; ++i)
        roster.members.push_back({in.get<std::array<std::byte, 32>>()});
    auto stop = in.get<std::uint64_t>();
    auto rule = in.get_blob(64);
    bool fits = restored.model.filled() && *restored.model.layout() == *setup_->layout;
    if (!known || !in.at_end() || !fits || !rule_.load(rule)) {
        turn.notice(message::Warning{{ErrorCode::kCheckpointFormat,
                                      "the checkpoint of step " + std::to_string(restored.round) +
                                          " is not of this run; it was left aside",
                                      {}}});
        return;
    }
    model_ = std::move(restored.model);
    done_ = restored.round;
    stop_ = stop;
    if (!setup_->roster)
        roster_ = std::make_shared<const topology::Roster>(
            topology::Roster::of(roster.epoch, std::move(roster.members)));
    for (auto& [name, bytes] : restored.states) {
        if (name == "optimiser") optimiser_ = std::make_shared<job::SavedState>(std::move(bytes));
        if (name != "algorithm") continue;
        if (auto state = setup_->algorithm->load_state(bytes)) {
            state_ = std::move(*state);
        } else {
            turn.notice(message::Warning{std::move(state).error()});
        }
    }
}

// ---- the end ------------------------------------------------------------------------------------

void Gossip::check_rule(job::Turn& turn) {
    if (!rule_.reason() || stop_ != 0 || averaging_ || stage_ >= Stage::ending) return;
    auto furthest = done_;
    for (const auto& [id, view] : peers_)
        if (view.linked) furthest = std::max(furthest, view.progress.round);
    auto step = std::min(setup_->run.rounds, furthest + kNoticeSteps);
    if (step >= setup_->run.rounds) return;  // it ends there anyway
    stop_ = step;
    reason_ = *rule_.reason();
    announce(turn);
}

void Gossip::hear_stop(job::Turn& turn, const PeerId& from, std::uint64_t step) {
    if (step == 0 || stage_ >= Stage::closing) return;
    if (averaging_) {  // too late to train again; but average to the same last step
        auto later = std::min(setup_->run.rounds, step);
        if (later > last_step()) averaging_end_ += later - last_step(), stop_ = later;
        return;
    }
    auto least = stage_ == Stage::working ? step_.number : done_;  // what is begun is finished
    auto wish = std::min(setup_->run.rounds, std::max(step, least));
    bool news = stop_ == 0 ? wish < setup_->run.rounds : wish > stop_;
    if (!news) return;
    stop_ = wish;
    if (reason_.empty()) reason_ = from.short_string() + " found the run to be over";
    announce(turn);
    if (stage_ == Stage::ending && done_ < stop_) {
        timer(Timer::ending) = Instant::never();
        begin_step(turn);
    }
}

std::vector<PeerId> Gossip::behind(std::uint64_t step) const {
    std::vector<PeerId> out;
    for (const auto& [id, view] : peers_) {
        if (!view.linked || view.state != message::MemberState::alive) continue;
        if (view.progress.round < step && roster_->place_of(id)) out.push_back(id);
    }
    return out;
}

void Gossip::try_average(job::Turn& turn) {
    if (stage_ != Stage::ending) return;
    auto whom = behind(last_step());
    if (whom.empty()) return start_averaging(turn);
    wait_aloud(turn, "peers to reach step " + std::to_string(last_step()), std::move(whom), since_,
               timer(Timer::ending));
}

void Gossip::start_averaging(job::Turn& turn) {
    timer(Timer::ending) = timer(Timer::wall) = Instant::never();
    averaging_ = true;
    averaging_end_ = last_step() + setup_->config.final_averaging_steps;
    go_on(turn);
}

void Gossip::close(job::Turn& turn) {
    stage_ = Stage::closing;
    timer(Timer::step) = timer(Timer::speak) = Instant::never();
    rule_.on_round(last_step());
    if (reason_.empty())
        reason_ =
            done_ >= setup_->run.rounds && rule_.reason() ? *rule_.reason() : "the run is over";
    announce(turn);
    evaluate(turn, true);
}

void Gossip::try_leave(job::Turn& turn) {
    if (stage_ != Stage::lingering || !outbox_.empty()) return;
    for (const auto& [id, view] : peers_) {
        if (view.linked && view.state == message::MemberState::alive &&
            view.progress.phase != message::Phase::finished && roster_->place_of(id))
            return wait_aloud(turn, "peers that have not finished", {id}, since_,
                              timer(Timer::linger));
    }
    leave(turn);
}

void Gossip::leave(job::Turn& turn) {
    for (const auto& id : outbox_.receivers()) outbox_.withdraw_to(turn, id);
    timers_.fill(Instant::never());
    stage_ = Stage::over;
}

}  // namespace gossamer::gossip
