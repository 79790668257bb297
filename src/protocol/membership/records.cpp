// What is said about whom: the rules by which records are taken, refuted and passed on.
#include <algorithm>
#include <utility>

#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

constexpr std::uint64_t kIncarnationMax = std::uint64_t{1} << 62;  // beyond: nonsense

// Incarnations begin at a clock's seconds. One that no clock has given yet would silence its owner:
// who is told of it rises above it, and at the top there is nothing above.
std::uint64_t incarnation_bound(WallTime wall) {
    constexpr std::int64_t kYear = 366 * 86400;
    const auto ahead = std::max<std::int64_t>(wall.ns / 1'000'000'000, 0) + kYear;
    return static_cast<std::uint64_t>(ahead) << kEpochShift;
}

bool sensible(const MemberRecord& record, WallTime wall) {
    return record.incarnation < incarnation_bound(wall) &&
           record.addresses.size() <= message::kAddressesMax && record.role != Role::operator_ &&
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
        else if (!local_view() || record.id == from || record.role == Role::aggregator ||
                 members_.contains(record.id))
            learn_one(turn, from, record);
    }
}

void Membership::learn_one(job::Turn& turn, const PeerId& from, const MemberRecord& record) {
    Entry* entry = find(record.id);
    if (!entry) {
        if (!may_tell(turn, from)) return;
        if (hearsay_count_ >= hearsay_places())
            return warn_full(turn, hearsay_warned_, hearsay_count_, "members whom nobody here met");
        entry = meet(turn, record.id, record.role, record.state,
                     "heard of from " + from.short_string());
        if (!entry) return;
        Member& fresh = entry->second;
        fresh.hearsay = true;
        ++hearsay_count_;
        fresh.incarnation = record.incarnation;
        fresh.addresses = record.addresses;
        fresh.teller = from.prefix();
        arm(Timer::dial, fresh.dial.next);
        if (record.state == MemberState::suspect) {
            fresh.bury_at = turn.now + times().suspicion;
            arm(Timer::bury, fresh.bury_at);
        }
        return;
    }
    Member& known = entry->second;
    if (record.incarnation < known.incarnation) return;
    const bool newer = record.incarnation > known.incarnation;
    const bool own_words = from == record.id;
    if (!record.addresses.empty() && record.addresses != known.addresses &&
        (newer || own_words || known.addresses.empty()) && may_tell(turn, from)) {
        known.addresses = record.addresses;
        if (known.found) {
            for (const auto address : known.addresses) std::erase(known.found->at, address);
            if (known.found->at.empty() && known.found->next == 0) known.found.reset();
        }
        touch(*entry, from.prefix());
        if (wants_link(known)) arm(Timer::dial, std::max(known.dial.next, turn.now));
    }
    if (own_words) return;  // its incarnation came with the message; it is alive, evidently
    if (!newer && record.state <= known.state) return;
    if (!may_tell(turn, from)) return;

    const bool heard = known.linked && known.state == MemberState::alive &&
                       turn.now < known.detector.suspect_at(times());
    if (record.state != MemberState::alive && heard) {
        known.accused = true;
        known.accused_state = record.state;
        soon(turn);
        return;
    }
    known.incarnation = record.incarnation;
    const std::string teller = from.short_string();
    switch (record.state) {
        case MemberState::alive:
            known.judged = known.linked;
            known.detector.on_sign_of_life(turn.now);  // through others: silence counts anew
            if (known.state == MemberState::alive) touch(*entry, from.prefix());
            change(turn, *entry, MemberState::alive, teller + " says it is back", from.prefix());
            if (wants_link(known)) arm(Timer::dial, std::max(known.dial.next, turn.now));
            return;
        case MemberState::suspect:
        case MemberState::dead: {
            auto why = teller + " says it is " + std::string(message::to_string(record.state));
            if (known.state == MemberState::suspect) return touch(*entry, from.prefix());
            if (!newer && known.state > MemberState::suspect) return;
            if (known.state == record.state) {  // dead to us before, and again to others
                known.reason = std::move(why);
                return touch(*entry, from.prefix());
            }
            suspect(turn, *entry, std::move(why), times().suspicion);
            return;
        }
        case MemberState::left:
            change(turn, *entry, MemberState::left, teller + " says it left", from.prefix());
            return;
    }
}

void Membership::hear_about_self(job::Turn& turn, const PeerId& from, const MemberRecord& record) {
    const bool against = record.state != MemberState::alive;
    if (record.incarnation < self_.incarnation) return;
    if (record.incarnation == self_.incarnation && !against) return;
    self_.incarnation = record.incarnation + 1;
    self_version_ = next_version_++;
    if (against)
        turn.notice(message::MemberChanged{self_.id, record.state, MemberState::alive,
                                           "refuted what " + from.short_string() + " said"});
    soon(turn);
}

