// Long because it lists what must hold, one thing after another.
#include "drivers/simulation/invariants.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "connection/link/limits.hpp"
#include "protocol/node/run_node.hpp"

namespace gossamer::simulation {

namespace {

using message::MemberState;

constexpr std::size_t kViewPlacesMax = 64;  // pairs are looked at in worlds up to here
constexpr std::uint64_t kValuesMax = 2'000'000;
constexpr Duration kSilenceMax = 30s, kOverdueMost = 1s;

// What only a peer that breaks the protocol brings about, or a fault of ours.
bool accuses(ErrorCode code) {
    switch (code) {
        case ErrorCode::kFrameTooLarge:
        case ErrorCode::kFrameMalformed:
        case ErrorCode::kFrameUnknown:
        case ErrorCode::kFrameOrder:
        case ErrorCode::kLinkVersion:
        case ErrorCode::kLinkRun:
        case ErrorCode::kLinkCredit:
        case ErrorCode::kLinkFlood:
        case ErrorCode::kUpdateSize:
        case ErrorCode::kUpdateDuplicate:
        case ErrorCode::kModelLayout:
        case ErrorCode::kModelIdentity:
        case ErrorCode::kTlsPeerId:
        case ErrorCode::kCheckpointFormat:
        case ErrorCode::kInternal: return true;
        default: return false;
    }
}

std::span<const float> values_of(const tensor::Model& model) {
    return model.exists() && model.filled() ? model.values() : std::span<const float>{};
}

const node::RunNode& run_node(const World& world, PlaceIndex p) {
    return dynamic_cast<const node::RunNode&>(world.node(p));
}

}  // namespace

Invariants::Invariants(const Scenario& scenario, Chronicle& next, Models models)
    : scenario_(scenario),
      next_(next),
      models_(std::move(models)),
      mixes_(scenario),
      sums_(scenario),
      origins_(scenario),
      places_(scenario.places()) {
    const auto& t = membership::timings(scenario.membership()->profile);
    quiet_ = 2 * (t.limit_cap + t.suspicion) + 2 * (t.back_off_cap + link::kDialDeadline);
    every_ = quiet_ / 8;
    next_look_ = World::kBeginning + every_;
}

std::string Invariants::name(PlaceIndex place) const {
    return place < scenario_.peers() ? fmt::format("peer {}", place) : "the aggregator";
}

void Invariants::tell(PlaceIndex place, std::uint64_t round, const std::string& what) {
    if (broken_.size() >= kToldMax) return;
    broken_.push_back(fmt::format("{}, round {}, at {:.3f}s, seed {}: {}", name(place), round,
                                  seconds(world_->elapsed()), scenario_.run().seed.value, what));
}

// ---- what nodes say -----------------------------------------------------------------------------

Moment Invariants::seize(PlaceIndex place, const message::Notice& notice) {
    Moment moment;
    if (std::holds_alternative<message::Mixed>(notice)) moment.check = mixes_.take(place);
    if (std::holds_alternative<message::RoundFinished>(notice)) moment.model = models_(place);
    if (next_.wants_sample(notice)) moment.sample = next_.sample(models_(place));
    return moment;
}

void Invariants::on_notice(Instant now, PlaceIndex place, const message::Notice& notice,
                           const Moment& moment) {
    if (const auto* m = std::get_if<message::Mixed>(&notice)) {
        on_mixed(place, *m, moment);
    } else if (const auto* f = std::get_if<message::RoundFinished>(&notice)) {
        on_round(place, *f, moment);
    } else if (const auto* c = std::get_if<message::CheckpointWritten>(&notice)) {
        places_[place].durable = std::max(places_[place].durable, c->round);
    } else if (const auto* s = std::get_if<message::RunStarted>(&notice)) {
        auto& p = places_[place];
        if (!scenario_.run().resume) p.durable = 0;  // it was to begin anew
        if (s->round < p.durable && (scenario_.federated() == (place == scenario_.peers())))
            tell(place, s->round,
                 fmt::format("starts at {} though a checkpoint held {}", s->round, p.durable));
        p.last = s->round;
    } else if (const auto* changed = std::get_if<message::MemberChanged>(&notice)) {
        on_member(now, place, *changed);
    } else if (const auto* u = std::get_if<message::UpdateRefused>(&notice)) {
        on_error(place, u->error);
    } else if (const auto* l = std::get_if<message::LinkChanged>(&notice)) {
        on_error(place, l->error);
    } else if (const auto* w = std::get_if<message::Warning>(&notice)) {
        on_error(place, w->error);
    }
    next_.on_notice(now, place, notice, moment);
}

void Invariants::on_error(PlaceIndex place, const Error& error) {
    if (!accuses(error.code)) return;
    tell(place, places_[place].last,
         fmt::format("honest peers break no protocol, but: {}", error.to_string()));
}

void Invariants::on_member(Instant now, PlaceIndex place, const message::MemberChanged& n) {
    if (places_.size() > kViewPlacesMax) return;
    const auto other = world_->place_of(n.peer);
    if (!other) return;
    if (n.to == MemberState::suspect)
        suspects_.emplace(Pair{place, *other}, now);
    else
        suspects_.erase({place, *other});
}

void Invariants::on_mixed(PlaceIndex place, const message::Mixed& n, const Moment& moment) {
    auto& last = places_[place].last;
    if (n.step <= last)
        tell(place, n.step, fmt::format("mixed step {} after step {}", n.step, last));
    last = n.step;
    auto all = n.mixed;
    all.insert(all.end(), n.left_out.begin(), n.left_out.end());
    std::ranges::sort(all);
    if (std::ranges::adjacent_find(all) != all.end())
        tell(place, n.step, "a neighbour was mixed twice, or mixed and left out");
    if (auto wrong = mixes_.on_mixed(n, moment.check); !wrong.empty()) tell(place, n.step, wrong);
}

void Invariants::on_round(PlaceIndex place, const message::RoundFinished& n, const Moment& moment) {
    auto& p = places_[place];
    if (n.round <= p.last)
        tell(place, n.round, fmt::format("finished round {} after round {}", n.round, p.last));
    p.last = n.round;
    auto accepted = n.accepted;
    std::ranges::sort(accepted);
    if (std::ranges::adjacent_find(accepted) != accepted.end())
        tell(place, n.round, "an update was accepted twice");
    for (const auto& id : accepted)
        if (const auto from = world_->place_of(id); !from || *from >= scenario_.peers())
            tell(place, n.round, "accepted an update of no client");
    if (auto wrong = sums_.on_finished(n, values_of(moment.model)); !wrong.empty())
        tell(place, n.round, wrong);
}

std::string Invariants::wrong_origin(PlaceIndex place, const job::Job& any, std::uint64_t round) {
    const auto from = [&](const PeerId& id) { return world_->place_of(id); };
    if (const auto* add = std::get_if<job::AccumulateJob>(&any); add && from(add->from)) {
        const auto model = models_(place);
        return origins_.of_update(*from(add->from), *add, round, values_of(model));
    }
    if (const auto* decode = std::get_if<job::DecodeJob>(&any); decode && from(decode->from))
        return origins_.of_copy(*from(decode->from), *decode);
    std::string wrong;
    if (const auto* mix = std::get_if<job::MixJob>(&any))
        for (const auto& input : mix->inputs)
            if (wrong.empty() && from(input.from))
                wrong = origins_.of_mixed(*from(input.from), input, round);
    return wrong;
}

AfterJob Invariants::before(PlaceIndex place, const job::Job& any, std::function<void()>& later) {
    if (const auto* train = std::get_if<job::TrainJob>(&any)) {
        if (const auto name = origins_.name_of(*train))
            later = [this, place, round = train->round, name] {
                origins_.on_train(place, round, name);
            };
        return {};
    }
    const auto* mix = std::get_if<job::MixJob>(&any);
    const auto* add = std::get_if<job::AccumulateJob>(&any);
    if ((!add && !mix && !std::holds_alternative<job::DecodeJob>(any)) || !world_->running(place))
        return mix ? mixes_.before(place, *mix) : AfterJob();
    const auto& node = run_node(*world_, place);
    const auto round = node.with_core([](const auto& c) { return c.progress().round; }) + 1;
    auto wrong = wrong_origin(place, any, round);
    AfterJob after;
    if (mix) {
        after = mixes_.before(place, *mix);
    } else if (add && node.core_as<federated::RoundEngine>()) {
        auto from = world_->place_of(add->from);
        if (from && *from >= scenario_.peers()) from.reset();
        const auto model = models_(place);
        after = sums_.before(*add, round, values_of(model), from);
        if (auto in_sum = sums_.wrong(); wrong.empty()) wrong = std::move(in_sum);
    }
    if (!wrong.empty())
        later = [this, place, round, wrong = std::move(wrong)] { tell(place, round, wrong); };
    return after;
}

// ---- what is done to them -----------------------------------------------------------------------

void Invariants::on_state(Instant now, PlaceIndex place, PlaceState state) {
    auto& p = places_[place];
    p.disturbed = now;
    p.silent = Instant::never();
    if (state == PlaceState::off || state == PlaceState::dark) {
        mixes_.on_life(place);
        std::erase_if(suspects_, [&](const auto& s) { return s.first.first == place; });
        std::erase_if(incarnations_, [&](const auto& i) { return i.first.first == place; });
        if (place == scenario_.peers()) sums_.on_life();
    }
    next_.on_state(now, place, state);
}

void Invariants::on_fault(Instant now, const Fault& fault, bool begins) {
    if (fault.other.empty()) {
        for (auto place : fault.who) places_[place].disturbed = now;
    } else {
        disturbed_ = now;
    }
    if (fault.kind >= FaultKind::cut) mishaps_ += begins ? 1 : -1;
    if (fault.kind == FaultKind::disk_lost)
        for (auto place : fault.who) places_[place].durable = 0;
    next_.on_fault(now, fault, begins);
}

// ---- looking around -----------------------------------------------------------------------------

void Invariants::look_around(Instant now) {
    next_look_ = now + every_;
    const bool all = world_->size() <= kViewPlacesMax;
    for (PlaceIndex p = 0; p < world_->size(); ++p) {
        if (world_->state(p) != PlaceState::running || !world_->running(p)) continue;
        look_at_bounds(p);
        // Who hears of others that late, or is heard, cannot keep up with them: its line's doing.
        if (world_->line_wait(p) > kOverdueMost) places_[p].disturbed = now;
        if (all || world_->role(p) == Role::aggregator) look_at_deadlines(now, p);
        if (!all || world_->has_ended(p)) continue;
        look_at_incarnations(now, p);
        if (!calm(now, p)) continue;
        look_at_views(now, p);
        look_at_gone(now, p);
        look_at_waits(now, p);
    }
    const std::size_t places = world_->size();
    const std::size_t bound =
        10'000 + 200 * places + 20 * std::min(places, kViewPlacesMax) * places;
    if (world_->queue_largest() > bound && told_views_.emplace(~0u, ~0u).second)
        tell(0, 0, fmt::format("{} events wait at once", world_->queue_largest()));
}

bool Invariants::calm(Instant now, PlaceIndex p) const {
    return world_->running(p) && world_->state(p) == PlaceState::running && !world_->has_ended(p) &&
           now - places_[p].disturbed > quiet_ && now - disturbed_ > quiet_ && mishaps_ == 0;
}

// Somebody whom both know beforehand, the aggregator or one of the seeds, can tell them of each
// other.
bool Invariants::introduced(Instant now, PlaceIndex a, PlaceIndex b) const {
    const auto knows_both = [&](PlaceIndex s) {
        const auto meets = [&](PlaceIndex p) {
            return p == s || (calm(now, s) && world_->reachable(p, s));
        };
        return meets(a) && meets(b) &&
               (world_->role(s) == Role::aggregator || !world_->network().behind_nat(s));
    };
    if (scenario_.federated()) return knows_both(scenario_.peers());
    for (PlaceIndex s = 0; s < std::min(scenario_.peers(), 3u); ++s)
        if (knows_both(s)) return true;
    return false;
}

void Invariants::look_at_views(Instant now, PlaceIndex p) {
    const auto& members = run_node(*world_, p).membership();
    if (!members.full_mesh()) return;
    for (PlaceIndex other = 0; other < world_->size(); ++other) {
        if (other == p || !calm(now, other) || !world_->reachable(p, other) ||
            !introduced(now, p, other))
            continue;
        const auto& id = world_->id(other);
        const bool known = members.role_of(id).has_value();
        const auto state = members.state_of(id);
        if (known && (state == MemberState::alive || state == MemberState::suspect)) continue;
        if (!told_views_.emplace(p, other).second) continue;
        tell(p, places_[p].last,
             fmt::format("{} is {} here, though it lives and nothing happened for {}", name(other),
                         known ? message::to_string(state) : "unknown", format_duration(quiet_)));
    }
}

// Suspicions end, and who is gone is not held alive by those who had a link to it.
void Invariants::look_at_gone(Instant now, PlaceIndex p) {
    for (auto it = suspects_.lower_bound({p, 0}); it != suspects_.end(); ++it) {
        if (it->first.first != p) break;
        if (now - it->second <= quiet_ || !told_suspects_.insert(it->first).second) continue;
        tell(p, places_[p].last,
             fmt::format("{} is suspected since {:.1f}s and neither cleared nor held dead",
                         name(it->first.second), seconds(it->second - World::kBeginning)));
    }
    const auto& members = run_node(*world_, p).membership();
    const bool hears_all = world_->role(p) == Role::aggregator ||
                           (members.full_mesh() && world_->network().config().nat_part == 0);
    for (PlaceIndex other = 0; hears_all && other < world_->size(); ++other) {
        const bool gone =
            world_->state(other) == PlaceState::off || world_->state(other) == PlaceState::dark;
        if (!gone || now - places_[other].disturbed <= quiet_) continue;
        const auto& id = world_->id(other);
        if (!members.role_of(id) || members.state_of(id) != MemberState::alive) continue;
        if (!told_views_.emplace(p, other).second) continue;
        tell(p, places_[p].last,
             fmt::format("{} is alive here, though it is gone for {}", name(other),
                         format_duration(now - places_[other].disturbed)));
    }
}

void Invariants::look_at_incarnations(Instant now, PlaceIndex p) {
    for (const auto& view : run_node(*world_, p).membership().views()) {
        const auto other = world_->place_of(view.record.id);
        if (!other) continue;
        auto& known = incarnations_[{p, *other}];
        const auto seen = view.record.incarnation;
        if (seen < known && told_suspects_.emplace(p, *other).second)
            tell(
                p, places_[p].last,
                fmt::format("the incarnation of {} fell from {} to {}", name(*other), known, seen));
        known = std::max(known, seen);
        // Whose disk was lost and whose clock was set back is below it until it is told.
        if (!calm(now, *other)) continue;
        const auto own = run_node(*world_, *other).membership().self().incarnation;
        if (seen > own && told_suspects_.emplace(p, *other).second)
            tell(p, places_[p].last,
                 fmt::format("the incarnation of {} is {} here, which has only reached {}",
                             name(*other), seen, own));
    }
}

// A timer that was forgotten: what should have happened by then has not.
void Invariants::look_at_deadlines(Instant now, PlaceIndex p) {
    auto& place = places_[p];
    if (now - place.disturbed <= kOverdueMost || place.told_overdue) return;
    const auto& node = run_node(*world_, p);
    const auto look = [&](const message::Waiting& wait, bool needs_one) {
        const bool none = wait.until.is_never();
        if (none ? !needs_one : now - wait.until <= kOverdueMost) return;
        place.told_overdue = true;
        const auto since = none ? std::string("without a deadline")
                                : fmt::format("since {:.1f}s, until {:.1f}s, which is over",
                                              seconds(wait.since - World::kBeginning),
                                              seconds(wait.until - World::kBeginning));
        tell(p, place.last, fmt::format("waits for {} {}", wait.what, since));
    };
    if (const auto* engine = node.core_as<federated::RoundEngine>()) {
        for (const auto& wait : engine->status(now).waiting) look(wait, true);
    } else if (const auto* gossip = node.core_as<gossip::Gossip>()) {
        // Members may come when they like, and a link watches over what it carries.
        const bool idle = world_->task_count(p) == 0;
        for (const auto& wait : gossip->status(now).waiting)
            look(wait,
                 idle && !wait.what.starts_with("members") && !wait.what.ends_with("up with"));
    }
}

void Invariants::look_at_waits(Instant now, PlaceIndex p) {
    auto& place = places_[p];
    const auto& node = run_node(*world_, p);
    if (world_->task_count(p) > 0 || node.finished() || !node.status(now).waiting.empty()) {
        place.silent = Instant::never();
        return;
    }
    if (place.silent.is_never()) place.silent = now;
    if (now - place.silent < std::max(kSilenceMax, 2 * every_) || place.told_silent) return;
    place.told_silent = true;
    tell(p, place.last,
         fmt::format("neither works nor says what it waits for since {:.1f}s",
                     seconds(place.silent - World::kBeginning)));
}

void Invariants::look_at_bounds(PlaceIndex p) {
    const auto& staging = world_->staging(p);
    if (staging.used_bytes() > staging.bytes_max())
        tell(p, places_[p].last, fmt::format("{} bytes are staged", staging.used_bytes()));
    if (const auto tasks = world_->task_count(p);
        tasks > 64 + 4 * scenario_.peers() && told_views_.emplace(p, ~0u).second)
        tell(p, places_[p].last, fmt::format("{} tasks wait at once", tasks));
}

// ---- the end ------------------------------------------------------------------------------------

void Invariants::at_end(bool run_dry) {
    std::uint64_t values = 0;
    for (PlaceIndex p = 0; p < world_->size(); ++p) {
        const auto held = models_(p);
        const auto model = values_of(held);
        if ((values += model.size()) > kValuesMax) break;
        if (std::ranges::all_of(model, [](float x) { return std::isfinite(x); })) continue;
        tell(p, places_[p].last, "its model is not finite");
    }
    if (!run_dry) return;
    for (PlaceIndex p = 0; p < world_->size(); ++p) {
        if (world_->has_ended(p)) continue;
        std::string waits;
        if (world_->running(p))
            for (const auto& w : world_->node(p).status(world_->now()).waiting)
                waits += (waits.empty() ? "" : ", ") + w.what;
        tell(p, places_[p].last,
             "nothing is left to happen, but it has not ended; waits for: " + waits);
    }
}

}  // namespace gossamer::simulation
