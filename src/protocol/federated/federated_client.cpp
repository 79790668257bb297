#include "protocol/federated/federated_client.hpp"

#include <limits>

#include <fmt/format.h>

namespace gossamer::federated {

using job::RefuseReason;
using message::Phase;

namespace {
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
// What an encoded model may be larger than its floats, before anything is allocated for it.
constexpr std::uint64_t kCodecOverhead = 64 * 1024;
}  // namespace

FederatedClient::FederatedClient(ClientSetupRef setup)
    : setup_(std::move(setup)), run_(message::run_id(setup_->run.name)) {}

void FederatedClient::on_start(job::Turn& turn) {
    since_ = turn.now;
    turn.notice(message::RunStarted{setup_->run.name, message::Mode::federated, completed_,
                                    "waits for the aggregator"});
}

void FederatedClient::on_joined(job::Turn& turn, const PeerId& aggregator, const message::Join&) {
    aggregator_ = aggregator;  // RoundStart follows when it needs us
    since_ = turn.now;
}

void FederatedClient::on_link(job::Turn& turn, const PeerId& peer, bool up) {
    if (up || !(aggregator_ == peer)) return;
    aggregator_.reset();
    incoming_.reset();
    order_stands_ = false;
    since_ = turn.now;
    if (update_ && update_->handed == Handed::offered) update_->handed = Handed::no;
    // An aggregator that restarts may make another model of the same round; only what RoundStart
    // named is surely the same.
    if (copy_ && copy_->identity == Digest256{}) copy_.reset();
}

void FederatedClient::on_message(job::Turn& turn, const PeerId& from,
                                 const message::Message& message) {
    // A run that was given up may be gone on with: a round says so.
    const bool again = given_up_ && std::holds_alternative<message::RoundStart>(message);
    if (!(aggregator_ == from) || (phase_ == Phase::finished && !again)) return;
    if (auto* start = std::get_if<message::RoundStart>(&message)) {
        if (start->run == run_) on_round_start(turn, *start);
    } else if (auto* commit = std::get_if<message::Commit>(&message)) {
        if (commit->run == run_) on_commit(*commit);
    } else if (auto* closed = std::get_if<message::RoundClosed>(&message)) {
        if (closed->run == run_) on_closed(turn, *closed);
    } else if (auto* finished = std::get_if<message::RunFinished>(&message)) {
        if (finished->run == run_) on_finished(turn, *finished);
    }
}

void FederatedClient::on_round_start(job::Turn& turn, const message::RoundStart& start) {
    order_ = start, order_stands_ = true;
    since_ = turn.now;
    completed_ = start.round == 0 ? 0 : start.round - 1;
    phase_ = start.train ? Phase::training : Phase::finishing;
    if (update_ && (update_->round != start.round || update_->base != start.base || !start.train))
        drop_update(turn);
    bool trains = work_ && work_->payload.exists();
    if (work_ &&
        (work_->round != start.round || work_->base != start.base || trains != start.train))
        drop_work(turn);
    // A copy that came ahead of its RoundStart is the model named there: the link is ordered in
    // what it announces, and a copy never outlives its link without a name.
    if (copy_ && copy_->round == start.round && copy_->identity == Digest256{})
        copy_->identity = start.base;
    if (copy_ && (copy_->round != start.round || copy_->identity != start.base)) {
        if (copy_->round <= start.round) copy_.reset();
    }
    if (start.train) go_back_to(turn, start.round);
    if (start.evaluate && report_ && report_->round == completed_ && (update_ || work_))
        turn.send(*aggregator_, *report_);  // it may have been lost with the aggregator
    if (update_ && update_->handed != Handed::offered) hand_in(turn);
    try_work(turn);
}

// An aggregator that could not write a round's checkpoint and crashed asks for that round again:
// what its update left then is of a future that was not. One round back is known; a client that was
// away meanwhile, and is asked for a later round, does not know that there was another past.
void FederatedClient::go_back_to(job::Turn& turn, std::uint64_t round) {
    if (!kept_ || kept_->now.round < round) return;
    const bool known = kept_->before && kept_->before->round < round;
    auto before = known ? std::move(*kept_->before) : KeptState{};
    kept_.reset();
    if (before.exists()) kept_ = Kept{std::move(before), std::nullopt};
    if (!known)
        turn.notice(message::Warning{
            {ErrorCode::kUpdateStale,
             fmt::format("the aggregator is back at round {}, more than one before what we keep: "
                         "momentum and what was left unsent begin anew",
                         round),
             {}}});
}

void FederatedClient::on_commit(const message::Commit& commit) {
    if (!update_ || update_->round != commit.round) return;
    KeptState now{commit.round, setup_->config.keep_optimizer ? update_->optimizer : job::State{},
                  update_->residual};
    auto before = kept_ ? std::move(kept_->now) : KeptState{};
    kept_.reset();
    if (now.exists() || before.exists()) kept_ = Kept{std::move(now), std::move(before)};
    completed_ = commit.round;
    update_.reset();
    if (copy_ && copy_->round <= commit.round) copy_.reset();
}

void FederatedClient::on_closed(job::Turn& turn, const message::RoundClosed& closed) {
    bool concerns = false;
    if (update_ && update_->round == closed.round) drop_update(turn), concerns = true;
    if (work_ && work_->round == closed.round) drop_work(turn), concerns = true;
    if (order_ && order_->round == closed.round) order_.reset(), concerns = true;
    if (concerns && closed.code != ErrorCode::kRunFinished)
        turn.notice(message::Warning{
            {closed.code,
             fmt::format("round {} is over without our update: {}", closed.round, closed.what),
             {}}});
}

void FederatedClient::on_finished(job::Turn& turn, const message::RunFinished& finished) {
    if (jobs_ && jobs_->final) return;  // told again after the link was lost
    drop_work(turn);
    drop_update(turn);
    order_.reset();
    completed_ = finished.round;
    turn.notice(message::RunEnded{finished.round, finished.reason, finished.reached});
    given_up_ = !finished.reached;
    if (given_up_ || !copy_ || copy_->identity != finished.model) {
        if (!given_up_)  // of which there is no last model
            turn.notice(message::Warning{{ErrorCode::kRunFinished,
                                          "the run ended before the final model arrived",
                                          "The aggregator has it in its run folder."}});
        phase_ = Phase::finished;
        return;
    }
    phase_ = Phase::finishing;
    job::CheckpointJob out;
    out.round = finished.round, out.model = copy_->model, out.identity = finished.model;
    out.final_ = true;
    jobs_.made().final = turn.start(std::move(out), job::JobClass::background);
}

// ---- transfers ----------------------------------------------------------------------------------

void FederatedClient::on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                                  message::TransferEvent event) {
    if (auto* offered = std::get_if<message::TransferOffered>(&event)) {
        if (!(aggregator_ == peer)) return turn.refuse(peer, id, RefuseReason::run);
        return on_offered(turn, id, offered->manifest);
    }
    if (auto* arrived = std::get_if<message::TransferArrived>(&event)) {
        if (!(incoming_ == id)) return;
        incoming_.reset();
        if (jobs_ && jobs_->decode) abandon(*jobs_->decode);
        const auto& m = arrived->manifest;
        copy_ = Copy{m.round, m.identity, tensor::Model::promise(setup_->layout)};
        jobs_.made().decode =
            turn.start(job::DecodeJob{std::move(arrived->payload), {}, m.codec, peer, copy_->model},
                       job::JobClass::urgent);
        if (order_ && order_stands_ && order_->round == m.round && m.identity == Digest256{})
            copy_->identity = order_->base;
        return try_work(turn);
    }
    auto* lost = std::get_if<message::TransferLost>(&event);
    if (lost && lost->incoming) {
        if (incoming_ == id) incoming_.reset();  // the aggregator offers it again
    } else if (update_ && update_->handed == Handed::offered && update_->offer == id) {
        on_handed(turn, event);
    }
}

