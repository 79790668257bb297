// Whom to dial and when. Members with an address are dialled by both sides, the smaller PeerId
// first; seeds until somebody answers, and again when that member is gone. Failures back off.
#include <algorithm>
#include <utility>

#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

constexpr std::size_t kDialsMax = 16;          // under way at a time
constexpr std::size_t kHearsayDialsMax = 8;    // of them, to members nobody here has met
constexpr Duration kBlockedSeedRetry = 10min;  // certificates do get mended
constexpr Duration kTellEvery = 60s;
constexpr std::size_t kFoundMax = 4;  // addresses of one member

template <class List>
bool has(const List& list, std::string_view value) {
    return std::find(list.begin(), list.end(), value) != list.end();
}

}  // namespace

bool Membership::wants_link(const Member& member) const {
    if (member.linked || member.dial.blocked || member.state == MemberState::left) return false;
    if (member.addresses.empty() && (!member.found || member.found->at.empty())) return false;
    if (full_mesh() || member.wanted || member.role == Role::aggregator) return true;
    // Out of the peer book, and there is nobody yet who could say more.
    return member.incarnation == 0 && linked_count_ == 0;
}

std::vector<std::string> Membership::addresses_of(const Member& member) const {
    std::vector<std::string> all(member.addresses.begin(), member.addresses.end());
    if (member.found)
        for (const std::string& address : member.found->at)
            if (!has(all, address)) all.push_back(address);
    return all;
}

void Membership::dial_due(job::Turn& turn) {
    std::size_t under_way = 0, hearsay = 0;
    for (const auto& [id, member] : members_) {
        under_way += member.dial.under_way();
        hearsay += member.dial.under_way() && !member.met;
    }
    for (const SeedState& seed : seeds_) under_way += seed.dial.under_way();
    Instant next = Instant::never();
    auto consider = [&](Dial& dial, auto start) {
        if (dial.under_way()) return;
        if (dial.next > turn.now) {
            next = std::min(next, dial.next);
        } else if (under_way < kDialsMax) {  // else the end of a dial arms the timer
            ++under_way;
            start();
        }
    };
    for (SeedState& seed : seeds_) {
        const Member* found = seed.bound ? members_.get(*seed.bound) : nullptr;
        if (seed.seed->expected && !found) found = members_.get(*seed.seed->expected);
        if (found && (found->linked || found->dial.blocked || wants_link(*found))) continue;
        consider(seed.dial, [&] { dial_seed(turn, seed); });
    }
    for (bool met : {true, false})
        for (auto& entry : members_) {
            auto& member = entry.second;
            if (member.met != met || !wants_link(member)) continue;
            if (!met && hearsay >= kHearsayDialsMax && member.dial.next <= turn.now) continue;
            consider(member.dial, [&] {
                hearsay += !met;
                dial_member(turn, entry);
            });
        }
    at(Timer::dial) = next;
}

void Membership::dial_member(job::Turn& turn, Entry& entry) {
    auto& [id, member] = entry;
    const auto addresses = addresses_of(member);
    if (addresses.empty()) return;
    std::size_t which = 0;
    if (addresses.size() > 1) which = member.found.made().next++ % addresses.size();
    auto& attempt = member.dial.attempt.made();
    attempt.under_way = true;
    attempt.address = addresses[which];
    turn.dial(attempt.address, id, "member " + std::string(message::to_string(member.state)));
}

void Membership::dial_seed(job::Turn& turn, SeedState& seed) {
    auto& attempt = seed.dial.attempt.made();
    attempt.under_way = true;
    attempt.address = seed.seed->address;
    turn.dial(attempt.address, seed.seed->expected, "seed");
}

void Membership::on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event,
                         const message::Progress& own) {
    if (stopped_) return;
    if (const auto* up = std::get_if<job::LinkUp>(&event)) on_up(turn, peer, *up, own);
    if (const auto* down = std::get_if<job::LinkDown>(&event)) on_down(turn, peer, *down);
    if (const auto* failed = std::get_if<job::DialFailed>(&event))
        on_dial_failed(turn, peer, *failed);
}

