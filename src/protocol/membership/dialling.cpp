// Whom to dial and when. Members with an address are dialled by both sides, the smaller PeerId
// first; seeds until somebody answers, and again when that member is gone. Failures back off.
#include <algorithm>

#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

constexpr std::size_t kDialsMax = 16;          // under way at a time
constexpr std::size_t kHearsayDialsMax = 8;    // of them, to members nobody here has met
constexpr Duration kBlockedSeedRetry = 10min;  // certificates do get mended
constexpr Duration kTellEvery = 60s;

void add_distinct(std::vector<std::string>& list, const std::string& value) {
    if (std::find(list.begin(), list.end(), value) == list.end()) list.push_back(value);
}

}  // namespace

bool Membership::wants_link(const Member& member) const {
    if (member.linked || member.dial.blocked || member.record.state == MemberState::left)
        return false;
    if (member.record.addresses.empty() && member.found_at.empty()) return false;
    return full_mesh() || wanted_.contains(member.record.id) ||
           member.record.role == Role::aggregator;
}

std::vector<std::string> Membership::addresses_of(const Member& member) const {
    auto all = member.record.addresses;
    for (const std::string& address : member.found_at) add_distinct(all, address);
    return all;
}

void Membership::dial_due(job::Turn& turn) {
    std::size_t under_way = 0, hearsay = 0;
    for (const auto& [id, member] : members_) {
        under_way += member.dial.under_way;
        hearsay += member.dial.under_way && !member.met;
    }
    for (const SeedState& seed : seeds_) under_way += seed.dial.under_way;
    Instant next = Instant::never();
    auto consider = [&](Dial& dial, auto start) {
        if (dial.under_way) return;
        if (dial.next > turn.now) {
            next = std::min(next, dial.next);
        } else if (under_way < kDialsMax) {  // else the end of a dial arms the timer
            ++under_way;
            start();
        }
    };
    for (SeedState& seed : seeds_) {
        const Member* found = seed.bound ? find(*seed.bound) : nullptr;
        if (seed.seed.expected && !found) found = find(*seed.seed.expected);
        if (found && (found->linked || found->dial.blocked || wants_link(*found))) continue;
        consider(seed.dial, [&] { dial_seed(turn, seed); });
    }
    for (bool met : {true, false})
        for (auto& [id, member] : members_) {
            if (member.met != met || !wants_link(member)) continue;
            if (!met && hearsay >= kHearsayDialsMax && member.dial.next <= turn.now) continue;
            consider(member.dial, [&] {
                hearsay += !met;
                dial_member(turn, member);
            });
        }
    at(Timer::dial) = next;
}

bool Membership::dial_member(job::Turn& turn, Member& member) {
    const auto addresses = addresses_of(member);
    if (addresses.empty()) return false;
    member.dial.under_way = true;
    member.dial.address = addresses[member.next_address++ % addresses.size()];
    turn.dial(member.dial.address, member.record.id,
              "member " + std::string(message::to_string(member.record.state)));
    return true;
}

void Membership::dial_seed(job::Turn& turn, SeedState& seed) {
    seed.dial.under_way = true;
    seed.dial.address = seed.seed.address;
    turn.dial(seed.seed.address, seed.seed.expected, "seed");
}

void Membership::on_link(job::Turn& turn, const PeerId& peer, const job::LinkEvent& event) {
    if (stopped_) return;
    if (const auto* up = std::get_if<job::LinkUp>(&event)) on_up(turn, peer, *up);
    if (const auto* down = std::get_if<job::LinkDown>(&event)) on_down(turn, peer, *down);
    if (const auto* failed = std::get_if<job::DialFailed>(&event))
        on_dial_failed(turn, peer, *failed);
}

void Membership::on_up(job::Turn& turn, const PeerId& peer, const job::LinkUp& up) {
    const bool ourselves = peer == self_.id;
    if (up.dialled) {
        for (SeedState& seed : seeds_)
            if (seed.seed.address == up.address) {
                const Instant again = ourselves ? Instant::never() : turn.now;
                seed.dial = {.blocked = ourselves, .next = again};
                seed.bound = peer;
            }
        arm(Timer::dial, turn.now);  // others wait for a free place
    }
    if (ourselves) return turn.close(peer, "this is our own address");
    if (up.role == Role::operator_) return;  // no member: it asks, and goes
    Member* member = find(peer);
    if (!member && members_.size() >= places()) make_room();
    if (!member)
        member =
            meet(turn, peer, up.role, MemberState::alive, up.dialled ? "it answered" : "it came");
    if (!member) return turn.close(peer, "too many members");

    member->record.role = up.role;
    if (up.dialled) add_distinct(member->found_at, up.address);
    if (up.dialled && member->found_at.size() > 4) member->found_at.erase(member->found_at.begin());
    if (up.dialled || !member->dial.under_way) member->dial = {.next = turn.now};
    member->dial.blocked = false;
    member->dial.failures = 0;
    member->linked = member->judged = member->met = true;
    member->busy = false;
    member->told = 0;
    member->detector.reset(turn.now);
    arm(Timer::suspect, member->detector.suspect_at(times_));
    turn.notice(message::LinkChanged{peer, up.address, true, {}});
    if (member->record.state == MemberState::suspect)
        change(turn, *member, MemberState::alive, "its link is up", PeerId{});
    beat(turn, *member);
}