void FederatedClient::on_offered(job::Turn& turn, job::TransferId id, const message::Manifest& m) {
    auto refuse = [&](RefuseReason why) { turn.refuse(*aggregator_, id, why); };
    if (m.run != run_ || m.kind != message::TransferKind::global_model)
        return refuse(RefuseReason::run);
    if (phase_ == Phase::finished && !given_up_) return refuse(RefuseReason::stopping);
    if (m.layout != setup_->layout->digest()) return refuse(RefuseReason::layout);
    if (m.byte_count > setup_->layout->byte_count() + kCodecOverhead)
        return refuse(RefuseReason::size);
    if (order_ && m.round < order_->round) return refuse(RefuseReason::stale);
    bool named = m.identity != Digest256{};
    bool have = copy_ && copy_->round == m.round && copy_->identity == m.identity;
    bool done = update_ && update_->round == m.round && update_->base == m.identity;
    if (named && (have || done)) return refuse(RefuseReason::duplicate);
    incoming_ = id;  // a former one, if any, was withdrawn
    turn.grant(*aggregator_, id);
}

void FederatedClient::on_handed(job::Turn& turn, const message::TransferEvent& event) {
    if (std::holds_alternative<message::TransferDelivered>(event)) {
        update_->handed = Handed::delivered;
    } else if (auto* refused = std::get_if<message::TransferRefused>(&event)) {
        bool has = refused->reason == RefuseReason::duplicate;
        update_->handed = has ? Handed::delivered : Handed::no;  // a message says what follows
    } else if (auto* lost = std::get_if<message::TransferLost>(&event)) {
        update_->handed = Handed::no;
        auto code = lost->error.code;  // any other means that the link is going
        if (code == ErrorCode::kTransferStalled || code == ErrorCode::kTransferChecksum)
            hand_in(turn);
    }
}