void Membership::on_up(job::Turn& turn, const PeerId& peer, const job::LinkUp& up,
                       const message::Progress& own) {
    const bool ourselves = peer == self_.id;
    if (up.dialled) {
        for (SeedState& seed : seeds_)
            if (seed.seed->address == up.address) {
                seed.dial = {ourselves ? Instant::never() : turn.now, ourselves, {}};
                seed.bound = peer;
            }
        arm(Timer::dial, turn.now);  // others wait for a free place
    }
    if (ourselves) return turn.close(peer, "this is our own address");
    if (up.role == Role::operator_) return;  // no member: it asks, and goes
    Entry* entry = find(peer);
    if (!entry && members_.size() >= places()) make_room();
    if (!entry)
        entry =
            meet(turn, peer, up.role, MemberState::alive, up.dialled ? "it answered" : "it came");
    if (!entry) return turn.close(peer, "too many members");

    Member& member = entry->second;
    member.role = up.role;
    if (up.dialled && !has(member.addresses, up.address)) {
        auto& found = member.found.made().at;
        if (!has(found, up.address)) found.push_back(up.address);
        if (found.size() > kFoundMax) found.erase(found.begin());
    }
    if (up.dialled || !member.dial.under_way()) member.dial = {turn.now, false, {}};
    member.dial.blocked = false;
    if (member.dial.attempt) member.dial.attempt->failures = 0;
    linked_count_ += !std::exchange(member.linked, true);
    member.judged = member.met = true;
    hearsay_count_ -= std::exchange(member.hearsay, false);
    member.busy = false;
    member.told = 0;
    if (!local_view())  // it may have been another life of it that told us
        for (auto& other : members_)
            if (other.second.teller == peer.prefix()) other.second.teller = 0;
    member.detector.reset(turn.now);
    arm(Timer::suspect, member.detector.suspect_at(times()));
    turn.notice(message::LinkChanged{peer, up.address, true, {}});
    if (member.state == MemberState::suspect)
        change(turn, *entry, MemberState::alive, "its link is up", 0);
    beat(turn, *entry, own);
}

void Membership::on_down(job::Turn& turn, const PeerId& peer, const job::LinkDown& down) {
    Entry* entry = find(peer);
    if (!entry || !entry->second.linked) return;
    Member& member = entry->second;
    linked_count_ -= std::exchange(member.linked, false);
    member.busy = false;
    Error why = down.error;
    if (member.dial.blocked && why.hint.empty())
        why.hint = "It is not dialled again; it may come by itself when that is mended.";
    turn.notice(message::LinkChanged{peer, {}, false, std::move(why)});
    const bool they_may_dial = !self_.addresses.empty() && peer < self_.id;
    const bool doubled = down.error.code == ErrorCode::kLinkDuplicate;
    member.dial.next =
        turn.now + (they_may_dial || doubled ? times().dial_stagger : times().back_off_first / 10);
    arm(Timer::dial, member.dial.next);
    const bool orderly = doubled || down.error.code == ErrorCode::kLinkClosed;
    if (member.state == MemberState::alive && !member.dial.blocked && !orderly &&
        addresses_of(member).empty())
        suspect(turn, *entry,
                "its link broke (" + down.error.to_string() + "), and it has no address to dial",
                times().suspicion);
}

