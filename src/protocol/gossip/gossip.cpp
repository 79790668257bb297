#include "protocol/gossip/gossip.hpp"

#include <algorithm>
#include <limits>

namespace gossamer::gossip {

using message::MemberState;

Gossip::Gossip(GossipSetupRef setup, const PeerId& self, std::optional<job::Restored> restored)
    : setup_(std::move(setup)),
      run_(message::run_id(setup_->run.name)),
      self_(self),
      contract_(setup_->algorithm->contract()),
      roster_(std::make_shared<const topology::Roster>()),
      patience_(patience_bounds(setup_->config.patience)),
      rule_(setup_->run) {
    timers_.fill(Instant::never());
    if (restored) restored_ = std::move(*restored);
}

// ---- events -------------------------------------------------------------------------------------

void Gossip::on_start(job::Turn& turn) {
    since_ = turn.now;
    const auto& listed = setup_->run.roster;
    if (setup_->roster) roster_ = setup_->roster;
    if (!listed.empty() && !std::binary_search(listed.begin(), listed.end(), self_))
        return give_up(turn, {ErrorCode::kNoPeers,
                              "this peer, " + self_.short_string() + ", is not in run.roster",
                              "Add its PeerId to run.roster of all members."});
    state_ = setup_->algorithm->fresh_state();
    if (restored_) restore(turn);
    if (!model_.exists()) {
        model_ = tensor::Model::promise(setup_->layout);
        start(turn, Work::genesis, job::InitialModelJob{model_}, job::JobClass::normal);
    }
    settle(turn);
}

void Gossip::on_joined(job::Turn& turn, const PeerId& peer, const message::Join& join) {
    auto& view = peers_[peer];
    view.linked = true;
    view.state = MemberState::alive;
    view.progress.run = run_;
    view.progress.round = std::min(join.round, step_max());
    view.progress.phase = join.phase;
    view.rejoining = join.round + 2 < done_;
    outbox_.link_up(turn, peer);
    turn.send(peer, progress());
    notice_lead(turn, peer);
    settle(turn);
}

void Gossip::on_progress(job::Turn& turn, const PeerId& peer, const message::Progress& progress) {
    if (progress.run != run_ || peer == self_) return;
    auto& view = peers_[peer];
    const auto round = std::min(progress.round, step_max());
    bool further = round > view.progress.round;
    view.progress.round = std::max(view.progress.round, round);
    view.progress.phase = progress.phase;
    view.progress.roster = progress.roster;
    if (roster_digest_ != 0 && progress.roster != 0 && progress.roster != roster_digest_ &&
        !view.warned) {
        view.warned = true;
        turn.notice(message::Warning{{ErrorCode::kConfigConflict,
                                      peer.short_string() + " counts on other members than we do",
                                      "List the members in run.roster, the same for all."}});
    }
    hear_stop(turn, peer, progress.stop);
    outbox_.receiver_at(turn, peer, progress.round);
    if (further) {  // who waits for somebody that moves goes on waiting
        for (auto t : {Timer::ending, Timer::linger})
            if (!timer(t).is_never()) timer(t) = turn.now + patience_.cap();
    }
    notice_lead(turn, peer);
    settle(turn);
}

void Gossip::on_member(job::Turn& turn, const PeerId& peer, MemberState state) {
    if (peer == self_) return;
    peers_[peer].state = state;
    if (state == MemberState::dead || state == MemberState::left) {
        outbox_.withdraw_to(turn, peer);
        patience_.forget(peer);
    }
    settle(turn);
}

void Gossip::on_link(job::Turn& turn, const PeerId& peer, bool up) {
    if (up) return;  // on_joined says when the run slot is open
    auto it = peers_.find(peer);
    if (it == peers_.end()) return;
    it->second.linked = false;
    inbox_.link_down(peer);
    outbox_.link_down(peer);
    if (catch_up_ && catch_up_->asked == peer && !running(Work::adopt)) ask_for_model(turn);
    settle(turn);
}

void Gossip::on_message(job::Turn& turn, const PeerId& from, const message::Message& message) {
    if (const auto* request = std::get_if<message::ModelRequest>(&message)) {
        if (request->run != run_) return;
        serve(turn, from, request->round);
        settle(turn);  // who asks from far behind is not waited for
    } else if (const auto* news = std::get_if<message::Progress>(&message)) {
        on_progress(turn, from, *news);
    }
}

bool Gossip::on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done,
                         Duration elapsed) {
    auto it = jobs_.find(id);
    if (it == jobs_.end()) return false;
    const auto work = it->second;
    jobs_.erase(it);
    if (stopping_ && work != Work::checkpoint) return true;
    switch (work) {
        case Work::genesis:
            if (!done) give_up(turn, std::move(done).error());
            break;
        case Work::train: on_trained(turn, std::move(done), elapsed); break;
        case Work::prepare: on_prepared(turn, std::move(done)); break;
        case Work::encode: on_encoded(turn, std::move(done)); break;
        case Work::mix: on_mixed(turn, std::move(done)); break;
        case Work::combine: on_combined(turn, std::move(done)); break;
        case Work::adopt: on_adopted(turn, std::move(done)); break;
        case Work::evaluate: on_evaluated(turn, id, std::move(done)); break;
        case Work::checkpoint: on_checkpoint(turn, id, std::move(done)); break;
        case Work::abandoned: break;
    }
    settle(turn);
    return true;
}

