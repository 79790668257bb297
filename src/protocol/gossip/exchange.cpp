// Offers from others, requests to and from others, and catching up.
#include <algorithm>

#include "protocol/gossip/gossip.hpp"

namespace gossamer::gossip {

using message::RefuseReason;
using message::TransferKind;

namespace {

// A peer this far behind one that went on without it takes that one's model.
constexpr std::uint64_t kStepsBehindMax = 2;

}  // namespace

void Gossip::on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                         message::TransferEvent event) {
    if (auto* offered = std::get_if<message::TransferOffered>(&event)) {
        on_offered(turn, peer, id, offered->manifest);
    } else if (auto* arrived = std::get_if<message::TransferArrived>(&event)) {
        on_arrived(turn, peer, id, std::move(*arrived));
    } else if (std::get_if<message::TransferDelivered>(&event)) {
        outbox_.delivered(peer, id);
    } else if (auto* refused = std::get_if<message::TransferRefused>(&event)) {
        auto& view = peers_[peer];
        if (!outbox_.refused(peer, id, refused->reason, turn.now, patience_.floor()) &&
            !view.warned) {
            view.warned = true;
            turn.notice(message::Warning{
                {ErrorCode::kTransferRefused,
                 peer.short_string() +
                     " refuses our models: " + std::string(to_string(refused->reason)),
                 "Give both the same [run], [model], [topology] and [gossip]."}});
        }
    } else if (auto* lost = std::get_if<message::TransferLost>(&event)) {
        if (!lost->incoming) {
            outbox_.lost(peer, id, turn.now, patience_.floor());
        } else {
            inbox_.lost(peer, id);
            if (catch_up_ && catch_up_->asked == peer && catch_up_->transfer == id)
                ask_for_model(turn);
        }
    }
    settle(turn);
}

// ---- what others offer --------------------------------------------------------------------------

// Why an offer cannot be taken, whatever its step.
std::optional<RefuseReason> Gossip::objection(const PeerId& from,
                                              const message::Manifest& m) const {
    if (m.run != run_) return RefuseReason::run;
    if (stopping_ || stage_ == Stage::over) return RefuseReason::stopping;
    if (m.kind != TransferKind::gossip_model && m.kind != TransferKind::catch_up)
        return RefuseReason::run;
    if (m.layout != setup_->layout->digest()) return RefuseReason::layout;
    if (m.base != message::Base::none) return RefuseReason::base;
    auto codec = setup_->codec->traits().wire_id == m.codec ? Result<codec::CodecRef>(setup_->codec)
                                                            : codec::find_codec(m.codec);
    if (!codec || (*codec)->traits().needs_base) return RefuseReason::size;
    auto most = (*codec)->bytes_max(setup_->layout->parameter_count());
    bool exact = (*codec)->traits().block_bytes > 0;
    if (m.byte_count > most || (exact && m.byte_count != most)) return RefuseReason::size;
    if (m.payload.size() > kPayloadBytesMax) return RefuseReason::size;
    if (m.round > step_max()) return RefuseReason::run;
    if (m.kind == TransferKind::catch_up) return std::nullopt;
    if (m.round == 0) return RefuseReason::stale;  // no step makes it
    if (!schedule_) return std::nullopt;
    auto place = roster_->place_of(from);
    if (!place) return RefuseReason::run;
    if (m.epoch != roster_->epoch) return RefuseReason::stale;
    auto in = schedule_->in_neighbours(place_, m.round - 1);
    bool expected = std::any_of(in.begin(), in.end(), [&](auto& n) { return n.place == *place; });
    return expected ? std::nullopt : std::optional(RefuseReason::run);
}

void Gossip::on_offered(job::Turn& turn, const PeerId& from, job::TransferId id,
                        const message::Manifest& m) {
    if (auto reason = objection(from, m)) return turn.refuse(from, id, *reason);
    auto& view = peers_[from];
    if (m.kind == TransferKind::catch_up) {
        bool asked =
            catch_up_ && catch_up_->asked == from && !catch_up_->transfer && m.round > done_;
        if (!asked) return turn.refuse(from, id, RefuseReason::stale);
        catch_up_->transfer = id;
        catch_up_->round = m.round;
        timer(Timer::catch_up) = Instant::never();  // the link watches its progress
        return turn.grant(from, id);
    }
    view.progress.round = std::max(view.progress.round, m.round - 1);
    if (m.round + kStepsBehindMax > done_) view.rejoining = false;
    if (auto ready = ready_at_.find(m.round); m.round <= done_ && ready != ready_at_.end())
        patience_.arrived(from, turn.now - ready->second);  // late: wait longer for it next time
    inbox_.offered(turn, from, id, m);
    notice_lead(turn, from);
}

