#include "drivers/simulation/world.hpp"

#include <algorithm>

#include "drivers/simulation/wire_path.hpp"
#include "protocol/job/ends.hpp"

namespace gossamer::simulation {

namespace {

constexpr WallTime kWallBeginning{1'767'225'600'000'000'000};  // 2026-01-01
constexpr Duration kStall = 250ms;  // a deadline later than this: the node is told that it slept

std::uint64_t bits(double x) { return std::bit_cast<std::uint64_t>(x); }

// What of a notice the trace hash covers.
struct NoticeTrace {
    Trace& trace;
    void peer(const PeerId& id) { trace.add(ByteView(id.bytes)); }
    void operator()(const message::RunStarted& n) { trace.add(n.round); }
    void operator()(const message::RunEnded& n) {
        trace.add(n.round), trace.add(std::uint64_t{n.reached});
    }
    void operator()(const message::Waiting& n) { trace.add(n.whom.size()); }
    void operator()(const message::MemberChanged& n) {
        peer(n.peer),
            trace.add(static_cast<std::uint64_t>(n.from) << 8 | static_cast<std::uint64_t>(n.to));
    }
    void operator()(const message::LinkChanged& n) { peer(n.peer), trace.add(std::uint64_t{n.up}); }
    void operator()(const message::Trained& n) {
        trace.add(n.round), trace.add(bits(n.loss)), trace.add(n.sample_count);
    }
    void operator()(const message::Evaluated& n) {
        trace.add(n.round), trace.add(bits(n.loss)), trace.add(bits(n.accuracy));
    }
    void operator()(const message::Mixed& n) {
        trace.add(n.step), trace.add(bits(n.distance)), trace.add(n.received_bytes);
        for (const auto& id : n.left_out) peer(id);
    }
    void operator()(const message::RoundFinished& n) {
        trace.add(n.round), trace.add(bits(n.loss)), trace.add(ByteView(n.model.bytes));
        for (const auto& id : n.accepted) peer(id);
    }
    void operator()(const message::UpdateRefused& n) { peer(n.peer), trace.add(n.round); }
    void operator()(const message::CheckpointWritten& n) { trace.add(n.round); }
    void operator()(const message::CaughtUp& n) { peer(n.from), trace.add(n.to_round); }
    void operator()(const message::Resumed& n) {
        trace.add(static_cast<std::uint64_t>(n.asleep.count()));
    }
    void operator()(const message::Warning& n) {
        trace.add(ByteView(as_bytes(describe(n.error.code).id)));
    }
};

}  // namespace

World::World(WorldSetup setup, Observer& observer)
    : setup_(std::move(setup)),
      observer_(observer),
      network_(setup_.config.network, setup_.seed),
      compute_(setup_.threads) {
    places_.resize(setup_.places.size());
    by_id_.reserve(places_.size());
    by_address_.reserve(places_.size());
    for (PlaceIndex p = 0; p < places_.size(); ++p) {
        auto& place = places_[p];
        place.setup = std::move(setup_.places[p]);
        by_id_.emplace(place.setup.id, p);
        by_address_.emplace(place.setup.address, p);
        place.staging = std::make_shared<link::Staging>(setup_.staging_bytes);
        push_world(p, kBeginning + place.setup.start_after, {.kind = EventKind::boot});
    }
    setup_.places.clear();
    for (std::size_t i = 0; i < setup_.faults.size(); ++i) {
        const auto& fault = setup_.faults[i];
        push_world(0, kBeginning + fault.at, {.kind = EventKind::fault, .a = i});
        if (fault.lasting > Duration::zero())
            push_world(0, kBeginning + fault.at + fault.lasting,
                       {.kind = EventKind::fault, .b = 1, .a = i});
    }
    for (PlaceIndex p = 0; p < places_.size(); ++p) next_availability(p);
}

World::~World() = default;

std::optional<PlaceIndex> World::place_of(const PeerId& id) const {
    auto it = by_id_.find(id);
    return it == by_id_.end() ? std::nullopt : std::optional(it->second);
}

bool World::reachable(PlaceIndex a, PlaceIndex b) const {
    return !network_.blocked(a, b) && !network_.blocked(b, a);
}

std::uint64_t World::trace_hash() const {
    Trace all = world_trace_;
    for (const auto& place : places_) all.add(place.trace.value());
    return all.value();
}

// ---- events ----

void World::push(PlaceIndex receiver, PlaceIndex sender, Instant at, Event event) {
    queue_.push({std::max(at, now_), receiver + 1, sender + 1, places_[sender].events_sent++},
                std::move(event));
}

void World::push_world(PlaceIndex receiver, Instant at, Event event) {
    event.c = receiver;
    queue_.push({std::max(at, now_), 0, 0, world_events_++}, std::move(event));
}

bool World::step() {
    if (queue_.empty() || failed_) return false;
    EventKey key;
    Event event = queue_.pop(key);
    now_ = key.at;
    ++counts_.events;
    handle(key, std::move(event));
    settle();
    return !failed_;
}

void World::handle(const EventKey& key, Event event) {
    if (key.receiver == 0) {
        world_trace_.add(static_cast<std::uint64_t>(now_.ns));
        const auto p = static_cast<PlaceIndex>(event.c);
        switch (event.kind) {
            case EventKind::boot: return boot(p);
            case EventKind::wake: return event.life == places_[p].life ? wake(p) : void();
            case EventKind::availability: return on_availability(p, event.a);
            case EventKind::fault: return apply(setup_.faults[event.a], event.b == 0);
            default: return;
        }
    }
    const PlaceIndex p = key.receiver - 1;
    auto& place = places_[p];
    if (place.state == PlaceState::asleep && event.kind != EventKind::dial_arrives) {
        if (event.kind != EventKind::deadline) place.held.emplace_back(key, std::move(event));
        return;
    }
    place.trace.add(static_cast<std::uint64_t>(now_.ns));
    place.trace.add(static_cast<std::uint64_t>(event.kind) << 32 | key.sender);
    switch (event.kind) {
        case EventKind::deadline:
            if (event.life != place.life || place.armed != key.at) return;
            place.armed = Instant::never();
            if (place.node->next_deadline() > now_) return arm(p);
            return turn(p, [](node::Node& n, job::Turn& t) { n.on_deadline(t); });
        case EventKind::job_done:
            if (event.life == place.life) finish_job(p, event.a);
            return;
        case EventKind::echo: return on_echo(p, event.a, event.life);
        case EventKind::dial_arrives: return on_dial_arrives(p, event.a);
        case EventKind::dial_result: return on_dial_result(p, event.a);
        case EventKind::packet: return on_packet(event.a, event.b, std::move(event.packet), key);
        case EventKind::departed:
            if (auto* channel = channels_.find(event.a)) {
                auto& end = channel->end[event.b];
                end.in_flight -= event.c;
                if (!end.link) return;
                end.link->note_sent(now_, event.c);
                touch(event.a, event.b);
            }
            return;
        case EventKind::link_deadline:
            if (auto* channel = channels_.find(event.a)) {
                auto& end = channel->end[event.b];
                if (!end.link || end.armed.ns != static_cast<std::int64_t>(event.c)) return;
                end.armed = Instant::never();
                end.link->on_deadline(now_);
                touch(event.a, event.b);
            }
            return;
        default: return;
    }
}

// ---- turns ----

WallTime World::wall(const Place& place) const {
    const auto p = static_cast<std::uint64_t>(&place - places_.data());
    const auto& devices = setup_.config.devices;
    Duration error = place.clock_offset;
    if (devices.clock_error > Duration::zero() || devices.drift > 0) {
        auto draws = stream(setup_.seed, Purpose::scenario, 1, p);
        const double at_start = 2 * draws.uniform() - 1, drift = 2 * draws.uniform() - 1;
        error += Duration{static_cast<std::int64_t>(
            at_start * static_cast<double>(devices.clock_error.count()) +
            drift * devices.drift * static_cast<double>(elapsed().count()))};
    }
    return kWallBeginning + elapsed() + error;
}

void World::note(PlaceIndex p, const message::Notice& notice) {
    auto& trace = places_[p].trace;
    trace.add(notice.index());
    std::visit(NoticeTrace{trace}, notice);
    observer_.on_notice(now_, p, notice);
}

void World::carry_out(PlaceIndex p, job::Turn& t) {
    auto& place = places_[p];
    for (const auto& notice : t.notices) note(p, notice);
    for (auto id : t.cancels) cancel(p, id);
    for (auto& order : t.jobs) {
        Task task{.number = next_task_++, .order = std::move(order)};
        place.tasks.push_back(std::move(task));
        auto& kept = place.tasks.back();
        const auto ends = job::ends_of(kept.order.job);
        for (const auto* handle : ends.inputs) kept.inputs.push_back(handle->key());
        for (const auto* handle : ends.outputs) {
            kept.outputs.push_back(*handle);
            place.pending.push_back(handle->key());
        }
        ++counts_.jobs;
        counts_.train_jobs += std::holds_alternative<job::TrainJob>(kept.order.job);
    }
    for (const auto& grant : t.grants)
        if (auto* link = link_to(p, grant.from)) {
            if (grant.refused)
                link->refuse(now_, grant.id, *grant.refused);
            else
                link->grant(now_, grant.id);
        }
    for (auto& send : t.sends)
        if (auto* link = link_to(p, send.to)) {
            auto sent = link->send(now_, std::move(send.message), send.lane);
            if (!sent) note(p, message::Warning{std::move(sent).error()});
        }
    for (auto& offer : t.offers) pass_offer(p, std::move(offer));
    for (auto id : t.withdrawn) {
        std::erase_if(place.promised, [&](const auto& offer) { return offer.id == id; });
        if (const auto* on = place.offered.find(id.value)) {
            if (auto* channel = channels_.find(*on)) {
                const std::size_t side = channel->end[0].place == p ? 0 : 1;
                if (auto& link = channel->end[side].link) link->withdraw(now_, id);
                touch(*on, static_cast<std::uint8_t>(side));
            }
            place.offered.erase(id.value);
        }
    }
    for (const auto& order : t.links) {
        if (order.kind == job::LinkOrder::Kind::dial)
            dial(p, order);
        else if (order.peer)
            if (auto* link = link_to(p, *order.peer))
                link->close(now_, {ErrorCode::kLinkClosed, order.reason, {}});
    }
    start_jobs(p);
    arm(p);
}

void World::arm(PlaceIndex p) {
    auto& place = places_[p];
    if (!place.node) return;
    const Instant deadline = std::max(place.node->next_deadline(), now_);
    if (deadline.is_never() || place.armed <= deadline) return;
    place.armed = deadline;
    push(p, p, deadline, {.kind = EventKind::deadline, .life = place.life});
}

// As a daemon does: a run that is over is left, and the program ends.
void World::check_end(PlaceIndex p) {
    auto& place = places_[p];
    if (!place.node) return;
    if (!place.stopping && place.node->finished()) {
        place.stopping = true;
        if (!place.ended) {
            place.ended = true;
            ++ended_count_;
        }
        turn(p, [](node::Node& n, job::Turn& t) { n.on_stop(t, "the run is over"); });
        return;
    }
    if (place.stopping && place.node->stopped()) end_life(p, PlaceState::off, true);
}

void World::ask_all_to_stop(const std::string& reason) {
    for (PlaceIndex p = 0; p < places_.size(); ++p) {
        if (!places_[p].node || places_[p].stopping) continue;
        places_[p].stopping = true;
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_stop(t, reason); });
        settle();
    }
}