void Membership::on_dial_failed(job::Turn& turn, const PeerId& peer,
                                const job::DialFailed& failed) {
    arm(Timer::dial, turn.now);  // others wait for a free place
    auto is_it = [&failed](const Dial& dial) {
        return dial.under_way() && dial.attempt->address == failed.address;
    };
    auto tell = [&](const Dial& dial) {  // once, and when the reason changes
        if (dial.failures() == 0 || dial.attempt->last.code != failed.error.code)
            turn.notice(message::LinkChanged{peer, failed.address, false, failed.error});
    };
    for (SeedState& seed : seeds_)
        if (is_it(seed.dial)) {
            if (peer == self_.id) {  // our own address, by another name
                seed.bound = peer;
                seed.dial = {Instant::never(), true, {}};
                return;
            }
            tell(seed.dial);
            if (failed.error.code == ErrorCode::kLinkDuplicate && linked(peer)) {
                seed.bound = peer;
                seed.dial = {turn.now, false, {}};
                return;
            }
            back_off(turn, seed.dial, failed.error);
            if (!failed.permanent) return;
            seed.dial.next = turn.now + kBlockedSeedRetry;
            return end_retries(turn, seed.dial, failed.error,
                               "for " + format_duration(kBlockedSeedRetry));
        }
    for (auto& entry : members_) {
        auto& [id, member] = entry;
        if (!is_it(member.dial) || (!peer.is_zero() && peer != id)) continue;
        if (failed.error.code == ErrorCode::kLinkDuplicate) {
            member.dial = {turn.now + times().dial_stagger, false, {}};
            return arm(Timer::dial, member.dial.next);
        }
        tell(member.dial);
        if (failed.error.code == ErrorCode::kTlsPeerId) {
            // Somebody else lives there now: a seed finds out who.
            if (member.found) std::erase(member.found->at, failed.address);
            for (SeedState& seed : seeds_)
                if (seed.bound == id && seed.seed->address == failed.address) seed.bound.reset();
            back_off(turn, member.dial, failed.error);
            return;
        }
        back_off(turn, member.dial, failed.error);
        if (failed.permanent && !member.linked) {
            member.dial.blocked = true;
            end_retries(turn, member.dial, failed.error, "unless it comes by itself");
        }
        if (failed.error.code == ErrorCode::kNetRefused && !member.linked && member.judged &&
            member.state == MemberState::alive)
            suspect(turn, entry, "its link is down, and " + failed.address + " refuses",
                    times().suspicion);
        return;
    }
}

void Membership::back_off(job::Turn& turn, Dial& dial, const Error& error) {
    auto& attempt = dial.attempt.made();
    attempt.under_way = false;
    attempt.last = error;
    const unsigned doublings = std::min(attempt.failures++, 16u);
    const Duration wait = std::min(times().back_off_first * (1 << doublings), times().back_off_cap);
    dial.next = turn.now + jittered(turn, wait, 0.5);
    arm(Timer::dial, dial.next);
}

void Membership::end_retries(job::Turn& turn, const Dial& dial, const Error& error,
                             std::string until) {
    turn.notice(message::Warning{
        {error.code, dial.attempt->address + " is not dialled again " + until + ": " + error.what,
         error.hint}});
}

std::vector<message::Waiting> Membership::waiting() const {
    message::Waiting waiting{"an answer at", {}, Instant::never(), Instant::never()};
    for (const SeedState& seed : seeds_) {
        if (seed.bound) continue;
        waiting.what += (waiting.since.is_never() ? " " : ", ") + seed.seed->address;
        if (seed.dial.failures() > 0)
            waiting.what += " (" + std::string(describe(seed.dial.attempt->last.code).id) + ")";
        if (seed.seed->expected) waiting.whom.push_back(*seed.seed->expected);
        waiting.since = std::min(waiting.since, seed.since);
        waiting.until = std::min(waiting.until, seed.dial.next);
    }
    if (waiting.since.is_never()) return {};
    return {waiting};
}

void Membership::tell_waiting(job::Turn& turn) {
    const auto all = waiting();
    at(Timer::tell) = Instant::never();
    if (all.empty()) return;
    turn.notice(all.front());
    const unsigned doublings = std::min(tellings_++, 8u);
    arm(Timer::tell, turn.now + std::min(times().limit_cap * (2 << doublings), kTellEvery));
}

}  // namespace gossamer::membership
