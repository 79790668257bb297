#include "protocol/node/run_node.hpp"

#include <algorithm>
#include <limits>

#include "gossamer/base/assert.hpp"

namespace gossamer::node {

using message::MemberState;

RunNode::RunNode(NodeSetup setup, Core core)
    : membership_(std::move(setup.membership), setup.self, setup.boot_epoch,
                  std::move(setup.known)),
      slots_(std::move(setup.run), setup.sample_count),
      core_(std::move(core)),
      role_(setup.self.role) {}

void RunNode::on_start(job::Turn& turn) {
    with_core([&](auto& core) { core.on_start(turn); });
    membership_.on_start(turn);
    settle(turn);
}

void RunNode::on_message(job::Turn& turn, const PeerId& from, const message::Message& m) {
    membership_.on_sign_of_life(turn.now, from);
    if (auto* beat = std::get_if<message::Heartbeat>(&m)) {
        membership_.on_heartbeat(turn, from, *beat);
        hear_progress(turn, from, beat->progress);
    } else if (auto* leave = std::get_if<message::Leave>(&m)) {
        membership_.on_leave(turn, from, *leave);
    } else if (auto* join = std::get_if<message::Join>(&m)) {
        if (auto* peer = peers_.get(from); peer && peer->linked)
            take(turn, from, *peer, slots_.on_join(turn, from, peer->slot, *join));
    } else if (auto* answer = std::get_if<message::JoinReply>(&m)) {
        if (auto* peer = peers_.get(from); peer && peer->linked)
            take(turn, from, *peer, slots_.on_reply(peer->slot, *answer));
    } else if (auto* progress = std::get_if<message::Progress>(&m)) {
        hear_progress(turn, from, *progress);
    } else {
        pass_on(turn, from, m);
    }
    settle(turn);
}

void RunNode::pass_on(job::Turn& turn, const PeerId& from, const message::Message& m) {
    if (stopping_ || !open(from)) return;
    with_core([&](auto& core) { core.on_message(turn, from, m); });
}

bool RunNode::open(const PeerId& peer) const {
    const auto* known = peers_.get(peer);
    return known && known->slot.open;
}

void RunNode::hear_progress(job::Turn& turn, const PeerId& from,
                            const message::Progress& progress) {
    auto* peer = peers_.get(from);
    if (!peer && !membership_.linked(from)) return;
    if (!peer) peer = &peers_[from];  // of no concern here, but for people who look
    const bool same = peer->told && peer->progress == progress;
    peer->progress = progress;
    if (same || stopping_ || !peer->slot.open || progress.run != slots_.run()) return;
    peer->told = true;
    with_core([&](auto& core) { core.on_progress(turn, from, progress); });
}

void RunNode::take(job::Turn& turn, const PeerId& id, Peer& peer, RunSlots::Outcome outcome) {
    if (outcome.opened && !stopping_) {
        peer.joined_once = true;
        hold(peer, false);
        peer.refused.reset();
        peer.told = false;
        const auto join = slots_.join_of(peer.slot);
        with_core([&](auto& core) { core.on_joined(turn, id, join); });
    }
    if (outcome.refused) {
        hold(peer, false);
        if (!peer.refused || *peer.refused != outcome.refused->what) {
            peer.refused = outcome.refused->what;
            turn.notice(message::Warning{
                {outcome.refused->code,
                 "no common run with " + id.short_string() + ": " + outcome.refused->what,
                 outcome.refused->hint}});
        }
        membership_.block(turn, id, *outcome.refused);
    }
}

void RunNode::on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event) {
    const auto* up = std::get_if<job::LinkUp>(&event);
    if (up || std::holds_alternative<job::LinkDown>(event)) close_slot(turn, peer);
    membership_.on_link(turn, peer, event, progress());
    if (up && !stopping_ && membership_.linked(peer) && matters(up->role)) {
        with_core([&](auto& core) { core.on_link(turn, peer, true); });
        peers_[peer].linked = true;
        slots_.greet(turn, peer, progress());
    }
    settle(turn);
}

void RunNode::close_slot(job::Turn& turn, const PeerId& id) {
    auto* peer = peers_.get(id);
    if (!peer) return;
    peer->bulk.reset();
    const bool was_open = peer->slot.open;
    peer->linked = peer->told = false;
    peer->slot = {};
    if (was_open) with_core([&](auto& core) { core.on_link(turn, id, false); });
}