void World::fail_world(Error error) {
    if (!failed_) failed_ = std::move(error);
}

// ---- lives ----

void World::boot(PlaceIndex p) {
    auto& place = places_[p];
    if (place.node && place.stopping) place.returns = true;  // once it is down
    if (place.node || place.ended) return;
    ++place.life;
    counts_.restarts += place.boots > 0;
    auto made = setup_.factory.node(p, ++place.boots, wall(place));
    if (!made) {
        auto error = std::move(made).error();
        const bool peer = place.setup.role == Role::peer;
        error.what = (peer ? "peer " + std::to_string(p) : "the aggregator") + ", life " +
                     std::to_string(place.boots) + ", seed " + std::to_string(setup_.seed.value) +
                     ": " + error.what;
        return fail_world(std::move(error));
    }
    place.node = std::move(*made);
    place.ids = {};
    place.armed = Instant::never();
    place.stopping = place.returns = false;
    place.state = PlaceState::running;
    observer_.on_state(now_, p, place.state);
    turn(p, [](node::Node& n, job::Turn& t) { n.on_start(t); });
}

void World::end_life(PlaceIndex p, PlaceState state, bool orderly) {
    auto& place = places_[p];
    place.state = state;
    if (!place.node) return;
    const auto node = std::move(place.node);  // it may be on the stack above
    ++place.life;
    place.armed = Instant::never();
    place.held.clear();
    for (auto& task : place.tasks)
        if (task.ticket) compute_.drop(task.ticket);
    place.tasks.clear();
    place.pending.clear();
    place.promised.clear();
    place.offered.clear();
    place.at_work[0] = place.at_work[1] = false;
    place.up.clear();
    place.greeting.clear();
    const auto open = std::exchange(place.channels, {});
    for (auto id : open) {
        auto* found = channels_.find(id);
        if (!found) continue;
        auto& channel = *found;
        const std::size_t side = channel.end[0].place == p ? 0 : 1;
        if (orderly && channel.end[side].link) {
            pump(channel, side);  // what was said goes out first
            channel.end[side].link->close(now_, {ErrorCode::kLinkClosed, "it left", {}});
            pump(channel, side);
        }
        cut_off(channel, side, state != PlaceState::dark, !orderly);
    }
    observer_.on_state(now_, p, state);
    if (orderly && place.returns) push_world(p, now_, {.kind = EventKind::boot});
}

void World::sleep(PlaceIndex p) {
    auto& place = places_[p];
    if (place.state != PlaceState::running) return;
    place.state = PlaceState::asleep;
    place.slept_since = now_;
    observer_.on_state(now_, p, place.state);
}

void World::wake(PlaceIndex p) {
    auto& place = places_[p];
    if (place.state != PlaceState::asleep) return;
    place.state = PlaceState::running;
    observer_.on_state(now_, p, place.state);
    const auto asleep = now_ - place.slept_since;
    place.armed = Instant::never();
    if (asleep > kStall)
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_resume(t, asleep); });
    else
        arm(p);
    auto held = std::exchange(place.held, {});
    for (auto& [key, event] : held)  // in the order in which they came
        queue_.push({now_, p + 1, p + 1, place.events_sent++}, std::move(event));
}

}  // namespace gossamer::simulation
