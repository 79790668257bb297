#include "protocol/federated/round_engine.hpp"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "gossamer/base/assert.hpp"

namespace gossamer::federated {

using message::MemberState;

namespace {
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

bool gone(MemberState state) { return state == MemberState::dead || state == MemberState::left; }
}  // namespace

RoundEngine::RoundEngine(EngineSetup setup)
    : setup_(std::move(setup)),
      run_(message::run_id(setup_.run.name)),
      layout_digest_(setup_.layout->digest()),
      stop_(setup_.run),
      own_test_data_(setup_.has_test_data),
      loss_(kUnknown),
      accuracy_(kUnknown) {
    timers_.fill(Instant::never());
}

Status RoundEngine::restore(job::Restored restored) {
    if (!restored.model.exists()) return {};  // nothing but a plan: the start is the same again
    GOSSAMER_TRY(auto r, load_round_record(restored.record));
    auto other = [](const char* what) {
        return fail(ErrorCode::kCheckpointFormat,
                    std::string("the checkpoint is of another ") + what,
                    "Give this run another run.name, or restore its configuration.");
    };
    if (r.run != run_) return other("run");
    if (r.strategy != setup_.strategy->traits().name) return other("strategy");
    if (r.seed != setup_.run.seed) return other("seed");
    if (restored.model.layout()->digest() != layout_digest_) return other("model");
    job::State state;
    for (const auto& [name, bytes] : restored.states) {
        if (name != "strategy") continue;
        auto count = setup_.layout->parameter_count();
        GOSSAMER_TRY(state, setup_.strategy->load_state(bytes, count));
    }
    auto stop = job::StopRule(setup_.run);
    if (!stop.load(r.stop)) return other("form");
    // When the newest checkpoint was damaged, an older model comes with a newer record.
    for (const auto& c : r.counted)
        if (c.round <= restored.round) uncommitted_.emplace(c.peer, c.round);
    if (r.completed == restored.round) {
        if (r.plan && r.plan->base == restored.identity) plan_ = std::move(r.plan);
        evaluated_ = r.evaluated;
        run_stage_ = r.stage;
        // What an earlier life gave up is none of this one's.
        reason_ = std::move(r.reason), reached_ = r.reached || r.stage == RunStage::running;
        for (const auto& peer : r.owed) slots_[peer] = {};
    }
    stop_ = stop;
    model_ = std::move(restored.model);
    identity_ = restored.identity;
    completed_ = restored.round;
    state_ = std::move(state);
    restored_ = true;
    return {};
}

void RoundEngine::on_start(job::Turn& turn) {
    stop_.on_begin(turn.now);
    auto detail = !restored_ ? std::string("from the beginning")
                  : plan_    ? fmt::format("goes on with round {} and its {} clients", plan_->round,
                                           plan_->cohort.size())
                             : fmt::format("goes on after round {}", completed_);
    turn.notice(message::RunStarted{setup_.run.name, message::Mode::federated, completed_, detail});
    if (!restored_) {
        model_ = tensor::Model::promise(setup_.layout);
        initial_job_ = turn.start(job::InitialModelJob{model_}, job::JobClass::normal);
        identify_job_ = turn.start(job::IdentifyJob{model_}, job::JobClass::normal);
        return re_arm();
    }
    stop_.on_round(completed_);
    if (run_stage_ == RunStage::done) {
        phase_ = Phase::finished;
        turn.notice(message::RunEnded{completed_, reason_, reached_});
        return re_arm();
    }
    if (run_stage_ == RunStage::finishing) {
        phase_ = Phase::finishing;
        final_begun_ = final_written_ = true;
        for (auto& [peer, slot] : slots_)
            slot.since = turn.now, slots_.limit(slot, turn.now + setup_.config.rejoin_wait);
    } else if (plan_) {
        distribute(turn);
    } else {
        wait_for_peers(turn);
    }
    auto every = setup_.config.evaluate_every;
    if (completed_ > evaluated_ && every != 0 && completed_ % every == 0)
        start_evaluation(turn, model_, completed_);
    advance(turn);
}

void RoundEngine::advance(job::Turn& turn) {
    bool between =
        phase_ == Phase::waiting || phase_ == Phase::persisting || phase_ == Phase::collecting;
    if (between && stop_.reason()) finish(turn, *stop_.reason(), true);
    if (phase_ == Phase::waiting) try_begin(turn);
    if (phase_ == Phase::collecting) {
        grant_more(turn);
        try_close(turn);
    }
    if (phase_ == Phase::finishing) try_finish(turn);
    re_arm();
}

void RoundEngine::on_joined(job::Turn& turn, const PeerId& peer, const message::Join& join) {
    auto& client = clients_[peer];
    client.here = true;
    client.state = MemberState::alive;
    client.sample_count = join.sample_count;
    changed(peer, client);
    // A Commit that was lost with its link, or with us.
    const bool unsealed = phase_ == Phase::sealing;
    if (const auto owed = uncommitted_.find(peer); owed != uncommitted_.end()) {
        if (join.round >= owed->second)
            uncommitted_.erase(owed);
        else if (!unsealed || owed->second < completed_)
            turn.send(peer, message::Commit{run_, owed->second});
    }
    auto* slot = slots_.find(peer);
    if (phase_ == Phase::collecting && slot) {
        auto stage = slot->stage();
        if (slot->barred)  // it may have missed why
            turn.send(peer,
                      message::RoundClosed{run_, plan_->round, ErrorCode::kUpdateStale, slot->why});
        else if ((stage == Stage::absent || stage == Stage::excluded) &&
                 may_return(turn, peer, *slot))
            start_client(turn, peer, *slot);
    } else if (phase_ == Phase::finishing) {
        if (!slot ||
            (slot->stage() != Stage::counted && !slot->barred && may_return(turn, peer, *slot)))
            serve_final(turn, peer);
    } else if (phase_ == Phase::finished) {
        turn.send(peer, message::RunFinished{run_, completed_, identity_, reason_, reached_});
    }
    advance(turn);
}

void RoundEngine::on_progress(job::Turn& turn, const PeerId& peer,
                              const message::Progress& progress) {
    if (const auto owed = uncommitted_.find(peer);
        owed != uncommitted_.end() && progress.round >= owed->second)
        uncommitted_.erase(owed);
    auto* slot = slots_.find(peer);
    if (phase_ == Phase::finishing && slot && progress.phase == message::Phase::finished)
        slots_.move(*slot, Stage::counted), slots_.limit(*slot, Instant::never());
    advance(turn);
}

void RoundEngine::on_member(job::Turn& turn, const PeerId& peer, MemberState state) {
    auto& client = clients_[peer];
    client.state = state;
    changed(peer, client);
    // While a round is closed its slots say no more than who was late.
    const bool open = phase_ == Phase::collecting || phase_ == Phase::finishing;
    auto* slot = slots_.find(peer);
    if (open && gone(state) && slot && slot->stage() < Stage::adding)
        exclude(turn, peer, *slot, ErrorCode::kUpdateStale,
                state == MemberState::dead ? "it is dead" : "it left");
    advance(turn);
}

void RoundEngine::on_link(job::Turn& turn, const PeerId& peer, bool up) {
    if (up) return;  // on_joined follows when both sides accept the run
    auto& client = clients_[peer];
    client.here = false;
    changed(peer, client);
    client.copy.reset();
    if (auto* slot = slots_.find(peer)) lose_link(turn, peer, *slot);
    advance(turn);
}

void RoundEngine::on_message(job::Turn& turn, const PeerId& from, const message::Message& message) {
    if (auto* report = std::get_if<message::EvaluationReport>(&message))
        if (report->run == run_) on_report(turn, from, *report);
    if (auto* closed = std::get_if<message::RoundClosed>(&message))
        if (closed->run == run_) on_gave_up(turn, from, *closed);
    advance(turn);
}

void RoundEngine::on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                              message::TransferEvent event) {
    if (auto* offered = std::get_if<message::TransferOffered>(&event)) {
        on_offered(turn, peer, id, offered->manifest);
    } else if (auto* arrived = std::get_if<message::TransferArrived>(&event)) {
        on_arrived(turn, peer, id, std::move(arrived->payload));
    } else if (auto* lost = std::get_if<message::TransferLost>(&event)) {
        if (lost->incoming) {
            on_upload_lost(turn, peer, id, lost->error);
        } else {
            on_copy_lost(turn, peer, id, lost->error);
        }
    } else if (auto& client = clients_[peer];
               client.copy && client.copy->sending && client.copy->id == id) {
        auto* refused = std::get_if<message::TransferRefused>(&event);
        if (refused && refused->reason != job::RefuseReason::duplicate) {
            on_copy_refused(turn, peer, refused->reason);
        } else {
            // It had the model, or even its update: nothing is measured from here.
            if (auto* slot = slots_.find(peer); refused && slot) slot->fresh = false;
            copy_delivered(turn, peer);
        }
    }
    advance(turn);
}

