// What takes places away and stands between them.
#include <algorithm>

#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/lane.hpp"

namespace gossamer::simulation {

namespace {

enum Change : std::uint64_t { kGoes, kReturns };

std::vector<bool> flags(const std::vector<std::uint32_t>& who, std::size_t count) {
    std::vector<bool> in(count);
    for (auto p : who) in[p] = true;
    return in;
}

}  // namespace

// ---- availability ----

// When it goes next, and when it comes back: drawn by name, so that nothing else moves them.
void Lane::next_availability(Instant now, PlaceIndex p) {
    const auto& d = setup_.config.devices;
    auto& place = places_[p];
    if (role(p) != Role::peer || place.ended) return;
    const auto k = place.away_count++;
    auto draws = stream(setup_.seed, Purpose::scenario, 2 + k, p);
    Instant goes, returns;
    if (d.availability == Availability::churn) {
        goes = now + ground_.start_after(p) * (k == 0) + times(d.up_mean, draws.exponential());
        returns = goes + std::max<Duration>(times(d.down_mean, draws.exponential()), 1ms);
    } else if (d.availability == Availability::diurnal) {
        const double phase = stream(setup_.seed, Purpose::scenario, 0, p).uniform();
        // The first day began before the world did: who is in the midst of its night sleeps from
        // the first.
        goes = kBeginning + times(d.day, phase + static_cast<double>(k) - 1);
        returns = goes + times(d.day, d.asleep_part);
        if (returns <= now) return next_availability(now, p);
    } else {
        return;
    }
    if (goes < now)
        ++place.slept;
    else
        push_world(p, goes, {.kind = EventKind::availability, .a = kGoes});
    push_world(p, returns, {.kind = EventKind::availability, .a = kReturns});
}

void Lane::on_availability(PlaceIndex p, std::uint64_t change) {
    const auto& d = setup_.config.devices;
    auto& place = places_[p];
    if (place.ended && place.state != PlaceState::asleep) return;
    const bool sleeps = d.availability == Availability::diurnal;
    if (change == kGoes && sleeps) {
        ++place.slept;
        return sleep(p);
    }
    if (change == kGoes) {
        hold_off(p, d.churn_loses_power);
        const Fault gone{.kind = d.churn_loses_power ? FaultKind::power : FaultKind::kill};
        if (setup_.factory.disk) setup_.factory.disk(p, gone, true);
        return;
    }
    if (sleeps) {
        --place.slept;
        stir(p);
    } else {
        let_back(p, d.churn_loses_power);
    }
    next_availability(now_, p);
}

// ---- reasons not to be there: when the last one ends, it is there again ----

void Lane::hold_off(PlaceIndex p, bool power) {
    auto& place = places_[p];
    ++place.away;
    place.dark += power;
    end_life(p, place.dark > 0 ? PlaceState::dark : PlaceState::off, false);
}

void Lane::let_back(PlaceIndex p, bool power) {
    auto& place = places_[p];
    --place.away;
    place.dark -= power;
    if (place.state == PlaceState::dark && place.dark == 0) place.state = PlaceState::off;
    boot(p);
}

// Its machine woke, or its process may go on.
void Lane::stir(PlaceIndex p) {
    const auto& place = places_[p];
    const auto freezes = [](const Fault* fault) { return fault->kind == FaultKind::freeze; };
    if (place.slept > 0) return;
    if (place.passing && std::ranges::any_of(place.passing->under, freezes)) return;
    if (place.state == PlaceState::asleep)
        wake(p);
    else
        boot(p);
}

// What was done to it while it could not notice.
void Lane::feel_at_last(PlaceIndex p) {
    auto& passing = places_[p].passing;
    if (!passing) return;
    for (auto id : std::exchange(passing->broken, {})) break_link(p, id, ErrorCode::kNetReset);
    if (std::exchange(passing->told_to_leave, false)) leave(p);
}

void Lane::leave(PlaceIndex p) {
    auto& place = places_[p];
    if (!place.node || place.stopping) return;
    if (place.state == PlaceState::asleep) {
        place.passed().told_to_leave = true;
        return;
    }
    place.stopping = true;
    turn(p, [](node::Node& n, job::Turn& t) { n.on_stop(t, "asked to"); });
}

// The latest fault of this kind that is in force on a place, once this one began or ended; or null.
const Fault* Lane::under(PlaceIndex p, const Fault& fault, bool begins) {
    auto& faults = places_[p].passed().under;
    if (begins)
        faults.push_back(&fault);
    else
        std::erase(faults, &fault);
    for (auto it = faults.rbegin(); it != faults.rend(); ++it)
        if ((*it)->kind == fault.kind) return *it;
    return nullptr;
}

// ---- faults of the plan ----

void Lane::apply(const Fault& fault, bool begins) {
    tell(0, Faulted{&fault, begins});
    switch (fault.kind) {
        case FaultKind::partition:
        case FaultKind::oneway:
        case FaultKind::clog: return stand_in_the_way(fault, begins);
        case FaultKind::reset: return reset_links(fault);
        case FaultKind::cut:
        case FaultKind::corrupt:
        case FaultKind::damage: return bring(fault, begins);
        default:
            for (auto p : fault.who) take_away(p, fault, begins);
    }
}

void Lane::gone_for_good(PlaceIndex p) {
    if (std::exchange(places_[p].ended, true)) return;
    ++ended_count;
}

void Lane::take_away(PlaceIndex p, const Fault& fault, bool begins) {
    auto& place = places_[p];
    const bool for_good = fault.lasting == Duration::zero();
    const bool power = fault.kind == FaultKind::power;
    switch (fault.kind) {
        case FaultKind::kill:
        case FaultKind::power:
            if (!begins) return let_back(p, power);
            hold_off(p, power);
            if (setup_.factory.disk) setup_.factory.disk(p, fault, begins);
            if (for_good) gone_for_good(p);
            return;
        case FaultKind::leave:
            if (!begins) return let_back(p, false);
            ++place.away;
            if (for_good) gone_for_good(p);
            return leave(p);
        case FaultKind::sleep:
            place.slept += begins ? 1 : -1;
            if (!begins) return stir(p);
            sleep(p);
            if (for_good) gone_for_good(p);
            return;
        case FaultKind::freeze:
            if (begins && place.node) under(p, fault, true);
            if (!begins) {
                under(p, fault, false);
                return stir(p);
            }
            sleep(p);
            if (for_good) gone_for_good(p);
            return;
        case FaultKind::hang: return let_hang(p, under(p, fault, begins) != nullptr);
        case FaultKind::echo:
            if (const auto* last = under(p, fault, begins))
                ground_.echoing[p] = last->value;
            else
                ground_.echoing.erase(p);
            return;
        case FaultKind::slow: {
            const auto* last = under(p, fault, begins);
            place.passed().slower = last ? last->value : 1;
            return;
        }
        case FaultKind::clock:
            if (begins) {
                auto& offset = place.passed().clock_offset;
                offset = std::clamp(offset + of_seconds(fault.value), -kLongest, kLongest);
            }
            return;
        case FaultKind::disk_full:
            if (setup_.factory.disk)
                setup_.factory.disk(p, fault, under(p, fault, begins) != nullptr);
            return;
        case FaultKind::disk_lost:
            if (setup_.factory.disk) setup_.factory.disk(p, fault, begins);
            return;
        default: return;
    }
}

void Lane::stand_in_the_way(const Fault& fault, bool begins) {
    const auto name = static_cast<std::uint64_t>(&fault - setup_.faults.data()) + 1;
    if (!begins) {
        network_.lower(name);
        return release_held();
    }
    const bool clog = fault.kind == FaultKind::clog;
    const auto a = flags(fault.who, places_.size()), b = flags(fault.other, places_.size());
    network_.raise({name, a, b, clog});
    if (fault.kind != FaultKind::oneway) network_.raise({name, b, a, clog});
}

void Lane::reset_links(const Fault& fault) {
    const auto other = flags(fault.other, places_.size());
    const auto strike = [&](PlaceIndex p, ChannelId id) {
        if (places_[p].state == PlaceState::asleep)
            places_[p].passed().broken.push_back(id);
        else
            break_link(p, id, ErrorCode::kNetReset);
    };
    for (auto p : fault.who) {
        const auto up = places_[p].up;
        for (const auto& [there, end] : up) {
            if (!other[there]) continue;
            const auto id = end->id;
            strike(p, id);
            strike(there, id);
        }
    }
}

}  // namespace gossamer::simulation
