// What is said about whom: the rules by which records are taken, refuted and passed on.
#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

constexpr std::uint64_t kIncarnationMax = std::uint64_t{1} << 62;  // beyond: nonsense
constexpr std::size_t kAddressesMax = 8;

bool sensible(const MemberRecord& record) {
    return record.incarnation < kIncarnationMax && record.addresses.size() <= kAddressesMax &&
           record.role != Role::operator_ && !record.id.is_zero();
}

}  // namespace

void Membership::learn(job::Turn& turn, const PeerId& from, const std::vector<MemberRecord>& news) {
    std::size_t count = 0;
    for (const MemberRecord& record : news) {
        if (++count > kNewsMax) return;
        if (!sensible(record)) continue;
        if (record.id == self_.id)
            hear_about_self(turn, from, record);
        else if (!config_.local_view || record.id == from || record.role == Role::aggregator ||
                 members_.contains(record.id))
            learn_one(turn, from, record);
    }
}

void Membership::learn_one(job::Turn& turn, const PeerId& from, const MemberRecord& record) {
    Member* member = find(record.id);
    if (!member) {
        const std::string how = "heard of from " + from.short_string();
        member = meet(turn, record.id, record.role, record.state, how);
        if (!member) return;
        member->record = record;
        member->teller = from;
        arm(Timer::dial, member->dial.next);
        if (record.state == MemberState::suspect) {
            member->bury_at = turn.now + times_.suspicion;
            arm(Timer::bury, member->bury_at);
        }
        return;
    }
    MemberRecord& known = member->record;
    if (record.incarnation < known.incarnation) return;
    const bool newer = record.incarnation > known.incarnation;
    const bool own_words = from == record.id;
    if (!record.addresses.empty() && record.addresses != known.addresses &&
        (newer || own_words || known.addresses.empty())) {
        known.addresses = record.addresses;
        touch(*member, from);
        arm(Timer::dial, std::max(member->dial.next, turn.now));
    }
    if (own_words) return;  // its incarnation came with the message; it is alive, evidently
    if (!newer && record.state <= known.state) return;

    const bool heard = member->linked && known.state == MemberState::alive &&
                       turn.now < member->detector.suspect_at(times_);
    if (record.state != MemberState::alive && heard) {
        member->accused = true;
        member->accused_state = record.state;
        soon(turn);
        return;
    }
    known.incarnation = record.incarnation;
    const std::string teller = from.short_string();
    switch (record.state) {
        case MemberState::alive:
            member->judged = member->linked;
            if (known.state == MemberState::alive) touch(*member, from);
            change(turn, *member, MemberState::alive, teller + " says it is back", from);
            return;
        case MemberState::suspect:
        case MemberState::dead:
            if (known.state == MemberState::suspect) return touch(*member, from);
            if (!newer && known.state > MemberState::suspect) return;
            suspect(turn, *member,
                    teller + " says it is " + std::string(message::to_string(record.state)),
                    times_.suspicion);
            return;
        case MemberState::left:
            change(turn, *member, MemberState::left, teller + " says it left", from);
            return;
    }
}

void Membership::hear_about_self(job::Turn& turn, const PeerId& from, const MemberRecord& record) {
    const bool against = record.state != MemberState::alive;
    if (record.incarnation < self_.incarnation) return;
    if (record.incarnation == self_.incarnation && !against) return;
    self_.incarnation = record.incarnation + 1;
    versions_.erase(self_version_);
    self_version_ = next_version_++;
    versions_[self_version_] = self_.id;
    if (against)
        turn.notice(message::MemberChanged{self_.id, record.state, MemberState::alive,
                                           "refuted what " + from.short_string() + " said"});
    soon(turn);
}

void Membership::hear_directly(job::Turn& turn, const PeerId& from, std::uint64_t incarnation) {
    Member* member = find(from);
    MemberRecord& known = member->record;
    if (incarnation >= kIncarnationMax) return;
    if (incarnation > known.incarnation) {
        known.incarnation = incarnation;
        member->judged = true;
        member->accused = false;
        if (known.state == MemberState::alive) return touch(*member, PeerId{});
        const bool gone = known.state >= MemberState::dead;
        change(turn, *member, MemberState::alive, gone ? "it is back" : "heard again", PeerId{});
        return;
    }
    if (incarnation == known.incarnation && known.state == MemberState::suspect)
        change(turn, *member, MemberState::alive, "heard again", PeerId{});
    if (incarnation < known.incarnation || known.state != MemberState::alive) {
        member->accused = true;  // so that it can rise above what is known of it
        member->accused_state = known.state;
        soon(turn);
    }
}

std::vector<MemberRecord> Membership::news_for(Member& member) {
    std::vector<MemberRecord> news;
    if (member.accused) {
        news.push_back(member.record);
        news.back().state = member.accused_state;
        member.accused = false;
    }
    if (config_.local_view) {
        if (member.told < self_version_) news.push_back(self_);
        member.told = next_version_ - 1;
        return news;
    }
    auto at = versions_.upper_bound(member.told);
    for (; at != versions_.end() && news.size() < kNewsMax; ++at) {
        member.told = at->first;
        if (at->second == self_.id) {
            news.push_back(self_);
            continue;
        }
        const Member& other = members_.at(at->second);
        if (&other == &member || other.teller == member.record.id) continue;
        if (other.record.incarnation == 0) continue;  // linked, but not heard yet
        news.push_back(other.record);
    }
    return news;
}

bool Membership::has_news_for(const Member& member) const {
    if (config_.local_view) return member.accused || member.told < self_version_;
    return member.accused || versions_.upper_bound(member.told) != versions_.end();
}

Membership::Member* Membership::meet(job::Turn& turn, const PeerId& id, Role role,
                                     MemberState state, std::string how) {
    const auto most = config_.local_view ? kLocalMembersMax : kMembersMax;
    if (members_.size() >= most) {
        if (!full_warned_)
            turn.notice(message::Warning{
                {ErrorCode::kLinkBusy,
                 std::to_string(most) + " members are known; more are not remembered",
                 {}}});
        full_warned_ = true;
        return nullptr;
    }
    Member& member = members_[id];
    member.record.id = id;
    member.record.role = role;
    member.record.state = state;
    member.reason = how;
    member.detector.reset(turn.now);
    const bool they_may_dial = !self_.addresses.empty() && id < self_.id;
    member.dial.next = they_may_dial ? turn.now + times_.dial_stagger : turn.now;
    touch(member, PeerId{});
    if (state >= MemberState::dead) return &member;  // remembered so that nobody raises it
    changes_.push_back({id, state});
    turn.notice(message::MemberChanged{id, state, state, std::move(how)});
    if (!config_.local_view) soon(turn);
    return &member;
}

void Membership::change(job::Turn& turn, Member& member, MemberState to, std::string reason,
                        const PeerId& teller) {
    const MemberState from = member.record.state;
    if (from == to) return;
    member.record.state = to;
    member.reason = std::move(reason);
    member.bury_at = Instant::never();
    if (to == MemberState::alive && member.judged)
        arm(Timer::suspect, member.detector.suspect_at(times_));
    touch(member, teller);
    changes_.push_back({member.record.id, to});
    turn.notice(message::MemberChanged{member.record.id, from, to, member.reason});
    if (!config_.local_view) soon(turn);
}

void Membership::touch(Member& member, const PeerId& teller) {
    versions_.erase(member.version);
    member.version = next_version_++;
    versions_[member.version] = member.record.id;
    member.teller = teller;
}

}  // namespace gossamer::membership