bool RoundEngine::on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done, Duration) {
    auto take = [id](std::optional<job::JobId>& mine) {
        if (mine != id) return false;
        mine.reset();
        return true;
    };
    if (auto adding = adding_.find(id); adding != adding_.end()) {
        auto peer = adding->second;
        adding_.erase(adding);
        on_added(turn, peer, done);
    } else if (take(initial_job_)) {
        if (!done) finish(turn, "no first model", false, done.error());
    } else if (take(identify_job_)) {
        if (done) on_identified(turn, std::get<job::IdentifyDone>(*done).identity);
    } else if (take(aggregate_job_)) {
        on_aggregated(turn, std::move(done));
    } else if (take(checkpoint_job_)) {
        on_checkpoint(turn, done);
    } else if (take(evaluate_job_)) {
        on_evaluated(turn, done);
    } else if (abandoned_.erase(id) == 0) {
        return false;
    }
    advance(turn);
    return true;
}

void RoundEngine::on_resume(job::Turn& turn, Duration asleep) {
    for (auto& [peer, slot] : slots_)
        slot.since = slot.since + asleep, slots_.limit(slot, slot.limit() + asleep);
    waiting_since_ = waiting_since_ + asleep;
    advance(turn);
}

void RoundEngine::on_deadline(job::Turn& turn) {
    auto due = [&](Timer timer) { return timers_[static_cast<std::size_t>(timer)] <= turn.now; };
    if (due(Timer::wall_time)) stop_.on_time(turn.now);
    if (due(Timer::peers) && phase_ == Phase::waiting) {
        Error error{ErrorCode::kNoPeers,
                    fmt::format("{} of {} peers were here after {}", trainable_, peers_needed(),
                                format_duration(setup_.config.wait_peers)),
                    "Start more peers, or raise federated.wait_peers."};
        finish(turn, error.what, false, error);
    }
    if (due(Timer::limit)) give_up_slow(turn);
    advance(turn);
}

