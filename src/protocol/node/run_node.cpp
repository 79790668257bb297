#include "protocol/node/run_node.hpp"

#include <limits>

#include "gossamer/base/assert.hpp"

namespace gossamer::node {

using message::MemberState;

namespace {

RunIdentity identity_of(const NodeSetup& setup) {
    return {setup.run.name, setup.run.mode,      setup.layout,
            setup.settings, setup.setting_lines, setup.sample_count};
}

}  // namespace

RunNode::RunNode(NodeSetup setup, Core core)
    : membership_(setup.membership, setup.self, setup.boot_epoch, setup.known),
      slots_(identity_of(setup)),
      core_(std::move(core)),
      mode_(setup.run.mode),
      role_(setup.self.role) {}

void RunNode::on_start(job::Turn& turn) {
    std::visit([&](auto& core) { core.on_start(turn); }, core_);
    membership_.set_progress(progress());
    membership_.on_start(turn);
    settle(turn);
}

void RunNode::on_message(job::Turn& turn, const PeerId& from, const message::Message& m) {
    membership_.on_sign_of_life(turn.now, from);
    if (auto* beat = std::get_if<message::Heartbeat>(&m)) {
        membership_.on_heartbeat(turn, from, *beat);
        pass_progress(turn, from, beat->progress);
    } else if (auto* reply = std::get_if<message::HeartbeatReply>(&m)) {
        membership_.on_reply(turn, from, *reply);
        pass_progress(turn, from, reply->progress);
    } else if (auto* leave = std::get_if<message::Leave>(&m)) {
        membership_.on_leave(turn, from, *leave);
    } else if (auto* join = std::get_if<message::Join>(&m)) {
        take(turn, from, slots_.on_join(turn, from, *join));
    } else if (auto* answer = std::get_if<message::JoinReply>(&m)) {
        take(turn, from, slots_.on_reply(from, *answer));
    } else if (auto* progress = std::get_if<message::Progress>(&m)) {
        membership_.on_progress(from, *progress);
        pass_progress(turn, from, *progress);
    } else {
        pass_on(turn, from, m);
    }
    settle(turn);
}

void RunNode::pass_on(job::Turn& turn, const PeerId& from, const message::Message& m) {
    if (stopping_ || !slots_.open(from)) return;
    std::visit([&](auto& core) { core.on_message(turn, from, m); }, core_);
}

void RunNode::pass_progress(job::Turn& turn, const PeerId& from,
                            const message::Progress& progress) {
    if (stopping_ || !slots_.open(from) || progress.run != slots_.run()) return;
    auto& last = progress_[from];
    if (last == progress) return;
    last = progress;
    std::visit([&](auto& core) { core.on_progress(turn, from, progress); }, core_);
}

void RunNode::take(job::Turn& turn, const PeerId& peer, RunSlots::Outcome outcome) {
    if (outcome.opened && !stopping_) {
        joined_once_.insert(peer);
        held_.erase(peer);
        refused_.erase(peer);
        progress_.erase(peer);
        const auto& join = slots_.join_of(peer);
        std::visit([&](auto& core) { core.on_joined(turn, peer, join); }, core_);
    }
    if (outcome.refused) {
        held_.erase(peer);
        if (auto& told = refused_[peer]; told != outcome.refused->what) {
            told = outcome.refused->what;
            turn.notice(message::Warning{{outcome.refused->code,
                                          "no common run with " + peer.short_string() + ": " + told,
                                          outcome.refused->hint}});
        }
        membership_.block(turn, peer, *outcome.refused);
    }
}

void RunNode::on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event) {
    const auto* up = std::get_if<job::LinkUp>(&event);
    if (up || std::holds_alternative<job::LinkDown>(event)) close_slot(turn, peer);
    membership_.on_link(turn, peer, event);
    if (up && !stopping_ && membership_.linked(peer) && matters(up->role)) {
        std::visit([&](auto& core) { core.on_link(turn, peer, true); }, core_);
        slots_.on_up(turn, peer, progress());
    }
    settle(turn);
}