void RunNode::on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                          message::TransferEvent event) {
    membership_.on_sign_of_life(turn.now, peer);
    if (std::holds_alternative<message::TransferOffered>(event)) {
        answer_offer(turn, peer, id, std::move(event));
    } else {
        const auto* lost = std::get_if<message::TransferLost>(&event);
        const bool arrived = std::holds_alternative<message::TransferArrived>(event);
        end_transfer(peer, arrived || (lost && lost->incoming), id);
        if (arrived && !open(peer)) return settle(turn);
        with_core([&](auto& core) { core.on_transfer(turn, peer, id, std::move(event)); });
    }
    settle(turn);
}

void RunNode::answer_offer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                           message::TransferEvent event) {
    using message::RefuseReason;
    const auto& manifest = std::get<message::TransferOffered>(event).manifest;
    if (stopping_) return turn.refuse(peer, id, RefuseReason::stopping);
    if (!open(peer) || manifest.run != slots_.run())
        return turn.refuse(peer, id, RefuseReason::run);
    if (manifest.layout != slots_.layout_digest())
        return turn.refuse(peer, id, RefuseReason::layout);
    with_core([&](auto& core) { core.on_transfer(turn, peer, id, std::move(event)); });
}

void RunNode::on_sign_of_life(job::Turn& turn, const PeerId& peer) {
    membership_.on_sign_of_life(turn.now, peer);
}

void RunNode::on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done,
                          Duration elapsed) {
    const bool known =
        with_core([&](auto& core) { return core.on_job_done(turn, id, std::move(done), elapsed); });
    GOSSAMER_ASSERT(known, "every job belongs to the core");
    settle(turn);
}

void RunNode::on_resume(job::Turn& turn, Duration asleep) {
    turn.notice(message::Resumed{asleep});
    membership_.on_resume(turn);
    with_core([&](auto& core) { core.on_resume(turn, asleep); });
    settle(turn);
}

void RunNode::on_deadline(job::Turn& turn) {
    if (membership_.next_deadline() <= turn.now) membership_.on_deadline(turn, progress());
    with_core([&](auto& core) {
        if (core.next_deadline() <= turn.now) core.on_deadline(turn);
    });
    settle(turn);
}

Instant RunNode::next_deadline() const {
    return std::min(membership_.next_deadline(),
                    with_core([](const auto& core) { return core.next_deadline(); }));
}

void RunNode::on_stop(job::Turn& turn, const std::string& reason) {
    if (std::exchange(stopping_, true)) return;
    if (auto* gossip = std::get_if<Boxed<gossip::Gossip>>(&core_)) (*gossip)->on_stop(turn, reason);
    membership_.on_stop(turn, reason);
}

bool RunNode::stopped() const {
    if (!membership_.stopped()) return false;
    // An aggregator and its clients may go at any moment: what counts is on disk already.
    const auto* gossip = core_as<gossip::Gossip>();
    return !gossip || gossip->stopped();
}

bool RunNode::finished() const {
    return with_core([](const auto& core) { return core.finished(); });
}

message::Progress RunNode::progress() const {
    return with_core([](const auto& core) { return core.progress(); });
}

// ---- between the parts --------------------------------------------------------------------------

bool RunNode::matters(Role role) const {
    if (slots_.mode() == message::Mode::gossip) return role == Role::peer;
    return role == (role_ == Role::aggregator ? Role::peer : Role::aggregator);
}

bool RunNode::matters(const PeerId& peer) const {
    const auto role = membership_.role_of(peer);
    return role && matters(*role);
}

void RunNode::settle(job::Turn& turn) {
    if (membership_.has_changes())
        for (const auto& change : membership_.take_changes())
            tell_core(turn, change.peer, change.state);
    tell_held(turn);
    if (const auto* gossip = core_as<gossip::Gossip>();
        gossip && !wants_told_ && gossip->knows_neighbours()) {
        wants_told_ = true;
        membership_.want(turn, gossip->neighbours());
    }
    note_traffic(turn);
}

// In a full mesh the core hears of a living member when its slot opens, so that nobody of another
// run is ever counted; of one that cannot be linked with, by the word of the others.
void RunNode::tell_core(job::Turn& turn, const PeerId& peer, MemberState state) {
    auto* known = peers_.get(peer);
    if (known && state >= MemberState::dead) known->refused.reset();  // set right in its next life
    if (stopping_ || !matters(peer) || (known && known->refused)) return;
    if (known) hold(*known, false);
    if (state == MemberState::alive && comes_by_itself() && !(known && known->joined_once))
        return hold(peers_[peer], true);
    with_core([&](auto& core) { core.on_member(turn, peer, state); });
}

void RunNode::hold(Peer& peer, bool held) {
    held_count_ += held;
    held_count_ -= std::exchange(peer.held, held);
}

// Whoever matters here opens a slot of its own accord: nobody need be counted before.
bool RunNode::comes_by_itself() const {
    return membership_.full_mesh() ||
           (membership_.local_view() && slots_.mode() == message::Mode::federated);
}

