#include "protocol/membership/membership.hpp"

#include <algorithm>

namespace gossamer::membership {

Membership::Membership(MembershipConfigRef config, MemberRecord self, std::uint64_t boot_epoch,
                       std::vector<MemberRecord> known)
    : config_(std::move(config)), self_(std::move(self)) {
    timers_.fill(Instant::never());
    self_.state = MemberState::alive;
    self_.incarnation = boot_epoch << kEpochShift;
    for (MemberRecord& record : known) {
        if (record.id == self_.id || members_.size() >= kMembersMax) continue;
        Entry& entry = *members_.try_emplace(record.id).first;
        Member& member = entry.second;
        member.role = record.role;
        member.state = record.state;
        member.incarnation = record.incarnation;
        member.addresses = std::move(record.addresses);
        member.reason = "from the peer book, not heard of yet";
        member.judged = true;
        touch(entry, 0);
    }
    for (const Seed& seed : config_->seeds) {
        const auto& own = self_.addresses;
        if (std::find(own.begin(), own.end(), seed.address) != own.end()) continue;
        if (seed.expected && *seed.expected == self_.id) continue;
        seeds_.push_back({&seed, std::nullopt, {}, {}});
    }
}

void Membership::on_start(job::Turn& turn) {
    for (auto& [id, member] : members_) {
        member.detector.reset(turn.now);
        member.dial.next = turn.now;
        if (member.state < MemberState::dead) changes_.push_back({id, member.state});
        if (member.state == MemberState::suspect) {
            member.bury_at = turn.now + times().limit_cap;
            arm(Timer::bury, member.bury_at);
        }
    }
    for (SeedState& seed : seeds_) seed.dial.next = seed.since = turn.now;
    arm(Timer::dial, turn.now);
    arm(Timer::beat, turn.now + times().heartbeat_every);
    arm(Timer::suspect, turn.now + times().limit_cap);
    if (!seeds_.empty()) arm(Timer::tell, turn.now + times().limit_cap);
    dial_due(turn);
}

void Membership::on_heartbeat(job::Turn& turn, const PeerId& from,
                              const message::Heartbeat& heartbeat) {
    Entry* entry = find(from);
    if (stopped_ || !entry || !entry->second.linked) return;
    entry->second.detector.on_heartbeat(turn.now, heartbeat, entry->second.busy);
    hear_directly(turn, *entry, heartbeat.incarnation);
    learn(turn, from, heartbeat.news);
}

void Membership::on_leave(job::Turn& turn, const PeerId& from, const message::Leave& leave) {
    Entry* entry = find(from);
    if (stopped_ || !entry || leave.incarnation < entry->second.incarnation) return;
    if (entry->second.state == MemberState::left || !may_tell(turn, from)) return;
    entry->second.incarnation = leave.incarnation;
    change(turn, *entry, MemberState::left, "it left: " + leave.reason, 0);
}

void Membership::on_sign_of_life(Instant now, const PeerId& from) {
    if (Member* member = members_.get(from); member && member->linked)
        member->detector.on_sign_of_life(now);
}

void Membership::on_resume(job::Turn& turn) {
    if (stopped_) return;
    doubt(turn.now, true);
    for (auto& [id, member] : members_) member.dial.next = std::min(member.dial.next, turn.now);
    for (SeedState& seed : seeds_) seed.dial.next = std::min(seed.dial.next, turn.now);
    arm(Timer::dial, turn.now);
    arm(Timer::beat, turn.now);
}

void Membership::on_deadline(job::Turn& turn, const message::Progress& own) {
    if (stopped_) return;
    if (turn.now - next_deadline() > job::kStall) doubt(turn.now, false);
    if (at(Timer::suspect) <= turn.now) suspect_silent(turn);
    if (at(Timer::bury) <= turn.now) bury_overdue(turn);
    if (at(Timer::beat) <= turn.now) beat_all(turn, own);
    if (at(Timer::dial) <= turn.now) dial_due(turn);
    if (at(Timer::tell) <= turn.now) tell_waiting(turn);
}

Instant Membership::next_deadline() const {
    return stopped_ ? Instant::never() : *std::min_element(timers_.begin(), timers_.end());
}

void Membership::on_stop(job::Turn& turn, const std::string& reason) {
    if (stopped_) return;
    for (auto& [id, member] : members_)
        if (member.linked) turn.send(id, message::Leave{self_.incarnation, reason});
    stopped_ = true;
}

void Membership::block(job::Turn& turn, const PeerId& peer, const Error& why) {
    Member* member = members_.get(peer);
    if (!member) return;
    member->dial.blocked = true;
    member->judged = false;  // without a link by our own will
    member->dial.attempt.made().last = why;
    if (member->linked) turn.close(peer, why.what);
}

void Membership::set_busy(const PeerId& peer, bool busy) {
    if (Member* member = members_.get(peer)) member->busy = busy;
}

void Membership::want(job::Turn& turn, std::vector<PeerId> peers) {
    wanted_ = std::move(peers);
    std::ranges::sort(wanted_);
    for (auto& [id, member] : members_) member.wanted = std::ranges::binary_search(wanted_, id);
    arm(Timer::dial, turn.now);
}

void Membership::beat_all(job::Turn& turn, const message::Progress& own) {
    last_beat_ = turn.now;
    at(Timer::beat) = turn.now + jittered(turn, times().heartbeat_every, 0.1);
    for (auto& entry : members_)
        if (entry.second.linked) beat(turn, entry, own);
}

void Membership::beat(job::Turn& turn, Entry& entry, const message::Progress& own) {
    auto& [id, member] = entry;
    message::Heartbeat heartbeat{.incarnation = self_.incarnation,
                                 .busy = member.busy,
                                 .progress = own,
                                 .news = news_for(entry)};
    member.detector.on_sent(turn.now, heartbeat);
    turn.send(id, std::move(heartbeat));
    if (has_news_for(member)) soon(turn);
}

// Not more often than five times an interval: a storm of changes must not become one of messages.
void Membership::soon(job::Turn& turn) {
    arm(Timer::beat, std::max(turn.now, last_beat_ + times().heartbeat_every / 5));
}

Duration Membership::jittered(job::Turn& turn, Duration d, double part) {
    auto rng = stream(turn.seed, Purpose::jitter, draws_++, self_.id);
    return Duration{
        static_cast<std::int64_t>(static_cast<double>(d.count()) * (1 - part * rng.uniform()))};
}

Membership::Entry* Membership::find(const PeerId& peer) {
    auto found = members_.find(peer);
    return found == members_.end() ? nullptr : &*found;
}
const Membership::Entry* Membership::find(const PeerId& peer) const {
    auto found = members_.find(peer);
    return found == members_.end() ? nullptr : &*found;
}

bool Membership::linked(const PeerId& peer) const {
    const Member* member = members_.get(peer);
    return member && member->linked;
}

MemberState Membership::state_of(const PeerId& peer) const {
    const Member* member = members_.get(peer);
    return member ? member->state : MemberState::dead;
}

std::optional<Role> Membership::role_of(const PeerId& peer) const {
    const Member* member = members_.get(peer);
    return member ? std::optional(member->role) : std::nullopt;
}

bool Membership::out_of_reach(const PeerId& peer) const {
    const Member* member = members_.get(peer);
    return member && !member->linked && (!wants_link(*member) || member->dial.failures() >= 3);
}

std::vector<View> Membership::views() const {
    std::vector<View> views;
    for (const auto& entry : members_) {
        const auto& member = entry.second;
        views.push_back({record_of(entry), member.linked, member.hearsay,
                         member.detector.round_trip().mean(), member.detector.heard(),
                         member.reason.text()});
    }
    return views;
}

Digest128 Membership::digest() const {
    ByteWriter out;
    auto put = [&out](const MemberRecord& record) {
        out.put(record.id.bytes);
        out.put(record.role);
        out.put(record.state);
        out.put(record.incarnation);
        for (const auto address : record.addresses) out.put_text(address);
    };
    put(self_);
    for (const auto& entry : members_) {
        const auto& member = entry.second;
        put(record_of(entry));
        out.put(member.linked);
        out.put(member.judged);
        out.put(member.told);
        out.put(member.version);
        out.put(member.detector.heard().ns);
        out.put(member.bury_at.ns);
        out.put(member.dial.failures());
        out.put(member.dial.next.ns);
    }
    for (Instant timer : timers_) out.put(timer.ns);
    out.put(draws_);
    return digest128(out.view());
}

}  // namespace gossamer::membership
