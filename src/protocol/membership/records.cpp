// What is said about whom: the rules by which records are taken, refuted and passed on.
#include <algorithm>
#include <utility>

#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

constexpr std::uint64_t kIncarnationMax = std::uint64_t{1} << 62;  // beyond: nonsense
constexpr std::size_t kAddressesMax = 8;

// Incarnations begin at a clock's seconds. One that no clock has given yet would silence its owner:
// who is told of it rises above it, and at the top there is nothing above.
std::uint64_t incarnation_bound(WallTime wall) {
    constexpr std::int64_t kYear = 366 * 86400;
    const auto ahead = std::max<std::int64_t>(wall.ns / 1'000'000'000, 0) + kYear;
    return static_cast<std::uint64_t>(ahead) << kEpochShift;
}

bool sensible(const MemberRecord& record, WallTime wall) {
    return record.incarnation < incarnation_bound(wall) &&
           record.addresses.size() <= kAddressesMax && record.role != Role::operator_ &&
           !record.id.is_zero();
}

}  // namespace

void Membership::learn(job::Turn& turn, const PeerId& from, const std::vector<MemberRecord>& news) {
    std::size_t count = 0;
    for (const MemberRecord& record : news) {
        if (++count > kNewsMax) return;
        if (!sensible(record, turn.wall)) continue;
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
        if (!may_tell(turn, from)) return;
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
        (newer || own_words || known.addresses.empty()) && may_tell(turn, from)) {
        known.addresses = record.addresses;
        touch(*member, from);
        if (wants_link(*member)) arm(Timer::dial, std::max(member->dial.next, turn.now));
    }
    if (own_words) return;  // its incarnation came with the message; it is alive, evidently
    if (!newer && record.state <= known.state) return;
    if (!may_tell(turn, from)) return;

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
    if (incarnation > known.incarnation && !may_tell(turn, from)) return;
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

// Everything a member says that changes a record here costs it one of its budget. No honest member
// has more to tell: a whole table at once, then what happens.
bool Membership::may_tell(job::Turn& turn, const PeerId& teller) {
    Member* member = find(teller);
    if (!member) return true;
    const double intervals =
        seconds(turn.now - member->budget_time) / seconds(times_.heartbeat_every);
    member->budget = std::min(kBudgetMax, member->budget + intervals * kBudgetRefill);
    member->budget_time = turn.now;
    if (member->budget >= 1) {
        member->budget -= 1;
        if (member->budget > kBudgetMax / 2) member->overdrawn = false;
        return true;
    }
    if (!std::exchange(member->overdrawn, true))
        turn.notice(message::Warning{
            {ErrorCode::kLinkFlood,
             teller.short_string() + " tells more news of members than there can be; the rest is "
                                     "not believed",
             "Look at that peer, and take its certificate away if it is hostile."}});
    return false;
}

// The places are taken, and somebody came with a certificate: one who was only spoken of goes.
void Membership::make_room() {
    auto least = members_.end();
    for (auto it = members_.begin(); it != members_.end(); ++it) {
        const Member& member = it->second;
        if (member.linked || member.met) continue;
        if (least == members_.end() || member.record.state > least->second.record.state) least = it;
    }
    if (least == members_.end()) return;
    if (least->second.record.state < MemberState::dead)
        changes_.push_back({least->first, MemberState::dead});
    versions_.erase(least->second.version);
    members_.erase(least);
}

Membership::Member* Membership::meet(job::Turn& turn, const PeerId& id, Role role,
                                     MemberState state, std::string how) {
    if (members_.size() >= places()) {
        if (!full_warned_)
            turn.notice(message::Warning{
                {ErrorCode::kLinkBusy,
                 std::to_string(places()) + " members are known; more are not remembered",
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