void RunNode::tell_held(job::Turn& turn) {
    if (held_count_ == 0 || stopping_ || (membership_.local_view() && comes_by_itself())) return;
    for (auto& [id, peer] : peers_) {
        if (!peer.held || (comes_by_itself() && !membership_.out_of_reach(id))) continue;
        hold(peer, false);
        with_core([&](auto& core) { core.on_member(turn, id, MemberState::alive); });
    }
}

void RunNode::note_traffic(const job::Turn& turn) {
    for (const auto& offer : turn.offers) begin_transfer(offer.to, false, offer.id);
    for (const auto& grant : turn.grants)
        if (grant.refused)
            end_transfer(grant.from, true, grant.id);  // it may have been granted before
        else
            begin_transfer(grant.from, true, grant.id);
    for (const auto& gone : turn.withdrawn) end_transfer(gone.to, false, gone.id);
}

void RunNode::begin_transfer(const PeerId& id, bool incoming, job::TransferId transfer) {
    auto& bulk = peers_[id].bulk.made();
    const std::pair one{incoming, transfer.value};
    if (std::ranges::find(bulk, one) == bulk.end()) bulk.push_back(one);
    membership_.set_busy(id, true);
}

void RunNode::end_transfer(const PeerId& id, bool incoming, job::TransferId transfer) {
    auto* peer = peers_.get(id);
    if (!peer || !peer->bulk) return;
    if (std::erase(*peer->bulk, std::pair{incoming, transfer.value}) == 0 || !peer->bulk->empty())
        return;
    peer->bulk.reset();
    membership_.set_busy(id, false);
}

// ---- what others see ----------------------------------------------------------------------------

NodeStatus RunNode::status(Instant now) const {
    NodeStatus status;
    auto core = with_core([&](const auto& c) { return c.status(now); });
    status.mode = slots_.mode();
    status.phase = core.phase;
    status.round = core.round;
    status.round_max = core.round_max;
    status.loss = core.loss;
    status.accuracy = core.accuracy;
    status.waiting = std::move(core.waiting);
    for (auto& waiting : membership_.waiting()) status.waiting.push_back(std::move(waiting));
    for (auto& view : membership_.views()) {
        const auto* peer = peers_.get(view.record.id);
        MemberView member{std::move(view.record), view.linked,      view.hearsay,
                          view.round_trip,        now - view.heard, {},
                          std::move(view.reason)};
        if (peer) member.progress = peer->progress;
        status.members.push_back(std::move(member));
    }
    return status;
}

Digest128 RunNode::digest() const {
    ByteWriter out;
    out.put(membership_.digest());
    out.put(with_core([](const auto& core) { return core.digest(); }));
    for (const auto& [id, peer] : peers_) {
        out.put(id.bytes);
        out.put(peer.linked), out.put(peer.slot.answered);
        out.put(peer.slot.said), out.put(peer.slot.accepted);
        out.put(peer.held), out.put(peer.joined_once), out.put(peer.refused.has_value());
        out.put(peer.bulk ? peer.bulk->size() : 0);
    }
    return digest128(out.view());
}

void RunNode::fetch(unsigned which, const PeerId* peer, bool beat) const {
    membership_.fetch(which, peer);
    if (which == 0) peers_.fetch_way();
    if (which == 1 && peer) peers_.fetch_value(*peer);
    if (const auto* gossip = core_as<gossip::Gossip>()) gossip->fetch(which, beat);
}

// ---- making them --------------------------------------------------------------------------------

std::unique_ptr<Node> make_gossip_peer(NodeSetup setup, gossip::GossipSetupRef core,
                                       std::optional<job::Restored> restored) {
    GOSSAMER_ASSERT(setup.self.role == Role::peer, "gossip is among peers");
    gossip::Gossip made(std::move(core), setup.self.id, std::move(restored));
    return std::make_unique<RunNode>(std::move(setup), std::move(made));
}

std::unique_ptr<Node> make_federated_peer(NodeSetup setup, federated::ClientSetupRef core) {
    GOSSAMER_ASSERT(setup.self.role == Role::peer, "clients are peers");
    return std::make_unique<RunNode>(std::move(setup), federated::FederatedClient(std::move(core)));
}

Result<std::unique_ptr<Node>> make_aggregator(NodeSetup setup, federated::EngineSetup core,
                                              std::optional<job::Restored> restored) {
    GOSSAMER_ASSERT(setup.self.role == Role::aggregator, "an aggregator's role");
    federated::RoundEngine engine(std::move(core));
    if (restored) GOSSAMER_CHECK(engine.restore(*std::move(restored)));
    return std::make_unique<RunNode>(std::move(setup), std::move(engine));
}

}  // namespace gossamer::node