void Membership::hear_directly(job::Turn& turn, Entry& from, std::uint64_t incarnation) {
    Member& known = from.second;
    if (incarnation >= kIncarnationMax) return;
    if (incarnation > known.incarnation && !may_tell(turn, from.first)) return;
    if (incarnation > known.incarnation) {
        known.incarnation = incarnation;
        known.judged = true;
        known.accused = false;
        if (known.state == MemberState::alive) return touch(from, 0);
        const bool gone = known.state >= MemberState::dead;
        change(turn, from, MemberState::alive, gone ? "it is back" : "heard again", 0);
        return;
    }
    if (incarnation == known.incarnation && known.state == MemberState::suspect)
        change(turn, from, MemberState::alive, "heard again", 0);
    if (incarnation < known.incarnation || known.state != MemberState::alive) {
        known.accused = true;  // so that it can rise above what is known of it
        known.accused_state = known.state;
        soon(turn);
    }
}

MemberRecord Membership::record_of(const Entry& entry) const {
    const auto& [id, member] = entry;
    return {id, member.role, member.state, member.incarnation, member.addresses};
}

std::vector<MemberRecord> Membership::news_for(Entry& entry) {
    auto& [id, member] = entry;
    std::vector<MemberRecord> news;
    if (member.accused) {
        news.push_back(record_of(entry));
        news.back().state = member.accused_state;
        member.accused = false;
    }
    if (local_view()) {
        if (member.told < self_version_) news.push_back(self_);
        member.told = next_version_ - 1;
        return news;
    }
    if (!has_news_for(member)) return news;
    std::vector<std::pair<std::uint64_t, const Entry*>> changed;  // null: our own record
    if (self_version_ > member.told) changed.emplace_back(self_version_, nullptr);
    for (const auto& other : members_)
        if (other.second.version > member.told) changed.emplace_back(other.second.version, &other);
    std::ranges::sort(changed);
    std::size_t bytes = 0;
    for (const auto& record : news) bytes += message::wire_bytes_most(record);
    for (const auto& [version, other] : changed) {
        if (news.size() >= kNewsMax) return news;
        const bool new_there = !other || (other != &entry && other->second.teller != id.prefix() &&
                                          other->second.incarnation != 0);  // else not heard yet
        if (new_there) {
            auto record = other ? record_of(*other) : self_;
            bytes += message::wire_bytes_most(record);
            if (bytes > message::kNewsBytesMax && !news.empty()) return news;
            news.push_back(std::move(record));
        }
        member.told = version;
    }
    member.told = next_version_ - 1;
    return news;
}

bool Membership::has_news_for(const Member& member) const {
    if (local_view()) return member.accused || member.told < self_version_;
    return member.accused || member.told < next_version_ - 1;
}

// Everything a member says that changes a record here costs it one of its budget. No honest member
// has more to tell: a whole table at once, then what happens. The budget is kept as the time at
// which it will be full again; each change moves that on.
bool Membership::may_tell(job::Turn& turn, const PeerId& teller) {
    Member* member = members_.get(teller);
    if (!member) return true;
    const Duration one = times().heartbeat_every / kBudgetRefill;
    const Instant full = std::max(member->budget_full, turn.now) + one;
    if (full <= turn.now + one * kBudgetMax) {
        member->budget_full = full;
        if (full < turn.now + one * (kBudgetMax / 2)) member->overdrawn = false;
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
        if (least == members_.end() || member.state > least->second.state) least = it;
    }
    if (least == members_.end()) return;
    if (least->second.state < MemberState::dead)
        changes_.push_back({least->first, MemberState::dead});
    hearsay_count_ -= least->second.hearsay;
    members_.erase(least);
}

void Membership::warn_full(job::Turn& turn, bool& warned, std::size_t count, const char* of_whom) {
    if (std::exchange(warned, true)) return;
    const auto what = std::to_string(count) + " " + of_whom + " are known; more are not remembered";
    turn.notice(message::Warning{{ErrorCode::kLinkBusy, what, {}}});
}

Membership::Entry* Membership::meet(job::Turn& turn, const PeerId& id, Role role, MemberState state,
                                    Reason how) {
    if (members_.size() >= places())
        return warn_full(turn, full_warned_, places(), "members"), nullptr;
    Entry& entry = *members_.try_emplace(id).first;
    Member& member = entry.second;
    member.role = role;
    member.state = state;
    member.wanted = std::ranges::binary_search(wanted_, id);
    member.reason = std::move(how);
    member.detector.reset(turn.now);
    const bool they_may_dial = !self_.addresses.empty() && id < self_.id;
    member.dial.next = they_may_dial ? turn.now + times().dial_stagger : turn.now;
    touch(entry, 0);
    if (state >= MemberState::dead) return &entry;  // remembered so that nobody raises it
    changes_.push_back({id, state});
    turn.notice(message::MemberChanged{id, state, state, member.reason.text()});
    if (!local_view()) soon(turn);
    return &entry;
}

void Membership::change(job::Turn& turn, Entry& entry, MemberState to, Reason reason,
                        std::uint64_t teller) {
    auto& [id, member] = entry;
    const MemberState from = member.state;
    if (from == to) return;
    member.state = to;
    member.reason = std::move(reason);
    member.bury_at = Instant::never();
    if (to == MemberState::alive && member.judged)
        arm(Timer::suspect, member.detector.suspect_at(times()));
    touch(entry, teller);
    changes_.push_back({id, to});
    turn.notice(message::MemberChanged{id, from, to, member.reason.text()});
    if (!local_view()) soon(turn);
}

void Membership::touch(Entry& entry, std::uint64_t teller) {
    entry.second.version = next_version_++;
    entry.second.teller = teller;
}

}  // namespace gossamer::membership