void Gossip::on_resume(job::Turn& turn, Duration asleep) {
    for (auto& t : timers_) t = t + asleep;
    step_.ready = step_.ready + asleep;
    for (auto& [step, ready] : ready_at_) ready = ready + asleep;
    if (!timer(Timer::wall).is_never())
        timer(Timer::wall) = rule_.deadline();  // a run's wall time goes on while it sleeps
    settle(turn);
}

void Gossip::on_deadline(job::Turn& turn) {
    for (std::size_t t = 0; t < timers_.size(); ++t) {
        if (timers_[t] > turn.now) continue;
        timers_[t] = Instant::never();
        fire(turn, static_cast<Timer>(t));
    }
    settle(turn);
}

void Gossip::fire(job::Turn& turn, Timer which) {
    switch (which) {
        case Timer::links:
            if (stage_ == Stage::linking) begin_run(turn);
            break;
        case Timer::step: break;  // settle() looks whom to give up
        case Timer::speak:
            if (stage_ != Stage::working) break;  // settle() says it
            wait_aloud(turn, "models of step " + std::to_string(step_.number), awaited(turn.now),
                       step_.ready, timer(Timer::step));
            break;
        case Timer::offers: outbox_.offer_waiting(turn); break;
        case Timer::catch_up:
            if (catch_up_) {
                ask_for_model(turn);
            } else {
                for (const auto& [id, view] : peers_) notice_lead(turn, id);
            }
            break;
        case Timer::ending:
            if (stage_ == Stage::ending) start_averaging(turn);
            break;
        case Timer::wall:
            rule_.on_time(turn.now);
            check_rule(turn);
            break;
        case Timer::linger:
            if (stage_ == Stage::lingering) leave(turn);
            break;
        case Timer::count: break;
    }
}

Instant Gossip::next_deadline() const { return *std::min_element(timers_.begin(), timers_.end()); }

void Gossip::on_stop(job::Turn& turn, const std::string& reason) {
    if (stopping_) return;
    stopping_ = true;
    for (auto& [id, work] : jobs_)
        if (work != Work::checkpoint) turn.cancel(id);
    timers_.fill(Instant::never());
    if (stage_ == Stage::working || stage_ == Stage::ending) {
        if (!model_.exists()) finish_alone(turn);
        checkpoint(turn, false);
        turn.notice(message::RunEnded{done_, reason, false});
    }
    // All steps are done: only the last evaluation is given up. Without one to wait for, the final
    // checkpoint is under way.
    if (stage_ == Stage::closing && !std::exchange(evaluations_, {}).empty())
        checkpoint(turn, true);
}

// ---- bookkeeping --------------------------------------------------------------------------------

void Gossip::settle(job::Turn& turn) {
    if (stopping_ || stage_ == Stage::over) return;
    try_gather(turn);
    try_link(turn);
    try_average(turn);
    try_mix(turn);  // last of those that may begin a step: it sets the step's deadline
    try_leave(turn);
    timer(Timer::offers) = outbox_.next_offer();
}

job::JobId Gossip::start(job::Turn& turn, Work work, job::Job job, job::JobClass priority) {
    auto id = turn.start(std::move(job), priority);
    jobs_[id] = work;
    return id;
}

void Gossip::abandon(job::Turn& turn, std::initializer_list<Work> works) {
    for (auto& [id, work] : jobs_) {
        if (std::find(works.begin(), works.end(), work) == works.end()) continue;
        turn.cancel(id);
        work = Work::abandoned;
    }
}

bool Gossip::running(Work work) const {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& j) { return j.second == work; });
}