void RoundEngine::re_arm() {
    auto& wall_time = timers_[static_cast<std::size_t>(Timer::wall_time)];
    auto& peers = timers_[static_cast<std::size_t>(Timer::peers)];
    auto& limit = timers_[static_cast<std::size_t>(Timer::limit)];
    bool over = phase_ == Phase::finishing || phase_ == Phase::finished;
    wall_time = over ? Instant::never() : stop_.deadline();
    peers = phase_ == Phase::waiting ? waiting_since_ + setup_.config.wait_peers : Instant::never();
    limit = Instant::never();
    if (phase_ == Phase::collecting || phase_ == Phase::finishing) limit = slots_.earliest_limit();
}

Instant RoundEngine::next_deadline() const { return *std::ranges::min_element(timers_); }

bool RoundEngine::may_train(const PeerId& peer, const Client& client) const {
    const auto& roster = setup_.run.roster;
    return client.here && !gone(client.state) && client.sample_count > 0 &&
           (roster.empty() || std::binary_search(roster.begin(), roster.end(), peer));
}

void RoundEngine::changed(const PeerId& peer, Client& client) {
    const bool counts = may_train(peer, client);
    trainable_ += counts;
    trainable_ -= std::exchange(client.counts, counts);
}

std::vector<Candidate> RoundEngine::candidates() const {
    std::vector<Candidate> out;
    for (const auto& [peer, client] : clients_)
        if (client.counts) out.push_back({peer, client.sample_count});
    return out;
}