void FederatedClient::hand_in(job::Turn& turn) {
    if (!aggregator_) return;
    update_->offer = turn.offer(*aggregator_, update_->manifest, update_->payload);
    update_->handed = Handed::offered;
    since_ = turn.now;
}

// Nobody wants it any more, so no more of it is sent.
void FederatedClient::drop_update(job::Turn& turn) {
    if (update_ && update_->handed == Handed::offered && aggregator_)
        turn.withdraw(*aggregator_, update_->offer);
    update_.reset();
}

// ---- work ---------------------------------------------------------------------------------------

void FederatedClient::try_work(job::Turn& turn) {
    if (!order_ || !copy_ || work_ || update_) return;
    if (copy_->round != order_->round || copy_->identity != order_->base) return;
    if (!order_->train && (!order_->evaluate || (report_ && report_->round == completed_))) {
        if (report_ && order_->evaluate && aggregator_) turn.send(*aggregator_, *report_);
        return;
    }
    work_ = Work{order_->round, order_->base};
    work_->codec = order_->codec;
    since_ = turn.now;
    if (order_->evaluate)
        work_->evaluate = turn.start(job::EvaluateJob{copy_->model, job::EvaluationSet::test},
                                     job::JobClass::normal);
    if (order_->train) start_training(turn);
}

void FederatedClient::start_training(job::Turn& turn) {
    auto& work = *work_;
    work.payload = tensor::Payload::promise();
    work.train = turn.start(job::TrainJob{.start = copy_->model,
                                          .round = work.round,
                                          .epochs = order_->local_epochs,
                                          .steps = order_->local_steps,
                                          .proximal_mu = order_->proximal_mu,
                                          .state = kept_ ? kept_->now.optimizer : nullptr,
                                          .out = {},
                                          .product = job::TrainedAs::encoded,
                                          .codec = work.codec,
                                          .residual = kept_ ? kept_->now.residual : nullptr,
                                          .encoded = work.payload},
                            job::JobClass::train);
}

void FederatedClient::drop_work(job::Turn& turn) {
    if (!work_) return;
    for (auto& job : {work_->evaluate, work_->train})
        if (job) turn.cancel(*job), abandon(*job);
    work_.reset();
}

bool FederatedClient::on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done,
                                  Duration elapsed) {
    if (work_ && work_->evaluate == id) {
        on_evaluated(turn, done);
    } else if (work_ && work_->train == id) {
        on_trained(turn, done, elapsed);
    } else if (take(&Jobs::decode, id)) {
        if (done) return true;
        turn.notice(message::Warning{done.error()});
        copy_.reset();
    } else if (take(&Jobs::final, id)) {
        if (done) {
            turn.notice(
                message::CheckpointWritten{completed_, std::get<job::CheckpointDone>(*done).path});
        } else {
            turn.notice(message::Warning{done.error()});
        }
        phase_ = Phase::finished;
    } else {
        const bool known = jobs_ && jobs_->abandoned.erase(id) > 0;
        if (known && jobs_->none()) jobs_.reset();
        return known;
    }
    return true;
}

bool FederatedClient::take(std::optional<job::JobId> Jobs::*mine, job::JobId id) {
    if (!jobs_ || (*jobs_).*mine != id) return false;
    ((*jobs_).*mine).reset();
    if (jobs_->none()) jobs_.reset();
    return true;
}

