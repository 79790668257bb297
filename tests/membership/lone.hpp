// One membership core, driven by hand.
#pragma once

#include "membership/member_node.hpp"

namespace gossamer::testing {

using membership::Membership;
using message::MemberState;

struct Lone {
    explicit Lone(membership::MembershipConfig config,
                  std::vector<message::MemberRecord> known = {})
        : core(std::make_shared<const membership::MembershipConfig>(std::move(config)),
               {PeerId::of_number(5), Role::peer, MemberState::alive, 0, {"me:1"}}, 1,
               std::move(known)) {}

    job::Turn turn() { return {now, WallTime{0}, RunSeed{1}, ids}; }
    job::Turn start() {
        auto t = turn();
        core.on_start(t);
        return t;
    }
    job::Turn link(PeerId peer, job::LinkEvent event) {
        auto t = turn();
        core.on_link(t, peer, event);
        return t;
    }
    // Runs timers until something is dialled, for at most this long.
    std::optional<job::Turn> until_dial(Duration at_most) {
        const Instant end = now + at_most;
        while (core.next_deadline() <= end) {
            now = core.next_deadline();
            auto t = turn();
            core.on_deadline(t);
            if (!t.links.empty()) return t;
        }
        now = end;
        return std::nullopt;
    }
    job::Turn fail(const std::string& address, ErrorCode code, bool permanent = false,
                   PeerId peer = {}) {
        return link(peer, job::DialFailed{address, {code, "no", {}}, permanent});
    }

    Instant now{1'000'000'000};
    job::TurnIds ids;
    Membership core;
};

inline membership::MembershipConfig seeded(std::vector<std::string> seeds) {
    membership::MembershipConfig config{.profile = membership::Profile::local};
    for (const auto& text : seeds) config.seeds.push_back(*membership::parse_seed(text));
    return config;
}

}  // namespace gossamer::testing
