// Links between places: dials, channels with a link::Link at each end, and what links report. What
// of it a daemon's transport would do with sockets, and in the same order.
#include <algorithm>

#include "connection/link/duel.hpp"
#include "drivers/simulation/lane.hpp"
#include "drivers/simulation/wire_path.hpp"

namespace gossamer::simulation {

namespace {

constexpr ErrorCode kNoError{};

Event result_of(ChannelId id, ErrorCode code) {
    return {.kind = EventKind::dial_result, .a = id, .c = static_cast<std::uint64_t>(code)};
}

}  // namespace

// ---- dialling: TCP and TLS take two round trips until the dialler knows who answered ----

void Lane::dial(PlaceIndex p, const job::LinkOrder& order) {
    auto& place = places_[p];
    const auto id = channel_id(p, ++place.dial_count);
    Dial dial{.address = order.address, .expected = order.peer};
    const auto known = setup_.directory.place_at(order.address);
    if (!known) {
        push(p, p, now_ + 1ms, result_of(id, ErrorCode::kNetResolve));
    } else {
        dial.to = *known;
        push(dial.to, p, now_ + network_.latency(p, dial.to),
             {.kind = EventKind::dial_arrives, .a = id});
    }
    place.passed().dials.set(id, std::move(dial));
}

// The machine answers. What it promises holds for this life of its process.
void Lane::on_dial_arrives(PlaceIndex p, PlaceIndex from, ChannelId id) {
    const auto& place = places_[p];
    const auto latency = network_.latency(p, from);
    Instant answer = now_ + 3 * latency;
    auto code = kNoError;
    const bool lost = network_.blocked(from, p, true) || network_.blocked(p, from, true);
    if (place.state == PlaceState::asleep || place.state == PlaceState::dark || place.slept > 0 ||
        lost || (role(p) == Role::peer && network_.behind_nat(p) && p != from)) {
        code = ErrorCode::kNetTimeout;
        answer = std::max(now_ - latency + link::kDialDeadline, now_ + latency);
    } else if (!place.node || place.stopping) {
        code = ErrorCode::kNetRefused;
        answer = now_ + latency;
    }
    auto result = result_of(id, code);
    result.life = place.life;
    push(from, p, answer, std::move(result));
}

void Lane::on_dial_result(PlaceIndex p, ChannelId id, std::uint32_t life_there, ErrorCode code) {
    auto& place = places_[p];
    const auto* found = place.passing ? place.passing->dials.find(id) : nullptr;
    if (!found) return;  // of an earlier life
    Dial dial = *found;
    place.passing->dials.erase(id);
    if (code != kNoError) return dial_failed(p, {}, dial.address, {code, dial.address, {}}, false);
    const auto peer = this->id(dial.to);
    if (dial.to == p)
        return dial_failed(p, peer, dial.address,
                           {ErrorCode::kTlsPeerId, "this address is our own", {}}, true);
    if (dial.expected && *dial.expected != peer)
        return dial_failed(p, peer, dial.address,
                           {ErrorCode::kTlsPeerId, "another peer answers there", {}}, true);
    if (place.up.contains(dial.to) || place.greeting(dial.to))
        return dial_failed(p, peer, dial.address, {ErrorCode::kLinkDuplicate, "already linked", {}},
                           false);
    open_channel(p, id, std::move(dial), life_there);
}

void Lane::dial_failed(PlaceIndex p, const PeerId& peer, const std::string& address, Error error,
                       bool permanent) {
    job::LinkEvent event = job::DialFailed{address, std::move(error), permanent};
    turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, peer, event); });
}

link::LinkConfig Lane::link_config(PlaceIndex p, bool dialled) const {
    return {dialled, ground_.link_settings.at(role(p)), &places_[p].staging};
}

End& Lane::add_end(PlaceIndex p, ChannelId id, PlaceIndex other) {
    auto& place = places_[p];
    auto made = std::make_unique<End>();
    auto& end = *made;
    end.id = id;
    end.other = other;
    end.dialled = dialler_of(id) == p;
    end.latency = network_.latency(p, other);
    end.unlimited = up_rate(p) <= 0 && down_rate(other) <= 0;
    place.ends.set(id, std::move(made));
    const auto bytes = kHandshakeBytes[end.dialled ? 0 : 1];
    place.sent_bytes += bytes;
    counts.sent_bytes += bytes;
    return end;
}

void Lane::open_channel(PlaceIndex p, ChannelId id, Dial dial, std::uint32_t life_there) {
    auto& end = add_end(p, id, dial.to);
    end.life_there = life_there;
    end.link.emplace(link_config(p, true), now_);
    if (setup_.wire) {
        auto path = WirePath::create(*setup_.wire, role(p), role(dial.to));
        if (!path) return fail_world(std::move(path).error());
        ground_.wires[id] = std::move(*path);
    }
    places_[p].passed().greeting.set(end.other, &end);
    touch(p, end);
}

// ---- what nodes ask for ----

End* Lane::find(PlaceIndex p, ChannelId id) {
    const auto* end = places_[p].ends.find(id);
    return end ? end->get() : nullptr;
}

End* Lane::up_to(PlaceIndex p, const PeerId& peer) {
    const auto other = setup_.directory.place_of(peer);
    return other ? up_to(p, *other) : nullptr;
}

End* Lane::up_to(PlaceIndex p, PlaceIndex other) {
    const auto* end = places_[p].up.find(other);
    return end ? *end : nullptr;
}