void RunNode::close_slot(job::Turn& turn, const PeerId& peer) {
    bulk_.erase(peer);
    progress_.erase(peer);
    if (slots_.on_down(peer))
        std::visit([&](auto& core) { core.on_link(turn, peer, false); }, core_);
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
        if (arrived && !slots_.open(peer)) return settle(turn);
        std::visit([&](auto& core) { core.on_transfer(turn, peer, id, std::move(event)); }, core_);
    }
    settle(turn);
}

void RunNode::answer_offer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                           message::TransferEvent event) {
    using message::RefuseReason;
    const auto& manifest = std::get<message::TransferOffered>(event).manifest;
    if (stopping_) return turn.refuse(peer, id, RefuseReason::stopping);
    if (!slots_.open(peer) || manifest.run != slots_.run())
        return turn.refuse(peer, id, RefuseReason::run);
    if (manifest.layout != slots_.layout_digest())
        return turn.refuse(peer, id, RefuseReason::layout);
    std::visit([&](auto& core) { core.on_transfer(turn, peer, id, std::move(event)); }, core_);
}

void RunNode::on_sign_of_life(job::Turn& turn, const PeerId& peer) {
    membership_.on_sign_of_life(turn.now, peer);
}

void RunNode::on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done,
                          Duration elapsed) {
    const bool known = std::visit(
        [&](auto& core) { return core.on_job_done(turn, id, std::move(done), elapsed); }, core_);
    GOSSAMER_ASSERT(known, "every job belongs to the core");
    settle(turn);
}

void RunNode::on_resume(job::Turn& turn, Duration asleep) {
    turn.notice(message::Resumed{asleep});
    membership_.on_resume(turn, asleep);
    std::visit([&](auto& core) { core.on_resume(turn, asleep); }, core_);
    settle(turn);
}

void RunNode::on_deadline(job::Turn& turn) {
    if (membership_.next_deadline() <= turn.now) membership_.on_deadline(turn);
    std::visit(
        [&](auto& core) {
            if (core.next_deadline() <= turn.now) core.on_deadline(turn);
        },
        core_);
    settle(turn);
}

Instant RunNode::next_deadline() const {
    return std::min(membership_.next_deadline(),
                    std::visit([](const auto& core) { return core.next_deadline(); }, core_));
}

void RunNode::on_stop(job::Turn& turn, const std::string& reason) {
    if (std::exchange(stopping_, true)) return;
    if (auto* gossip = std::get_if<gossip::Gossip>(&core_)) gossip->on_stop(turn, reason);
    membership_.on_stop(turn, reason);
}

bool RunNode::stopped() const {
    if (!membership_.stopped()) return false;
    // An aggregator and its clients may go at any moment: what counts is on disk already.
    const auto* gossip = std::get_if<gossip::Gossip>(&core_);
    return !gossip || gossip->stopped();
}

bool RunNode::finished() const {
    return std::visit([](const auto& core) { return core.finished(); }, core_);
}

message::Progress RunNode::progress() const {
    return std::visit([](const auto& core) { return core.progress(); }, core_);
}

// ---- between the parts --------------------------------------------------------------------------

bool RunNode::matters(Role role) const {
    if (mode_ == message::Mode::gossip) return role == Role::peer;
    return role == (role_ == Role::aggregator ? Role::peer : Role::aggregator);
}

bool RunNode::matters(const PeerId& peer) const {
    const auto role = membership_.role_of(peer);
    return role && matters(*role);
}

void RunNode::settle(job::Turn& turn) {
    for (const auto& change : membership_.take_changes())
        tell_core(turn, change.peer, change.state);
    tell_held(turn);
    membership_.set_progress(progress());
    if (const auto* gossip = std::get_if<gossip::Gossip>(&core_);
        gossip && !wants_told_ && gossip->knows_neighbours()) {
        wants_told_ = true;
        membership_.want(turn, gossip->neighbours());
    }
    note_traffic(turn);
}

