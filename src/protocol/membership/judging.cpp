// What silence means.
#include "protocol/membership/membership.hpp"

namespace gossamer::membership {

namespace {

std::string in_seconds(Duration d) {
    const auto tenths = (d.count() + 50'000'000) / 100'000'000;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "s";
}

}  // namespace

void Membership::suspect_silent(job::Turn& turn) {
    Instant next = Instant::never();
    for (auto& [id, member] : members_) {
        if (member.record.state != MemberState::alive || !member.judged) continue;
        const Instant limit = member.detector.suspect_at(times_);
        if (limit > turn.now) {
            next = std::min(next, limit);
            continue;
        }
        suspect(turn, member,
                (member.linked ? "no sign of life for " : "no link, and not heard for ") +
                    in_seconds(turn.now - member.detector.heard()) + " (limit " +
                    in_seconds(member.detector.limit(times_)) + ")",
                times_.suspicion);
    }
    at(Timer::suspect) = next;
}

void Membership::suspect(job::Turn& turn, Member& member, std::string reason, Duration patience) {
    change(turn, member, MemberState::suspect, std::move(reason), PeerId{});
    member.bury_at = turn.now + patience;
    arm(Timer::bury, member.bury_at);
}

void Membership::bury_overdue(job::Turn& turn) {
    Instant next = Instant::never();
    for (auto& [id, member] : members_) {
        if (member.record.state != MemberState::suspect) continue;
        if (member.bury_at > turn.now) {
            next = std::min(next, member.bury_at);
            continue;
        }
        change(turn, member, MemberState::dead, "suspected for too long: " + member.reason,
               PeerId{});
        if (member.linked) turn.close(id, "held dead");
    }
    at(Timer::bury) = next;
}

// We were away, or too slow to hear: what looks like their silence is ours. Everybody gets a full
// limit from now, and a new chance to refute what hangs over it.
void Membership::doubt(Instant now, bool forget_rhythm) {
    for (auto& [id, member] : members_) {
        if (forget_rhythm)
            member.detector.reset(now);
        else
            member.detector.on_sign_of_life(now);
        if (member.record.state == MemberState::suspect)
            member.bury_at = now + times_.limit_cap + times_.suspicion;
    }
    // The timers may now be early; they look again when they fire.
    if (!at(Timer::suspect).is_never()) at(Timer::suspect) = now + times_.limit_floor;
    if (!at(Timer::bury).is_never()) at(Timer::bury) = now + times_.limit_cap + times_.suspicion;
}

}  // namespace gossamer::membership