link::Link* Lane::link_to(PlaceIndex p, const PeerId& peer) {
    auto* end = up_to(p, peer);
    if (!end) return nullptr;
    touch(p, *end);
    return &*end->link;
}

void Lane::touch(PlaceIndex p, End& end) {
    if (!std::exchange(end.dirty, true)) dirty_.emplace_back(p, end.id);
}

// Until nothing is left that this event brought about here and now.
void Lane::settle() {
    while (!dirty_.empty() || !soon_.empty()) {
        dirty_now_.swap(dirty_);
        for (const auto& [p, id] : dirty_now_) {
            auto* end = find(p, id);
            if (!end) continue;
            end->dirty = false;
            process(p, *end);
        }
        dirty_now_.clear();
        if (soon_.empty()) continue;
        auto soon = std::exchange(soon_, {});
        for (auto& action : soon) action();
    }
}

// ---- what links report ----

void Lane::process(PlaceIndex p, End& end) {
    const auto id = end.id;
    const auto alive = [&] {
        const auto* found = find(p, id);
        return found && found->link;
    };
    if (!end.link) return;
    while (auto event = end.link->next_event()) {
        hear(p, end, std::move(*event));
        if (!alive()) return;
    }
    pump(p, end);
    if (end.link->waits_for_room())
        if (auto& starved = places_[p].working().starved;
            std::ranges::find(starved, id) == starved.end())
            starved.push_back(id);
    if (end.link->is_closed()) return cut_off(p, end, true, false);
    const Instant deadline = end.link->next_deadline();
    if (deadline.is_never() || end.armed <= deadline) return;
    end.armed = std::max(deadline, now_);
    push(
        p, p, end.armed,
        {.kind = EventKind::link_deadline, .a = id, .c = static_cast<std::uint64_t>(end.armed.ns)});
}

void Lane::hear(PlaceIndex p, End& end, link::Event event) {
    const PeerId peer = id(end.other);
    if (std::holds_alternative<link::Greeted>(event)) {
        on_greeted(p, end);
    } else if (auto* up = std::get_if<link::Up>(&event)) {
        on_up(p, end, *up);
    } else if (auto* received = std::get_if<link::Received>(&event)) {
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_message(t, peer, received->message); });
    } else if (auto* news = std::get_if<link::TransferNews>(&event)) {
        using namespace message;
        const bool ended =
            news->incoming && (std::holds_alternative<TransferArrived>(news->event) ||
                               std::holds_alternative<TransferLost>(news->event));
        auto& place = places_[p];
        if (!news->incoming && place.work) place.work->offered.erase(news->id.value);
        place.trace.add(news->id.value);
        if (!news->incoming && news->id.value >= kEchoes) return;
        turn(p, [&](node::Node& n, job::Turn& t) {
            n.on_transfer(t, peer, news->id, std::move(news->event));
        });
        if (ended) room_freed(p);
    } else if (auto* closed = std::get_if<link::Closed>(&event)) {
        on_closed(p, end, *closed);
    }
}

void Lane::room_freed(PlaceIndex p) {
    const auto& work = places_[p].work;
    if (work && !work->starved.empty()) soon_.push_back([this, p] { retry_grants(p); });
}

void Lane::retry_grants(PlaceIndex p) {
    if (!places_[p].work) return;
    for (const auto id : std::exchange(places_[p].work->starved, {})) {
        auto* end = find(p, id);
        if (!end || !end->link) continue;
        end->link->retry_grants(now_);
        touch(p, *end);
    }
}

void Lane::on_greeted(PlaceIndex p, End& end) {
    auto& place = places_[p];
    if (place.stopping) return end.link->reject(wire::RejectReason::stopping, "");
    link::PresentLink present;
    const auto* old = up_to(p, end.other);
    if (old) present = {old->dialled, now_ - old->up_since};
    if (link::refuse_newcomer(id(p), id(end.other), place.greeting(end.other) != nullptr,
                              old ? &present : nullptr))
        return end.link->reject(wire::RejectReason::duplicate, "");
    end.link->welcome();
}

void Lane::on_up(PlaceIndex p, End& end, const link::Up& up) {
    const auto id = end.id;
    if (auto* old = up_to(p, end.other)) {
        old->link->close(now_, {ErrorCode::kLinkDuplicate, "replaced by a newer link", {}});
        process(p, *old);
        if (const auto* still = find(p, id); !still || !still->link) return;
    }
    auto& place = places_[p];
    if (place.passing) forget(place.passing->greeting, end);
    place.up.set(end.other, &end);
    end.up = true;
    end.up_since = now_;
    counts.links += !end.dialled;
    const PeerId peer = this->id(end.other);
    const job::LinkEvent event =
        job::LinkUp{up.remote.role, setup_.directory.address(end.other), end.dialled};
    turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, peer, event); });
}

void Lane::on_closed(PlaceIndex p, End& end, const link::Closed& closed) {
    if (std::exchange(end.told, true)) return;
    auto& place = places_[p];
    if (place.passing) forget(place.passing->greeting, end);
    forget(place.up, end);
    const PeerId peer = id(end.other);
    if (end.up) {
        const job::LinkEvent event = job::LinkDown{closed.error};
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, peer, event); });
    } else if (end.dialled) {
        dial_failed(p, peer, setup_.directory.address(end.other), closed.error, closed.permanent);
    }
}

}  // namespace gossamer::simulation