// In a full mesh the core hears of a living member when its slot opens, so that nobody of another
// run is ever counted; of one that cannot be linked with, by the word of the others.
void RunNode::tell_core(job::Turn& turn, const PeerId& peer, MemberState state) {
    if (state >= MemberState::dead) refused_.erase(peer);  // its next life may be set right
    if (stopping_ || !matters(peer) || refused_.contains(peer)) return;
    held_.erase(peer);
    if (state == MemberState::alive && comes_by_itself() && !joined_once_.contains(peer)) {
        held_.insert(peer);
        return;
    }
    std::visit([&](auto& core) { core.on_member(turn, peer, state); }, core_);
}

// Whoever matters here opens a slot of its own accord: nobody need be counted before.
bool RunNode::comes_by_itself() const {
    return membership_.full_mesh() ||
           (membership_.local_view() && mode_ == message::Mode::federated);
}

void RunNode::tell_held(job::Turn& turn) {
    if (held_.empty() || stopping_ || (membership_.local_view() && comes_by_itself())) return;
    for (auto it = held_.begin(); it != held_.end();) {
        const PeerId peer = *it;
        if (comes_by_itself() && !membership_.out_of_reach(peer)) {
            ++it;
            continue;
        }
        it = held_.erase(it);
        std::visit([&](auto& core) { core.on_member(turn, peer, MemberState::alive); }, core_);
    }
}

void RunNode::note_traffic(const job::Turn& turn) {
    std::set<PeerId> touched;
    for (const auto& offer : turn.offers) {
        bulk_[offer.to].insert({false, offer.id.value});
        touched.insert(offer.to);
    }
    for (const auto& grant : turn.grants) {
        if (grant.refused) continue;
        bulk_[grant.from].insert({true, grant.id.value});
        touched.insert(grant.from);
    }
    for (const auto& id : turn.withdrawn)
        for (auto& [peer, transfers] : bulk_)
            if (transfers.erase({false, id.value}) > 0) touched.insert(peer);
    for (const PeerId& peer : touched) membership_.set_busy(peer, !bulk_[peer].empty());
}

void RunNode::end_transfer(const PeerId& peer, bool incoming, job::TransferId id) {
    auto found = bulk_.find(peer);
    if (found == bulk_.end()) return;
    found->second.erase({incoming, id.value});
    if (!found->second.empty()) return;
    bulk_.erase(found);
    membership_.set_busy(peer, false);
}

// ---- what others see ----------------------------------------------------------------------------

NodeStatus RunNode::status(Instant now) const {
    NodeStatus status;
    const auto core = std::visit(
        [&](const auto& c) {
            auto s = c.status(now);
            return job::CoreStatus{s.phase, s.round, s.round_max, s.loss, s.accuracy, s.waiting};
        },
        core_);
    status.mode = mode_;
    status.phase = core.phase;
    status.round = core.round;
    status.round_max = core.round_max;
    status.loss = core.loss;
    status.accuracy = core.accuracy;
    status.waiting = core.waiting;
    for (auto& waiting : membership_.waiting()) status.waiting.push_back(std::move(waiting));
    for (auto& view : membership_.views()) {
        MemberView member{std::move(view.record), view.linked,   view.round_trip,
                          now - view.heard,       view.progress, view.reason};
        status.members.push_back(std::move(member));
    }
    return status;
}

Digest128 RunNode::digest() const {
    ByteWriter out;
    out.put(membership_.digest());
    out.put(slots_.digest());
    out.put(std::visit([](const auto& core) { return core.digest(); }, core_));
    for (const auto& [peer, transfers] : bulk_) {
        out.put(peer.bytes);
        out.put(transfers.size());
    }
    return digest128(out.view());
}

// ---- making them --------------------------------------------------------------------------------

std::unique_ptr<Node> make_gossip_peer(NodeSetup setup, gossip::GossipSetup core) {
    GOSSAMER_ASSERT(setup.self.role == Role::peer, "gossip is among peers");
    return std::make_unique<RunNode>(std::move(setup), gossip::Gossip(std::move(core)));
}

std::unique_ptr<Node> make_federated_peer(NodeSetup setup, federated::ClientSetup core) {
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