void Membership::on_down(job::Turn& turn, const PeerId& peer, const job::LinkDown& down) {
    Member* member = find(peer);
    if (!member || !member->linked) return;
    member->linked = member->busy = false;
    Error why = down.error;
    if (member->dial.blocked && why.hint.empty())
        why.hint = "It is not dialled again; it may come by itself when that is mended.";
    turn.notice(message::LinkChanged{peer, {}, false, std::move(why)});
    const bool they_may_dial = !self_.addresses.empty() && peer < self_.id;
    const bool doubled = down.error.code == ErrorCode::kLinkDuplicate;
    member->dial.next =
        turn.now + (they_may_dial || doubled ? times_.dial_stagger : times_.back_off_first / 10);
    arm(Timer::dial, member->dial.next);
    const bool orderly = doubled || down.error.code == ErrorCode::kLinkClosed;
    if (member->record.state == MemberState::alive && !member->dial.blocked && !orderly &&
        addresses_of(*member).empty())
        suspect(turn, *member,
                "its link broke (" + down.error.to_string() + "), and it has no address to dial",
                times_.suspicion);
}

void Membership::on_dial_failed(job::Turn& turn, const PeerId& peer,
                                const job::DialFailed& failed) {
    arm(Timer::dial, turn.now);  // others wait for a free place
    auto is_it = [&failed](const Dial& dial) {
        return dial.under_way && dial.address == failed.address;
    };
    auto tell = [&](const Dial& dial) {  // once, and when the reason changes
        if (dial.failures == 0 || dial.last.code != failed.error.code)
            turn.notice(message::LinkChanged{peer, failed.address, false, failed.error});
    };
    for (SeedState& seed : seeds_)
        if (is_it(seed.dial)) {
            if (peer == self_.id) {  // our own address, by another name
                seed.bound = peer;
                seed.dial = {.blocked = true, .next = Instant::never()};
                return;
            }
            tell(seed.dial);
            if (failed.error.code == ErrorCode::kLinkDuplicate && linked(peer)) {
                seed.bound = peer;
                seed.dial = {.next = turn.now};
                return;
            }
            back_off(turn, seed.dial, failed.error);
            if (!failed.permanent) return;
            seed.dial.next = turn.now + kBlockedSeedRetry;
            return end_retries(turn, seed.dial, failed.error,
                               "for " + format_duration(kBlockedSeedRetry));
        }
    for (auto& [id, member] : members_) {
        if (!is_it(member.dial) || (!peer.is_zero() && peer != id)) continue;
        if (failed.error.code == ErrorCode::kLinkDuplicate) {
            member.dial = {.next = turn.now + times_.dial_stagger};
            return arm(Timer::dial, member.dial.next);
        }
        tell(member.dial);
        if (failed.error.code == ErrorCode::kTlsPeerId) {
            // Somebody else lives there now: a seed finds out who.
            std::erase(member.found_at, failed.address);
            for (SeedState& seed : seeds_)
                if (seed.bound == id && seed.seed.address == failed.address) seed.bound.reset();
            back_off(turn, member.dial, failed.error);
            return;
        }
        back_off(turn, member.dial, failed.error);
        if (failed.permanent && !member.linked) {
            member.dial.blocked = true;
            end_retries(turn, member.dial, failed.error, "unless it comes by itself");
        }
        if (failed.error.code == ErrorCode::kNetRefused && !member.linked && member.judged &&
            member.record.state == MemberState::alive)
            suspect(turn, member, "its link is down, and " + failed.address + " refuses",
                    times_.suspicion);
        return;
    }
}

void Membership::back_off(job::Turn& turn, Dial& dial, const Error& error) {
    dial.under_way = false;
    dial.last = error;
    const unsigned doublings = std::min(dial.failures++, 16u);
    const Duration wait = std::min(times_.back_off_first * (1 << doublings), times_.back_off_cap);
    dial.next = turn.now + jittered(turn, wait, 0.5);
    arm(Timer::dial, dial.next);
}

void Membership::end_retries(job::Turn& turn, Dial& dial, const Error& error, std::string until) {
    turn.notice(message::Warning{
        {error.code, dial.address + " is not dialled again " + until + ": " + error.what,
         error.hint}});
}

std::vector<message::Waiting> Membership::waiting() const {
    message::Waiting waiting{"an answer at", {}, Instant::never(), Instant::never()};
    for (const SeedState& seed : seeds_) {
        if (seed.bound) continue;
        waiting.what += (waiting.since.is_never() ? " " : ", ") + seed.seed.address;
        if (seed.dial.failures > 0)
            waiting.what += " (" + std::string(describe(seed.dial.last.code).id) + ")";
        if (seed.seed.expected) waiting.whom.push_back(*seed.seed.expected);
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
    arm(Timer::tell, turn.now + std::min(times_.limit_cap * (2 << doublings), kTellEvery));
}

}  // namespace gossamer::membership
