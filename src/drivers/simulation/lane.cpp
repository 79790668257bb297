#include "drivers/simulation/lane.hpp"

#include <algorithm>

#include "drivers/simulation/wire_path.hpp"
#include "gossamer/base/prefetch.hpp"
#include "protocol/job/ends.hpp"

namespace gossamer::simulation {

namespace {

constexpr std::size_t kNodeFetched = 512, kEndsFetched = 64, kUpFetched = 8;

}  // namespace

Lane::Lane(Ground& ground, Observer& observer)
    : ground_(ground),
      observer_(observer),
      setup_(ground.setup),
      network_(ground.network),
      compute_(ground.compute),
      places_(ground.places) {}

Lane::~Lane() = default;

// ---- events ----

void Lane::push(PlaceIndex receiver, PlaceIndex sender, Instant at, Event event) {
    push_again({std::max(at, now_), receiver + 1, sender + 1, places_[sender].events_sent++},
               std::move(event));
}

void Lane::push_again(const EventKey& key, Event event) {
    const bool own = !world_ && key.receiver == turning_ + 1;
    if (own && key.at < horizon_) return own_.push(key, std::move(event));
    GOSSAMER_ASSERT(world_ || own || key.at >= horizon_, "nothing is felt elsewhere in its window");
    sent.push_back({key, std::move(event)});
}

void Lane::push_world(PlaceIndex receiver, Instant at, Event event) {
    event.c = receiver;
    world_events.push_back({std::max(at, world_ ? now_ : horizon_), key_, std::move(event)});
}

void Lane::turn_place(PlaceIndex p, std::span<Item*> items, Instant horizon) {
    turning_ = p;
    horizon_ = horizon;
    auto next = items.begin();
    while (next != items.end() || !own_.empty()) {
        Event event;
        if (own_.empty() || (next != items.end() && (*next)->key < own_.next())) {
            key_ = (*next)->key;
            event = std::move((*next)->event);
            ++next;
        } else {
            event = own_.pop(key_);
        }
        now_ = key_.at;
        ++counts.events;
        handle(key_, std::move(event));
        settle();
    }
    latest_ = std::max(latest_, now_);
    places_[p].tidy();
}

void Lane::fetch(const Item& item, unsigned which) const {
    const auto& place = places_[item.key.receiver - 1];
    const auto* packet = item.event.packet.get();
    const bool to_all = item.event.kind == EventKind::deadline;  // heartbeats, most of them
    switch (which) {
        case 0:
            prefetch(&place, sizeof place);
            if (packet) prefetch(packet, sizeof *packet);
            return;
        case 1:
            if (place.node) prefetch(place.node.get(), kNodeFetched);
            if (place.work) prefetch(place.work.get(), place.startable ? sizeof(Work) : 1);
            if (packet && !packet->frames.empty())
                prefetch(packet->frames.data(), sizeof(wire::Frame));
            place.up.fetch_way();
            return place.ends.fetch_way();
        case 2:
            if (packet && place.ends.size() <= kEndsFetched) {
                if (const auto* end = place.ends.find(item.event.a))
                    prefetch(end->get(), sizeof(End));
            } else if (to_all && place.up.size() <= kUpFetched) {
                for (const auto& [other, end] : place.up) prefetch(end, sizeof(End));
            }
            break;
        case 3:
            if (packet && place.ends.size() <= kEndsFetched)
                if (const auto* end = place.ends.find(item.event.a); end && (*end)->link)
                    (*end)->link->fetch();
            break;
        default: break;
    }
    if (!place.node || (!packet && !to_all)) return;
    const auto peer = id(item.key.sender - 1);
    const bool message = packet && packet->frames.size() == 1 &&
                         std::holds_alternative<message::Message>(packet->frames.front().body);
    place.node->fetch(which - 2, packet ? &peer : nullptr, message || to_all);
}

void Lane::turn_world(const EventKey& key, const Event& event) {
    world_ = true;
    key_ = key;
    now_ = key.at;
    ++counts.events;
    const auto p = static_cast<PlaceIndex>(event.c);
    switch (event.kind) {
        case EventKind::boot:
            places_[p].away -= event.b == 0;  // its start; else it is down after it left for a time
            boot(p);
            break;
        case EventKind::availability: on_availability(p, event.a); break;
        case EventKind::fault: apply(setup_.faults[event.a], event.b == 0); break;
        default: break;
    }
    settle();
    latest_ = std::max(latest_, now_);
    world_ = false;
}

void Lane::handle(const EventKey& key, Event event) {
    const PlaceIndex p = key.receiver - 1;
    auto& place = places_[p];
    if (place.state == PlaceState::asleep && event.kind != EventKind::dial_arrives) {
        if (event.kind != EventKind::deadline)
            place.passed().held.emplace_back(key, std::move(event));
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
        case EventKind::dial_arrives: return on_dial_arrives(p, key.sender - 1, event.a);
        case EventKind::dial_result:
            return on_dial_result(p, event.a, event.life, static_cast<ErrorCode>(event.c));
        case EventKind::packet: return on_packet(key, std::move(event));
        case EventKind::departed:
            if (auto* end = find(p, event.a)) {
                end->in_flight -= event.c;
                if (!end->link) return;
                end->link->note_sent(now_, event.c);
                touch(p, *end);
            }
            return;
        case EventKind::link_deadline:
            if (auto* end = find(p, event.a)) {
                if (!end->link || end->armed.ns != static_cast<std::int64_t>(event.c)) return;
                end->armed = Instant::never();
                end->link->on_deadline(now_);
                touch(p, *end);
            }
            return;
        default: return;
    }
}

// ---- turns ----

WallTime Lane::wall(PlaceIndex p) const {
    const auto& devices = setup_.config.devices;
    const auto elapsed = now_ - kBeginning;
    const auto& passing = places_[p].passing;
    Duration error = passing ? passing->clock_offset : Duration{};
    if (devices.clock_error > Duration::zero() || devices.drift > 0) {
        auto draws = stream(setup_.seed, Purpose::scenario, 1, p);
        const double at_start = 2 * draws.uniform() - 1, drift = 2 * draws.uniform() - 1;
        error += Duration{static_cast<std::int64_t>(
            at_start * static_cast<double>(devices.clock_error.count()) +
            drift * devices.drift * static_cast<double>(elapsed.count()))};
    }
    return kWallBeginning + elapsed + error;
}

void Lane::note(PlaceIndex p, message::Notice notice) {
    auto& trace = places_[p].trace;
    add(trace, notice);
    auto moment = observer_.seize(p, notice);
    tell(p, Said{std::move(notice), std::move(moment)});
}

void Lane::carry_out(PlaceIndex p, job::Turn& t) {
    auto& place = places_[p];
    for (auto& notice : t.notices) note(p, std::move(notice));
    for (auto id : t.cancels) cancel(p, id);
    for (auto& order : t.jobs) {
        auto& work = place.working();
        work.tasks.push_back({.number = place.next_task++, .order = std::move(order)});
        auto& kept = work.tasks.back();
        const auto ends = job::ends_of(kept.order.job);
        for (const auto* handle : ends.inputs) kept.inputs.push_back(handle->key());
        for (const auto* handle : ends.outputs) {
            kept.outputs.push_back(*handle);
            work.pending.push_back(handle->key());
        }
        place.startable = true;
        ++counts.jobs;
        counts.train_jobs += std::holds_alternative<job::TrainJob>(kept.order.job);
        kept.sum = ends.sum;
        kept.adds = std::holds_alternative<job::AccumulateJob>(kept.order.job);
        if (kept.adds) add_early(p, kept);
    }
    for (const auto& grant : t.grants)
        if (auto* link = link_to(p, grant.from)) {
            if (!grant.refused) {
                link->grant(now_, grant.id);
                continue;
            }
            link->refuse(now_, grant.id, *grant.refused);
            room_freed(p);
        }
    for (auto& send : t.sends)
        if (auto* link = link_to(p, send.to)) {
            auto sent = link->send(now_, std::move(send.message), send.lane);
            if (!sent) note(p, message::Warning{std::move(sent).error()});
        }
    for (auto& offer : t.offers) pass_offer(p, std::move(offer));
    for (const auto& [to, id] : t.withdrawn) withdraw(p, id);
    for (const auto& order : t.links) {
        if (order.kind == job::LinkOrder::Kind::dial)
            dial(p, order);
        else if (order.peer)
            if (auto* link = link_to(p, *order.peer))
                link->close(now_, {ErrorCode::kLinkClosed, order.reason, {}});
    }
    if (place.startable) start_jobs(p);
    arm(p);
}

void Lane::withdraw(PlaceIndex p, job::TransferId id) {
    auto& work = places_[p].work;
    if (!work) return;
    std::erase_if(work->promised, [&](const auto& offer) { return offer.id == id; });
    const auto* on = work->offered.find(id.value);
    if (!on) return;
    if (auto* end = find(p, *on); end && end->link) {
        end->link->withdraw(now_, id);
        touch(p, *end);
    }
    work->offered.erase(id.value);
}

void Lane::arm(PlaceIndex p) {
    auto& place = places_[p];
    if (!place.node) return;
    const Instant deadline = std::max(place.node->next_deadline(), now_);
    if (deadline.is_never() || place.armed <= deadline) return;
    place.armed = deadline;
    push(p, p, deadline, {.kind = EventKind::deadline, .life = place.life});
}

// As a daemon does: a run that is over is left, and the program ends.
void Lane::check_end(PlaceIndex p) {
    auto& place = places_[p];
    if (!place.node) return;
    if (!place.stopping && place.node->finished()) {
        place.stopping = true;
        if (!place.ended) {
            place.ended = place.finished = true;
            ++ended_count, ++finished_count;
        }
        turn(p, [](node::Node& n, job::Turn& t) { n.on_stop(t, "the run is over"); });
        return;
    }
    if (place.stopping && place.node->stopped()) end_life(p, PlaceState::off, true);
}

void Lane::fail_world(Error error) {
    if (!failed) failed.emplace(key_, std::move(error));
}

// ---- lives ----

void Lane::boot(PlaceIndex p) {
    auto& place = places_[p];
    if (place.node || place.ended || place.away > 0 || place.slept > 0) return;
    ++place.life;
    counts.restarts += place.boots++ > 0;
    auto made = setup_.factory.node(p, wall(p));
    if (!made) {
        auto error = std::move(made).error();
        const bool peer = role(p) == Role::peer;
        error.what = (peer ? "peer " + std::to_string(p) : "the aggregator") + ", life " +
                     std::to_string(place.boots) + ", seed " + std::to_string(setup_.seed.value) +
                     ": " + error.what;
        return fail_world(std::move(error));
    }
    place.node = std::move(*made);
    place.ids = {};
    place.armed = Instant::never();
    place.stopping = false;
    place.state = PlaceState::running;
    tell(p, place.state);
    turn(p, [](node::Node& n, job::Turn& t) { n.on_start(t); });
}

void Lane::end_life(PlaceIndex p, PlaceState state, bool orderly) {
    auto& place = places_[p];
    place.state = state;
    if (!place.node) {
        if (state == PlaceState::dark) place.ends.clear();
        return;
    }
    const auto node = std::move(place.node);  // it may be on the stack above
    ++place.life;
    place.armed = Instant::never();
    if (place.work)
        for (auto& task : place.work->tasks)
            if (task.ticket) compute_.drop(task.ticket);
    place.work.reset();
    place.up.clear();
    if (auto& passing = place.passing) {
        passing->held.clear();
        passing->greeting.clear();
        passing->dials.clear();
        passing->broken.clear();
        passing->told_to_leave = false;
        std::erase_if(passing->under,
                      [](const Fault* fault) { return fault->kind == FaultKind::freeze; });
    }
    std::vector<ChannelId> open;
    for (const auto& [id, end] : place.ends) open.push_back(id);
    for (auto id : open) {
        auto* end = find(p, id);
        if (!end || (end->gone && state != PlaceState::dark)) continue;
        if (orderly && end->link) {
            pump(p, *end);  // what was said goes out first
            end->link->close(now_, {ErrorCode::kLinkClosed, "it left", {}});
            pump(p, *end);
        }
        cut_off(p, *end, state != PlaceState::dark, !orderly);
    }
    tell(p, state);
    if (orderly && !place.ended && place.away == 0)  // what took it away ended before it was down
        push_world(p, now_, {.kind = EventKind::boot, .b = 1});
}

void Lane::sleep(PlaceIndex p) {
    auto& place = places_[p];
    if (place.state != PlaceState::running) return;
    place.state = PlaceState::asleep;
    place.slept_since = now_;
    tell(p, place.state);
}

void Lane::wake(PlaceIndex p) {
    auto& place = places_[p];
    if (place.state != PlaceState::asleep) return;
    place.state = PlaceState::running;
    tell(p, place.state);
    const auto asleep = now_ - place.slept_since;
    place.armed = Instant::never();
    if (asleep > job::kStall)
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_resume(t, asleep); });
    else
        arm(p);
    feel_at_last(p);
    if (!place.passing) return;
    auto held = std::exchange(place.passing->held, {});
    for (auto& [key, event] : held)  // in the order in which they came
        push(p, p, now_, std::move(event));
}

}  // namespace gossamer::simulation