void FederatedClient::on_evaluated(job::Turn& turn, const Result<job::JobDone>& done) {
    work_->evaluate.reset();
    message::EvaluationReport report;
    report.run = run_, report.round = work_->round - 1;
    const auto* evaluated = done ? &std::get<job::EvaluateDone>(*done) : nullptr;
    if (evaluated &&
        evaluated->sample_count > 0) {  // else it has nothing to test on, and no figure
        const auto& result = *evaluated;
        evaluated_ = result;
        report.loss = result.loss, report.accuracy = result.accuracy;
        report.sample_count = result.sample_count;
        turn.notice(message::Evaluated{report.round, "local", result.loss, result.accuracy,
                                       result.sample_count});
    } else if (!done) {
        turn.notice(message::Warning{done.error()});  // reported with 0 samples: it counts nothing
    }
    report_ = report;
    if (aggregator_) turn.send(*aggregator_, report);
    try_complete(turn);
}

// The aggregator goes on without us; the next round is a new try.
void FederatedClient::give_up(job::Turn& turn, const Error& error) {
    turn.notice(message::Warning{error});
    if (aggregator_)
        turn.send(*aggregator_, message::RoundClosed{run_, work_->round, error.code, error.what});
    drop_work(turn);
    order_.reset();
}

void FederatedClient::on_trained(job::Turn& turn, const Result<job::JobDone>& done,
                                 Duration elapsed) {
    work_->train.reset();
    if (!done) return give_up(turn, done.error());
    const auto& result = std::get<job::TrainDone>(*done);
    work_->sample_count = result.sample_count;
    work_->loss = result.loss;
    work_->optimizer = result.state;
    work_->byte_count = result.byte_count;
    work_->residual = result.residual;
    turn.notice(message::Trained{work_->round, result.loss, result.sample_count, elapsed});
    try_complete(turn);
}

// The report goes out before the update, so that a round that has the update has the report too.
void FederatedClient::try_complete(job::Turn& turn) {
    if (work_->evaluate || work_->train) return;
    if (!work_->payload.exists()) return work_.reset();  // it was asked to evaluate only
    Update update;
    update.round = work_->round, update.base = work_->base;
    update.payload = work_->payload;
    update.optimizer = work_->optimizer, update.residual = work_->residual;
    auto& m = update.manifest;
    m.run = run_, m.kind = message::TransferKind::update, m.round = work_->round;
    m.byte_count = work_->byte_count, m.codec = work_->codec;
    m.base = message::Base::announced, m.base_version = work_->round - 1;
    m.layout = setup_->layout->digest();
    m.sample_count = work_->sample_count, m.loss = work_->loss;
    update_ = std::move(update);
    work_.reset();
    hand_in(turn);
}

message::Progress FederatedClient::progress() const { return {run_, completed_, phase_}; }

job::CoreStatus FederatedClient::status(Instant) const {
    job::CoreStatus s;
    s.phase = phase_, s.round = completed_, s.round_max = 0;  // the aggregator knows
    s.loss = evaluated_ ? evaluated_->loss : kUnknown;
    s.accuracy = evaluated_ ? evaluated_->accuracy : kUnknown;
    if (phase_ == Phase::finished || work_ || (jobs_ && jobs_->final)) return s;
    std::string what = "the next round";
    if (!aggregator_)
        what = "the aggregator";
    else if (order_ && !copy_ && !update_)
        what = "the model of round " + std::to_string(order_->round);
    else if (update_ && update_->handed == Handed::offered)
        what = "our update to be taken";
    else if (update_)
        what = "the other clients";
    s.waiting.push_back({what, {}, since_, Instant::never()});
    if (aggregator_) s.waiting.back().whom.push_back(*aggregator_);
    return s;
}

Digest128 FederatedClient::digest() const {
    ByteWriter out;
    out.put(phase_), out.put(completed_), out.put(aggregator_.has_value());
    if (order_) out.put(order_->round), out.put(order_->base.bytes), out.put(order_->train);
    if (copy_) out.put(copy_->round), out.put(copy_->identity.bytes);
    if (work_) out.put(work_->round), out.put(work_->base.bytes), out.put(work_->train.has_value());
    if (update_) {
        out.put(update_->round), out.put(update_->base.bytes), out.put(update_->handed);
        out.put(update_->manifest.loss), out.put(update_->manifest.byte_count);
    }
    if (kept_)
        for (const auto& kept : {kept_->now, kept_->before.value_or(KeptState{})})
            for (const auto& state : {kept.optimizer, kept.residual})
                if (state) out.put(state->digest());
    return digest128(out.view());
}

}  // namespace gossamer::federated