void Gossip::on_arrived(job::Turn& turn, const PeerId& from, job::TransferId id,
                        message::TransferArrived arrived) {
    if (arrived.payload.size_bytes() != arrived.manifest.byte_count) return;
    if (arrived.manifest.kind == TransferKind::catch_up) {
        if (!catch_up_ || catch_up_->asked != from || catch_up_->transfer != id) return;
        catch_up_->model = tensor::Model::promise(setup_->layout);
        job::DecodeJob decode;
        decode.payload = std::move(arrived.payload);
        decode.codec = arrived.manifest.codec;
        decode.from = from;
        decode.out = catch_up_->model;
        start(turn, Work::adopt, std::move(decode), job::JobClass::urgent);
        return;
    }
    inbox_.arrived(from, id, arrived.manifest, std::move(arrived.payload), turn.now);
}

message::Manifest Gossip::manifest(TransferKind kind, std::uint64_t round) const {
    message::Manifest m;
    m.run = run_;
    m.kind = kind;
    m.round = round;
    m.epoch = roster_->epoch;
    m.layout = setup_->layout->digest();
    return m;
}

// ---- catching up --------------------------------------------------------------------------------

void Gossip::serve(job::Turn& turn, const PeerId& to, std::uint64_t has) {
    auto& view = peers_[to];
    view.progress.round = std::min(has, step_max());
    view.rejoining = view.rejoining || has + kStepsBehindMax < done_;
    view.asked = !model_.exists();  // the step under way ends soon
    if (!model_.filled() || done_ <= has || !view.linked || stopping_) return;
    if (outbox_.offered(to, TransferKind::catch_up, done_)) return;  // its answer is due
    auto m = manifest(TransferKind::catch_up, done_);
    m.byte_count = setup_->layout->byte_count();
    m.codec = codec::find_codec("f32").value()->traits().wire_id;  // whole: it is done once
    outbox_.post(turn, to, std::move(m), tensor::Payload::view_of(model_), true);
}

void Gossip::serve_asked(job::Turn& turn) {
    for (auto& [id, view] : peers_)
        if (view.asked) serve(turn, id, view.progress.round);
}

// Has this peer gone on without us? A peer may lawfully be ahead by the time our models need to
// reach it; one that passed a step in which it hears us, while ours is not yet done, left us out.
bool Gossip::left_behind_by(const PeerId& peer) const {
    const auto& view = peers_.at(peer);
    const auto lead = view.progress.round;
    if (!view.linked || lead <= done_ + kStepsBehindMax) return false;
    if (stage_ == Stage::linking) return true;
    auto place = roster_->place_of(peer);
    if (!place) return false;
    const auto period = schedule_->period();
    for (auto s = done_ + 2; s <= std::min(lead, done_ + 1 + period); ++s)
        for (const auto& n : schedule_->in_neighbours(*place, s - 1))
            if (n.place == place_) return true;
    return lead > done_ + kStepsBehindMax + roster_->size() * period;
}

void Gossip::notice_lead(job::Turn& turn, const PeerId& peer) {
    if (catch_up_ || averaging_ || stopping_ || turn.now < no_catch_up_before_) return;
    if (stage_ != Stage::linking && stage_ != Stage::working) return;
    if (left_behind_by(peer)) begin_catch_up(turn);
}

void Gossip::begin_catch_up(job::Turn& turn) {
    catch_up_ = CatchUp{.since = turn.now};
    ask_for_model(turn);
}

void Gossip::ask_for_model(job::Turn& turn) {
    const PeerId* best = nullptr;
    std::uint64_t lead = done_ + 1;
    for (const auto& [id, view] : peers_) {
        if (!view.linked || catch_up_->tried.contains(id) || !roster_->place_of(id)) continue;
        if (view.progress.round > lead) lead = view.progress.round, best = &id;
    }
    if (!best) {
        catch_up_.reset();
        timer(Timer::catch_up) = no_catch_up_before_ = turn.now + patience_.floor();
        return;
    }
    catch_up_->asked = *best;
    catch_up_->tried.insert(*best);
    catch_up_->transfer.reset();
    timer(Timer::catch_up) = turn.now + patience_.cap();
    turn.send(*best, message::ModelRequest{run_, done_});
    wait_aloud(turn, "a model of step " + std::to_string(lead) + " or later", {*best}, turn.now,
               timer(Timer::catch_up));
}

void Gossip::on_adopted(job::Turn& turn, Result<job::JobDone> done) {
    if (!catch_up_) return;
    if (!done) {
        turn.notice(message::UpdateRefused{catch_up_->asked, catch_up_->round, done.error()});
        return ask_for_model(turn);
    }
    auto found = std::move(*catch_up_);
    catch_up_.reset();
    if (found.round <= done_ || averaging_ || stage_ > Stage::working) return;
    abandon(turn, {Work::train, Work::prepare, Work::encode, Work::mix, Work::combine});
    outbox_.withdraw_before(turn, found.round);
    turn.notice(message::CaughtUp{found.asked, done_, found.round});
    model_ = std::move(found.model);
    done_ = found.round;
    optimiser_ = nullptr;  // of another place in the landscape
    state_ = setup_->algorithm->fresh_state();
    kept_.clear();
    step_ = {};
    announce(turn);
    if (stage_ == Stage::working) go_on(turn);
}

}  // namespace gossamer::gossip