void Gossip::announce(job::Turn& turn) {
    if (announced_ == progress()) return;
    announced_ = progress();
    for (const auto& [id, view] : peers_)
        if (view.linked) turn.send(id, announced_);
}

void Gossip::wait_aloud(job::Turn& turn, std::string_view what, std::vector<PeerId> whom,
                        Instant since, Instant until) {
    if (what == told_ && whom == told_of_) return;
    told_ = what;
    told_of_ = whom;
    turn.notice(message::Waiting{told_, std::move(whom), since, until});
}

std::vector<PeerId> Gossip::neighbours() const {
    std::vector<PeerId> out;
    if (!schedule_) return out;
    for (auto place : schedule_->all_neighbours(place_)) out.push_back(roster_->at(place));
    return out;
}

message::Progress Gossip::progress() const {
    auto phase = message::Phase::training;
    switch (stage_) {
        case Stage::gathering:
        case Stage::linking: phase = message::Phase::waiting; break;
        case Stage::working:
            if (averaging_) phase = message::Phase::finishing;
            break;
        case Stage::ending:
        case Stage::closing: phase = message::Phase::finishing; break;
        case Stage::lingering:
        case Stage::over: phase = message::Phase::finished; break;
    }
    return {run_, done_, phase, stop_, roster_digest_};
}

job::CoreStatus Gossip::status(Instant now) const {
    constexpr auto unknown = std::numeric_limits<double>::quiet_NaN();
    job::CoreStatus out{progress().phase,
                        done_,
                        last_step() + setup_->config.final_averaging_steps,
                        loss_.value_or(unknown),
                        accuracy_.value_or(unknown),
                        {}};
    if (stage_ == Stage::gathering)
        out.waiting.push_back({"members of the run", {}, since_, Instant::never()});
    if (stage_ == Stage::linking) {
        std::vector<PeerId> missing;
        for (const auto& id : neighbours())
            if (auto it = peers_.find(id); it == peers_.end() || !it->second.linked)
                missing.push_back(id);
        out.waiting.push_back({"links to neighbours", missing, since_, timer_at(Timer::links)});
    }
    if (stage_ == Stage::working && !step_.ready.is_never() && !step_.mixing)
        out.waiting.push_back({"models of step " + std::to_string(step_.number), awaited(now),
                               step_.ready, timer_at(Timer::step)});
    if (stage_ == Stage::ending)
        out.waiting.push_back({"peers that have not reached step " + std::to_string(last_step()),
                               behind(last_step()), since_, timer_at(Timer::ending)});
    if (stage_ == Stage::lingering)
        out.waiting.push_back({"peers that may want the last model", outbox_.receivers(), since_,
                               timer_at(Timer::linger)});
    if (catch_up_)
        out.waiting.push_back({"a model to catch up with",
                               {catch_up_->asked},
                               catch_up_->since,
                               timer_at(Timer::catch_up)});
    return out;
}

void Gossip::fetch(unsigned which, bool beat) const {
    if (which == 0) {
        const auto* begin = reinterpret_cast<const char*>(this);
        const auto* end = reinterpret_cast<const char*>(&roster_digest_ + 1);
        const auto asked = static_cast<std::size_t>(end - begin);
        return prefetch(this, beat ? asked : sizeof *this);
    }
    if (beat) return;
    peers_.fetch_way();
    patience_.fetch_way();
    inbox_.fetch();
}

Digest128 Gossip::digest() const {
    ByteWriter out;
    out.put(stage_), out.put(done_), out.put(roster_digest_), out.put(stop_);
    out.put(averaging_), out.put(averaging_end_), out.put(stopping_);
    for (const auto& [id, view] : peers_) {
        out.put(id.bytes), out.put(view.linked), out.put(view.state), out.put(view.rejoining);
        out.put(view.asked);
        out.put(view.progress.round), out.put(view.progress.phase), out.put(view.progress.roster);
    }
    out.put(step_.number), out.put(step_.ready.ns), out.put(step_.mixing);
    for (const auto& r : step_.heard) out.put(r.from.bytes);
    for (const auto& [id, work] : jobs_) out.put(id.value), out.put(work);
    inbox_.digest_into(out);
    outbox_.digest_into(out);
    patience_.digest_into(out);
    out.put(catch_up_.has_value());
    if (catch_up_) out.put(catch_up_->asked.bytes), out.put(catch_up_->round);
    for (const auto& t : timers_) out.put(t.ns);
    if (optimiser_) out.put(optimiser_->digest());
    if (state_) out.put(state_->digest());
    return digest128(out.view());
}

}  // namespace gossamer::gossip
