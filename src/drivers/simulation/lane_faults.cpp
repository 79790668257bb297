// What takes places away and stands between them.
#include "drivers/simulation/lane.hpp"

namespace gossamer::simulation {

namespace {

enum Change : std::uint64_t { kGoes, kReturns };

Duration times(Duration d, double factor) {
    return Duration{static_cast<std::int64_t>(static_cast<double>(d.count()) * factor)};
}

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
        goes = kBeginning + times(d.day, phase + static_cast<double>(k));
        returns = goes + times(d.day, d.asleep_part);
    } else {
        return;
    }
    push_world(p, goes, {.kind = EventKind::availability, .a = kGoes});
    push_world(p, returns, {.kind = EventKind::availability, .a = kReturns});
}

void Lane::on_availability(PlaceIndex p, std::uint64_t change) {
    const auto& d = setup_.config.devices;
    auto& place = places_[p];
    if (place.ended) return;
    const bool sleeps = d.availability == Availability::diurnal;
    if (change == kGoes) {
        if (sleeps) return sleep(p);
        const auto state = d.churn_loses_power ? PlaceState::dark : PlaceState::off;
        if (place.node) end_life(p, state, false);
        const Fault gone{.kind = d.churn_loses_power ? FaultKind::power : FaultKind::kill};
        if (setup_.factory.disk) setup_.factory.disk(p, gone, true);
        return;
    }
    if (sleeps)
        wake(p);
    else
        boot(p);
    next_availability(now_, p);
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
    switch (fault.kind) {
        case FaultKind::kill:
        case FaultKind::power:
            if (!begins) return boot(p);
            end_life(p, fault.kind == FaultKind::kill ? PlaceState::off : PlaceState::dark, false);
            if (setup_.factory.disk) setup_.factory.disk(p, fault, begins);
            if (for_good) gone_for_good(p);
            return;
        case FaultKind::leave:
            if (!begins) return boot(p);
            if (for_good) gone_for_good(p);
            if (!place.node || place.stopping) return;
            place.stopping = true;
            return turn(p, [](node::Node& n, job::Turn& t) { n.on_stop(t, "asked to"); });
        case FaultKind::sleep:
        case FaultKind::freeze:
            if (!begins) return wake(p);
            sleep(p);
            if (for_good) gone_for_good(p);
            return;
        case FaultKind::hang: return let_hang(p, begins);
        case FaultKind::echo:
            if (begins)
                ground_.echoing[p] = fault.value;
            else
                ground_.echoing.erase(p);
            return;
        case FaultKind::slow: place.passed().slower = begins ? fault.value : 1; return;
        case FaultKind::clock:
            if (begins)
                place.passed().clock_offset +=
                    Duration{static_cast<std::int64_t>(fault.value * 1e9)};
            return;
        case FaultKind::disk_full:
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
    for (auto p : fault.who) {
        const auto up = places_[p].up;
        for (const auto& [there, end] : up) {
            if (!other[there]) continue;
            break_link(p, end->id, ErrorCode::kNetReset);
            break_link(there, end->id, ErrorCode::kNetReset);
        }
    }
}

}  // namespace gossamer::simulation
