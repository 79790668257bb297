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
    for (auto& entry : members_) {
        const auto& member = entry.second;
        if (member.state != MemberState::alive || !member.judged) continue;
        const Instant limit = member.detector.suspect_at(times());
        if (limit > turn.now) {
            next = std::min(next, limit);
            continue;
        }
        suspect(turn, entry,
                (member.linked ? "no sign of life for " : "no link, and not heard for ") +
                    in_seconds(turn.now - member.detector.heard()) + " (limit " +
                    in_seconds(member.detector.limit(times())) + ")",
                times().suspicion);
    }
    at(Timer::suspect) = next;
}

void Membership::suspect(job::Turn& turn, Entry& entry, Reason reason, Duration patience) {
    change(turn, entry, MemberState::suspect, std::move(reason), 0);
    entry.second.bury_at = turn.now + patience;
    arm(Timer::bury, entry.second.bury_at);
}

void Membership::bury_overdue(job::Turn& turn) {
    Instant next = Instant::never();
    for (auto& entry : members_) {
        auto& [id, member] = entry;
        if (member.state != MemberState::suspect) continue;
        if (member.bury_at > turn.now) {
            next = std::min(next, member.bury_at);
            continue;
        }
        change(turn, entry, MemberState::dead, "suspected for too long: " + member.reason.text(),
               0);
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
        if (member.state == MemberState::suspect)
            member.bury_at = now + times().limit_cap + times().suspicion;
    }
    // The timers may now be early; they look again when they fire.
    if (!at(Timer::suspect).is_never()) at(Timer::suspect) = now + times().limit_floor;
    if (!at(Timer::bury).is_never()) at(Timer::bury) = now + times().limit_cap + times().suspicion;
}

}  // namespace gossamer::membership
