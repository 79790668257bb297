// The round engine's end, and evaluation: the final model goes to all, they evaluate it, and the
// run is over when everyone has it, or was given up.
#include <fmt/format.h>

#include "protocol/federated/round_engine.hpp"

namespace gossamer::federated {

using message::MemberState;

void RoundEngine::finish(job::Turn& turn, const std::string& reason, bool reached,
                         std::optional<Error> error) {
    if (phase_ == Phase::finishing || phase_ == Phase::finished) return;
    if (error) turn.notice(message::Warning{std::move(*error)});
    for (auto& [peer, slot] : slots_) {
        refuse_offer(turn, peer, slot, job::RefuseReason::stopping);
        if (slot.stage() != Stage::excluded && phase_ == Phase::collecting && clients_[peer].here)
            turn.send(peer,
                      message::RoundClosed{run_, plan_->round, ErrorCode::kRunFinished, reason});
    }
    for (const auto& [id, peer] : adding_) abandoned_.insert(id);
    adding_.clear(), queue_.clear(), slots_.clear();
    sum_ = {};
    plan_.reset();
    phase_ = Phase::finishing;
    run_stage_ = RunStage::finishing;
    reason_ = cut_text(reason, kReasonMost), reached_ = reached;
    if (initial_job_ || identity_ == Digest256{}) {  // there is no model to hand out
        if (identify_job_) abandoned_.insert(*identify_job_), identify_job_.reset();
        final_begun_ = final_written_ = true;
        return;
    }
    for (auto& [peer, client] : clients_) {
        if (client.state == MemberState::dead || client.state == MemberState::left) continue;
        if (client.here) {
            serve_final(turn, peer);
        } else if (client.sample_count > 0) {  // it was here and may come back
            auto& slot = slots_[peer];
            slot.since = turn.now;
            slots_.limit(slot, turn.now + setup_.config.rejoin_wait);
        }
    }
    if (!final_begun_ && !checkpoint_job_) start_checkpoint(turn, true, true);
    if (evaluated_ != completed_ && !evaluate_job_) start_evaluation(turn, model_, completed_);
}

void RoundEngine::serve_final(job::Turn& turn, const PeerId& peer) {
    auto& client = clients_[peer];
    auto& slot = slots_[peer];
    message::RoundStart start;
    start.run = run_, start.round = completed_ + 1, start.base = identity_;
    start.train = false, start.evaluate = true;
    auto patience = limit_of(client, kReceive) + limit_of(client, kWork);
    start.patience_ns = patience.count();
    turn.send(peer, start);
    auto& copy = client.copy.made();
    bool has_copy = copy.round == completed_ + 1 && copy.there;
    slots_.move(slot, has_copy ? Stage::working : Stage::receiving);
    slot.since = turn.now;
    slots_.limit(slot, turn.now + limit_of(client, has_copy ? kWork : kReceive));
    if (copy.round != completed_ + 1 || !(copy.sending || copy.there))
        send_copy(turn, peer, client);
}

void RoundEngine::try_finish(job::Turn& turn) {
    if (slots_.outstanding() > 0 || !final_written_ || evaluate_job_ || checkpoint_job_) return;
    publish_reports(turn, completed_);
    for (const auto& [peer, client] : clients_)
        if (client.here)
            turn.send(peer, message::RunFinished{run_, completed_, identity_, reason_, reached_});
    turn.notice(message::RunEnded{completed_, reason_, reached_});
    phase_ = Phase::finished;
    run_stage_ = RunStage::done;
    slots_.clear();
    if (model_.exists() && identity_ != Digest256{}) start_checkpoint(turn, false, false);
}

void RoundEngine::on_evaluated(job::Turn& turn, const Result<job::JobDone>& done) {
    evaluated_ = evaluating_;
    constexpr auto kUnknown = std::numeric_limits<double>::quiet_NaN();
    auto accuracy = kUnknown, loss = kUnknown;
    if (done) {
        const auto& result = std::get<job::EvaluateDone>(*done);
        own_test_data_ = result.sample_count > 0;  // a user's trainer tells only now
        if (!own_test_data_) return;
        loss_ = loss = result.loss, accuracy_ = accuracy = result.accuracy;
        turn.notice(message::Evaluated{evaluating_, "central", result.loss, result.accuracy,
                                       result.sample_count});
    } else {
        turn.notice(message::Warning{done.error()});
    }
    // The rule of a run that was given up is gone on with by its next life.
    if ((phase_ != Phase::finishing && phase_ != Phase::finished) || !reached_)
        stop_.on_evaluation(evaluating_, accuracy, loss);
}

void RoundEngine::on_report(job::Turn& turn, const PeerId& from,
                            const message::EvaluationReport& report) {
    auto* slot = slots_.find(from);
    if (report.round != completed_ || !slot) return;
    if (phase_ == Phase::collecting) {
        reports_[from] = report;
    } else if (phase_ == Phase::finishing && slot->stage() < Stage::counted) {
        reports_[from] = report;
        if (slot->stage() == Stage::receiving) copy_delivered(turn, from);
        slots_.move(*slot, Stage::counted);
        slots_.limit(*slot, Instant::never());
    }
}

// The clients' mean, weighted by their test samples, summed in PeerId order; of the accuracy among
// those who have one, for a task without right answers knows none.
void RoundEngine::publish_reports(job::Turn& turn, std::uint64_t round) {
    double loss = 0, accuracy = 0, total = 0, judged = 0;
    std::uint64_t samples = 0;
    for (const auto& [peer, report] : reports_) {
        auto weight = static_cast<double>(report.sample_count);
        if (report.sample_count == 0 || report.accuracy < 0 || report.accuracy > 1 ||
            !std::isfinite(report.loss))
            continue;
        if (!std::isnan(report.accuracy)) accuracy += weight * report.accuracy, judged += weight;
        loss += weight * report.loss, total += weight, samples += report.sample_count;
    }
    reports_.clear();
    if (samples == 0) return;
    loss /= total, accuracy /= judged;  // NaN when nobody has one
    turn.notice(message::Evaluated{round, "clients", loss, accuracy, samples});
    if (own_test_data_) return;
    loss_ = loss, accuracy_ = accuracy;
    evaluated_ = round;
    if (phase_ == Phase::collecting) stop_.on_evaluation(round, accuracy_, loss_);
}

}  // namespace gossamer::federated
