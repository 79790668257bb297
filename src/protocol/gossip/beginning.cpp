// From the start to the first step: who takes part, who is where in the graph, and the first links.
#include <algorithm>

#include "protocol/gossip/gossip.hpp"

namespace gossamer::gossip {

using message::MemberState;

void Gossip::try_gather(job::Turn& turn) {
    if (stage_ != Stage::gathering) return;
    if (roster_->members.empty() && !find_members(turn)) return;
    if (!model_.filled() || running(Work::genesis)) return;
    if (!schedule_ && !take_roster(turn)) return;
    stage_ = Stage::linking;
    since_ = turn.now;
    timer(Timer::speak) = Instant::never();
    timer(Timer::links) = turn.now + patience_.cap();
    announce(turn);
}

bool Gossip::find_members(job::Turn& turn) {
    const auto& listed = setup_->run.roster;
    const std::size_t wanted = std::max<std::uint64_t>(setup_->run.peers, 1);
    if (listed.empty() && peers_.size() + 1 < wanted)
        return wait_for_members(turn, peers_.size() + 1, {});
    std::vector<PeerId> here{self_}, known{self_};
    std::uint64_t others_roster = 0;
    for (const auto& [id, view] : peers_) {
        if (!listed.empty() && !std::binary_search(listed.begin(), listed.end(), id)) continue;
        known.push_back(id);
        if (view.state == MemberState::alive || view.state == MemberState::suspect)
            here.push_back(id);
        if (view.progress.roster != 0) others_roster = view.progress.roster;
    }
    // Whoever comes back after a crash may find members dead that the others still count on.
    if (auto all = topology::Roster::of(1, listed.empty() ? known : listed);
        others_roster != 0 && all.digest == others_roster) {
        roster_ = std::make_shared<const topology::Roster>(std::move(all));
    } else if (here.size() >= wanted) {
        all = topology::Roster::of(1, listed.empty() ? here : listed);
        if (listed.empty() && all.size() > wanted) {
            all.members.resize(wanted);
            all = topology::Roster::of(1, std::move(all.members));
            turn.notice(message::Warning{
                {ErrorCode::kConfigConflict,
                 std::to_string(here.size()) + " peers are here, run.peers is " +
                     std::to_string(wanted) + "; the first in order of PeerId take part",
                 "Set run.peers to the number of peers, or list them in run.roster."}});
        }
        roster_ = std::make_shared<const topology::Roster>(std::move(all));
    } else {
        std::sort(here.begin(), here.end());
        std::vector<PeerId> missing;
        for (const auto& id : listed)
            if (!std::binary_search(here.begin(), here.end(), id)) missing.push_back(id);
        return wait_for_members(turn, here.size(), std::move(missing));
    }
    return true;
}

// Says so at once, and then at most once a second: a thousand peers may come one by one.
bool Gossip::wait_for_members(job::Turn& turn, std::size_t here, std::vector<PeerId> missing) {
    if (turn.now < quiet_until_) {
        timer(Timer::speak) = quiet_until_;
        return false;
    }
    quiet_until_ = turn.now + 1s;
    wait_aloud(turn,
               std::to_string(setup_->run.peers) + " peers of run \"" + setup_->run.name +
                   "\"; here: " + std::to_string(here),
               std::move(missing), since_, Instant::never());
    return false;
}

bool Gossip::take_roster(job::Turn& turn) {
    auto place = roster_->place_of(self_);
    if (!place) {
        give_up(turn,
                {ErrorCode::kNoPeers,
                 "this peer, " + self_.short_string() + ", is not among the members of the run",
                 "Set run.peers to the number of peers, or list them in run.roster."});
        return false;
    }
    place_ = *place;
    if (setup_->schedule) {
        schedule_ = setup_->schedule;
        roster_digest_ = roster_->digest;
        return true;
    }
    auto made = topology::make_schedule(
        setup_->topology, static_cast<std::uint32_t>(roster_->size()), setup_->run.seed);
    if (!made) {
        give_up(turn, std::move(made).error());
        return false;
    }
    for (auto& warning : topology::check(*made)) turn.notice(message::Warning{std::move(warning)});
    schedule_ = std::make_shared<const topology::Schedule>(std::move(*made));
    roster_digest_ = roster_->digest;
    return true;
}

void Gossip::try_link(job::Turn& turn) {
    if (stage_ != Stage::linking || catch_up_) return;
    std::vector<PeerId> missing;
    // Of a settled roster nobody was heard yet: who does not answer may be starting just now.
    const bool settled = setup_->roster != nullptr;
    for (const auto place : schedule_->all_neighbours(place_)) {
        const auto& id = roster_->at(place);
        const auto* view = peers_.get(id);
        if (view && !view->linked && (settled || view->state == MemberState::alive))
            missing.push_back(id);
    }
    if (missing.empty()) {
        for (const auto& [id, view] : peers_) notice_lead(turn, id);
        if (!catch_up_) begin_run(turn);
    } else {
        wait_aloud(turn, "links to neighbours", std::move(missing), since_, timer(Timer::links));
    }
}

void Gossip::begin_run(job::Turn& turn) {
    timer(Timer::links) = Instant::never();
    rule_.on_begin(turn.now);
    timer(Timer::wall) = rule_.deadline();
    turn.notice(message::RunStarted{setup_->run.name, message::Mode::gossip, done_,
                                    contract_.name + " on " +
                                        std::string(to_string(setup_->topology.graph.kind)) +
                                        " with " + std::to_string(roster_->size()) + " peers"});
    go_on(turn);
}

void Gossip::give_up(job::Turn& turn, Error error) {
    turn.notice(message::Warning{error});
    turn.notice(message::RunEnded{done_, error.what, false});
    timers_.fill(Instant::never());
    stage_ = Stage::over;
}

}  // namespace gossamer::gossip