// Four times what is usual, over a floor; twice that for each time the round was repeated. A client
// never measured gets twice the time of the slowest of the others, more when it has more data than
// that one, over four floors. Nobody gets more than round_max, whatever it says it has: else one
// that answers just in time would lengthen each round fourfold.
Duration RoundEngine::limit_of(const Client& client, Kind kind) const {
    const auto& config = setup_.config;
    auto times = std::int64_t{1} << std::min<std::uint32_t>(plan_ ? plan_->attempt : 0, 4);
    const auto own = client.times ? (*client.times)[kind].own : StageTime{};
    if (own.known())
        return std::min(times * (config.patience_min + 4 * own.usual_most()), config.round_max);
    const auto& others = slowest_[kind];
    if (!others.known()) return config.round_max;
    double slowest = seconds(others.usual());
    if (kind == kWork)
        slowest = std::max(slowest, others.per_sample() * static_cast<double>(client.sample_count));
    auto usual =
        Duration(static_cast<std::int64_t>(std::min(slowest, seconds(config.round_max)) * 1e9));
    return std::min(4 * config.patience_min + times * 8 * usual, config.round_max);
}

void RoundEngine::measured(Client& client, Kind kind, Duration d) {
    auto& time = client.times.made()[kind];
    time.own.measured(d);
    slowest_[kind].update(time.number, time.own, client.sample_count);
}

RoundRecord RoundEngine::record(Instant now) const {
    RoundRecord r;
    r.run = run_, r.strategy = setup_.strategy->traits().name, r.seed = setup_.run.seed;
    r.completed = completed_, r.identity = identity_;
    for (const auto& [peer, round] : uncommitted_) r.counted.push_back({peer, round});
    r.evaluated = evaluated_, r.stop = stop_.save(now);
    r.plan = plan_;
    // A run that was given up is gone on with by the next start: only this life of it is over.
    const bool given_up = run_stage_ != RunStage::running && !reached_;
    r.stage = given_up ? RunStage::running : run_stage_;
    r.reason = given_up ? std::string() : reason_, r.reached = reached_;
    if (r.stage == RunStage::finishing)
        for (const auto& [peer, client] : clients_)
            if (client.sample_count > 0 && !gone(client.state)) r.owed.push_back(peer);
    return r;
}

void RoundEngine::start_checkpoint(job::Turn& turn, bool with_model, bool final_model) {
    job::CheckpointJob out;
    out.round = with_model ? completed_ : completed_ + 1;
    out.record = save(record(turn.now));
    if (with_model) {
        out.model = model_, out.identity = identity_;
        if (state_) out.states.push_back({"strategy", state_});
        out.score = -round_loss_;  // the accuracy is not known yet
        out.final_ = final_model && reached_;
    }
    if (final_model) final_begun_ = true;
    checkpoint_job_ = turn.start(std::move(out), job::JobClass::normal);
}

void RoundEngine::start_evaluation(job::Turn& turn, const tensor::Model& model,
                                   std::uint64_t round) {
    if (!own_test_data_) return;
    evaluating_ = round;
    evaluate_job_ =
        turn.start(job::EvaluateJob{model, job::EvaluationSet::test}, job::JobClass::background);
}

}  // namespace gossamer::federated
