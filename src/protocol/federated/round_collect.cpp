// The round engine while clients train and updates come in.
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "protocol/federated/round_engine.hpp"

namespace gossamer::federated {

using job::RefuseReason;

namespace {
constexpr std::uint8_t kReturnsMost = 8;

// With a transfer. After anything else the link goes too, and a new one brings the client back.
bool link_stays(const Error& error) {
    return error.code == ErrorCode::kTransferStalled ||
           error.code == ErrorCode::kTransferChecksum || error.code == ErrorCode::kCancelled;
}
}  // namespace

void RoundEngine::start_client(job::Turn& turn, const PeerId& peer, Slot& slot) {
    auto& client = clients_[peer];
    const auto& config = setup_.config;
    auto settings = setup_.strategy->configure(
        peer, plan_->round, {config.local_epochs, config.local_steps, config.proximal_mu});
    message::RoundStart start;
    start.run = run_, start.round = plan_->round, start.base = plan_->base;
    start.local_epochs = settings.local_epochs, start.local_steps = settings.local_steps;
    start.proximal_mu = settings.proximal_mu;
    start.codec = setup_.codec->traits().wire_id;
    auto every = config.client_evaluate_every;
    start.evaluate = every != 0 && completed_ > 0 && completed_ % every == 0;
    auto patience = limit_of(client, kReceive) + limit_of(client, kWork);
    start.patience_ns = patience.count();
    turn.send(peer, start);

    slot.since = turn.now, slot.why.clear();
    slot.fresh = plan_->attempt == 0;
    auto& copy = client.copy.made();
    bool has_copy = copy.round == plan_->round && copy.there;
    slots_.move(slot, has_copy ? Stage::working : Stage::receiving);
    slots_.limit(slot, turn.now + limit_of(client, has_copy ? kWork : kReceive));
    if (copy.round != plan_->round || !(copy.sending || copy.there)) send_copy(turn, peer, client);
}

// The snapshot itself, as f32: shared by all offers, copied by none.
void RoundEngine::send_copy(job::Turn& turn, const PeerId& peer, Client& client) {
    auto& copy = client.copy.made();
    if (copy.sending) turn.withdraw(peer, copy.id);
    message::Manifest m;
    m.run = run_, m.kind = message::TransferKind::global_model;
    m.round = completed_ + 1;
    m.byte_count = setup_.layout->byte_count();
    m.codec = codec::find_codec("f32").value()->traits().wire_id;
    m.layout = layout_digest_;
    if (!identify_job_) m.identity = identity_;  // else RoundStart will tell
    copy.id = turn.offer(peer, std::move(m), tensor::Payload::view_of(model_));
    copy.round = completed_ + 1;
    copy.sending = true, copy.there = false;
}

void RoundEngine::copy_delivered(job::Turn& turn, const PeerId& peer) {
    auto& client = clients_[peer];
    auto& copy = client.copy.made();
    copy.sending = false, copy.there = true;
    auto* slot = slots_.find(peer);
    if (!slot || slot->stage() != Stage::receiving) return;
    if (slot->fresh) measured(client, kReceive, turn.now - slot->since);
    slots_.move(*slot, Stage::working);
    slot->since = turn.now;
    slots_.limit(*slot, turn.now + limit_of(client, kWork));
}

void RoundEngine::on_copy_refused(job::Turn& turn, const PeerId& peer, RefuseReason why) {
    clients_[peer].copy.made().sending = false;
    auto* slot = slots_.find(peer);
    if (!slot || slot->stage() != Stage::receiving) return;
    exclude(turn, peer, *slot, ErrorCode::kTransferRefused,
            "it refused the model: " + std::string(to_string(why)));
}

void RoundEngine::lose_link(job::Turn& turn, const PeerId& peer, Slot& slot) {
    if (slot.stage() >= Stage::adding) return;
    std::erase(queue_, peer);
    slots_.move(slot, Stage::absent);
    slot.offer = {};
    slot.since = turn.now;
    slots_.limit(slot, turn.now + setup_.config.rejoin_wait);
}

// Each return begins its limits anew, so one whose uploads never arrive, or that crashes each time
// it trains, would hold the others for ever.
bool RoundEngine::may_return(job::Turn& turn, const PeerId& peer, Slot& slot) {
    if (++slot.returns <= kReturnsMost) return true;
    exclude(turn, peer, slot, ErrorCode::kUpdateStale,
            fmt::format("its link or its transfers were lost {} times", slot.returns));
    slot.barred = true;
    return false;
}

// Also one that is under way: nobody wants it any more, and it holds memory and its line.
void RoundEngine::refuse_offer(job::Turn& turn, const PeerId& peer, const Slot& slot,
                               RefuseReason why) {
    if (slot.stage() == Stage::asking || slot.stage() == Stage::uploading)
        turn.refuse(peer, slot.offer, why);
}

void RoundEngine::on_offered(job::Turn& turn, const PeerId& peer, job::TransferId id,
                             const message::Manifest& manifest) {
    if (manifest.run != run_ || manifest.kind != message::TransferKind::update)
        return turn.refuse(peer, id, RefuseReason::run);
    if (phase_ == Phase::finishing || phase_ == Phase::finished)
        return turn.refuse(peer, id, RefuseReason::stopping);
    auto* slot = slots_.find(peer);
    // Between rounds the updates of the last one are too late, those of the next too early.
    bool open = phase_ == Phase::collecting;
    auto round = open ? plan_->round : completed_ + 1;
    bool over = manifest.round < round || phase_ == Phase::aggregating;
    if (over || (open && (!slot || slot->stage() == Stage::excluded))) {
        ++late_;
        return turn.refuse(peer, id, RefuseReason::stale);
    }
    if (!open || manifest.round > round) return turn.refuse(peer, id, RefuseReason::early);
    auto& s = *slot;
    if (s.stage() >= Stage::asking && s.stage() <= Stage::counted)
        return turn.refuse(peer, id, RefuseReason::duplicate);
    if (auto why = unfit(turn, peer, s, manifest)) return turn.refuse(peer, id, *why);
    // One that it had kept tells nothing about how long its work takes.
    if (s.stage() == Stage::working && s.fresh) measured(clients_[peer], kWork, turn.now - s.since);
    slots_.move(s, Stage::asking);
    s.offer = id;
    s.loss = std::isfinite(manifest.loss) ? manifest.loss : 0;
    s.byte_count = manifest.byte_count;
    s.since = turn.now;
    slots_.limit(s, Instant::never());  // that it waits is our doing
    queue_.push_back(peer);
}

std::optional<RefuseReason> RoundEngine::unfit(job::Turn& turn, const PeerId& peer, Slot& slot,
                                               const message::Manifest& m) {
    if (m.base_version != completed_) return RefuseReason::base;
    if (m.layout != layout_digest_) {
        bar(turn, peer, slot, {ErrorCode::kModelLayout, "its update is for another model", {}});
        return RefuseReason::layout;
    }
    auto traits = setup_.codec->traits();
    auto most = setup_.codec->bytes_max(setup_.layout->parameter_count());
    if (m.codec != traits.wire_id || m.byte_count > most ||
        (traits.block_bytes > 0 && m.byte_count != most)) {
        bar(turn, peer, slot,
            {ErrorCode::kUpdateSize,
             fmt::format("its update has {} bytes in codec {}, expected {} in codec {}",
                         m.byte_count, m.codec, most, traits.wire_id),
             {}});
        return RefuseReason::size;
    }
    return std::nullopt;
}

void RoundEngine::grant_more(job::Turn& turn) {
    auto in_memory = slots_.count(Stage::uploading) + slots_.count(Stage::adding);
    auto sure = slots_.count(Stage::counted) + slots_.count(Stage::adding);
    while (!queue_.empty() && in_memory < setup_.config.staging && sure < plan_->wanted) {
        auto peer = queue_.front();
        queue_.erase(queue_.begin());
        auto& slot = slots_.at(peer);
        turn.grant(peer, slot.offer);
        slots_.move(slot, Stage::uploading);
        slot.since = turn.now;
        slots_.limit(slot, turn.now + limit_of(clients_[peer], kUpload));
        ++in_memory;
    }
}

void RoundEngine::on_arrived(job::Turn& turn, const PeerId& peer, job::TransferId id,
                             tensor::Payload payload) {
    auto* found = slots_.find(peer);
    if (phase_ != Phase::collecting || !found || found->stage() != Stage::uploading ||
        found->offer != id) {
        ++late_;
        return;
    }
    auto& slot = *found;
    measured(clients_[peer], kUpload, turn.now - slot.since);
    turn.send(peer, message::UpdateReceived{run_, plan_->round});
    slots_.move(slot, Stage::adding);
    slots_.limit(slot, Instant::never());
    if (setup_.strategy->traits().needs_set) slot.payload = payload;
    job::AccumulateJob add{
        sum_, plan_->scale, peer, std::move(payload), setup_.codec->traits().wire_id, slot.weight};
    adding_[turn.start(std::move(add), job::JobClass::urgent)] = peer;
}

void RoundEngine::on_added(job::Turn& turn, const PeerId& peer, const Result<job::JobDone>& done) {
    auto& slot = slots_.at(peer);
    if (!done) return bar(turn, peer, slot, done.error());
    slots_.move(slot, Stage::counted);
    received_bytes_ += slot.byte_count;
}

void RoundEngine::on_upload_lost(job::Turn& turn, const PeerId& peer, job::TransferId id,
                                 const Error& error) {
    auto* found = slots_.find(peer);
    if (!found || found->offer != id) return;
    auto& slot = *found;
    if (slot.stage() != Stage::uploading && slot.stage() != Stage::asking) return;
    std::erase(queue_, peer);
    slots_.move(slot, Stage::working);  // it has the update and offers it again
    slot.offer = {};
    if (link_stays(error) && !may_return(turn, peer, slot)) return;
    slot.since = turn.now;
    slots_.limit(slot, turn.now + limit_of(clients_[peer], kWork));
}

void RoundEngine::on_copy_lost(job::Turn& turn, const PeerId& peer, job::TransferId id,
                               const Error& error) {
    auto& client = clients_[peer];
    if (!client.copy || !client.copy->sending || client.copy->id != id) return;
    client.copy->sending = false;
    auto* slot = slots_.find(peer);
    if (link_stays(error) && client.here && slot && slot->stage() == Stage::receiving &&
        may_return(turn, peer, *slot))
        send_copy(turn, peer, client);
}

// Its training failed: it says so instead of letting the round wait for it.
void RoundEngine::on_gave_up(job::Turn& turn, const PeerId& from,
                             const message::RoundClosed& closed) {
    auto* found = slots_.find(from);
    if (phase_ != Phase::collecting || closed.round != plan_->round || !found ||
        found->stage() >= Stage::asking)
        return;
    auto& slot = *found;
    ++refused_;
    slots_.move(slot, Stage::excluded);
    slot.barred = true;
    slots_.limit(slot, Instant::never());
    slot.why = "it gave up: " + closed.what;
    turn.notice(message::UpdateRefused{from, plan_->round, {closed.code, slot.why, {}}});
}

// For what it sent. The model is untouched, and the peer is named.
void RoundEngine::bar(job::Turn& turn, const PeerId& peer, Slot& slot, Error error) {
    ++refused_;
    slots_.move(slot, Stage::excluded);
    slot.barred = true;
    slots_.limit(slot, Instant::never());
    slot.payload = {};
    slot.why = error.what;
    std::erase(queue_, peer);
    turn.send(peer, message::RoundClosed{run_, plan_->round, error.code, error.what});
    turn.notice(message::UpdateRefused{peer, plan_->round, std::move(error)});
}

void RoundEngine::exclude(job::Turn& turn, const PeerId& peer, Slot& slot, ErrorCode code,
                          std::string why) {
    std::erase(queue_, peer);
    bool collecting = phase_ == Phase::collecting;
    if (collecting && clients_[peer].here) {
        refuse_offer(turn, peer, slot, RefuseReason::stale);
        turn.send(peer, message::RoundClosed{run_, plan_->round, code, why});
    }
    slots_.move(slot, Stage::excluded);
    slots_.limit(slot, Instant::never());
    auto what = collecting ? fmt::format("round {} goes on without {}: {}", plan_->round,
                                         peer.short_string(), why)
                           : fmt::format("the run ends without {}: {}", peer.short_string(), why);
    turn.notice(message::Warning{{code, what, {}}});
    slot.why = std::move(why);
}

void RoundEngine::give_up_slow(job::Turn& turn) {
    if (phase_ != Phase::collecting && phase_ != Phase::finishing) return;
    for (auto& [peer, slot] : slots_) {
        if (slot.limit() > turn.now) continue;
        const char* what = "it was not done with its work";
        if (slot.stage() == Stage::absent) what = "it did not come back";
        if (slot.stage() == Stage::receiving) what = "it had not received the model";
        if (slot.stage() == Stage::uploading) what = "its update had not arrived";
        exclude(turn, peer, slot, ErrorCode::kUpdateStale,
                fmt::format("{} after {}", what, format_duration(turn.now - slot.since)));
    }
}

}  // namespace gossamer::federated
