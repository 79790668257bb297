// Links between places: dials, channels with a link::Link at each end, and what links report. What
// of it a daemon's transport would do with sockets, and in the same order.
#include <algorithm>

#include "connection/link/duel.hpp"
#include "drivers/simulation/wire_path.hpp"
#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

namespace {

constexpr Duration kDialDeadline = 10s;

}  // namespace

// ---- dialling: TCP and TLS take two round trips until the dialler knows who answered ----

void World::dial(PlaceIndex p, const job::LinkOrder& order) {
    const auto id = next_dial_++;
    Dial dial{.from = p, .life = places_[p].life, .address = order.address, .begun = now_};
    dial.expected = order.peer;
    auto known = by_address_.find(order.address);
    if (known == by_address_.end()) {
        dial.error = Error{ErrorCode::kNetResolve, order.address, {}};
        push(p, p, now_ + 1ms, {.kind = EventKind::dial_result, .a = id});
    } else {
        dial.to = known->second;
        push(dial.to, p, now_ + network_.latency(p, dial.to),
             {.kind = EventKind::dial_arrives, .a = id});
    }
    dials_.emplace(id, std::move(dial));
}

void World::on_dial_arrives(PlaceIndex p, std::uint64_t id) {
    auto& dial = dials_.at(id);
    const auto& place = places_[p];
    const auto latency = network_.latency(p, dial.from);
    dial.life_there = place.life;
    Instant answer = now_ + 3 * latency;
    const bool lost = network_.blocked(dial.from, p, true) || network_.blocked(p, dial.from, true);
    if (place.state == PlaceState::asleep || place.state == PlaceState::dark || lost ||
        (place.setup.role == Role::peer && network_.behind_nat(p) && p != dial.from)) {
        dial.error = Error{ErrorCode::kNetTimeout, dial.address, {}};
        answer = dial.begun + kDialDeadline;
    } else if (!place.node || place.stopping) {
        dial.error = Error{ErrorCode::kNetRefused, dial.address, {}};
        answer = now_ + latency;
    }
    push(dial.from, p, answer, {.kind = EventKind::dial_result, .a = id});
}

void World::on_dial_result(PlaceIndex p, std::uint64_t id) {
    const Dial dial = std::move(dials_.at(id));
    dials_.erase(id);
    auto& place = places_[p];
    if (dial.life != place.life || !place.node) return;
    if (dial.error) return dial_failed(p, {}, dial.address, *dial.error, false);
    const auto& there = places_[dial.to];
    const auto& peer = there.setup.id;
    if (dial.to == p)
        return dial_failed(p, peer, dial.address,
                           {ErrorCode::kTlsPeerId, "this address is our own", {}}, true);
    if (there.life != dial.life_there || !there.node)
        return dial_failed(p, {}, dial.address, {ErrorCode::kNetReset, dial.address, {}}, false);
    if (dial.expected && *dial.expected != peer)
        return dial_failed(p, peer, dial.address,
                           {ErrorCode::kTlsPeerId, "another peer answers there", {}}, true);
    if (place.up.contains(dial.to) || place.greeting.contains(dial.to))
        return dial_failed(p, peer, dial.address, {ErrorCode::kLinkDuplicate, "already linked", {}},
                           false);
    open_channel(dial);
}

void World::dial_failed(PlaceIndex p, const PeerId& peer, const std::string& address, Error error,
                        bool permanent) {
    job::LinkEvent event = job::DialFailed{address, std::move(error), permanent};
    turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, peer, event); });
}

link::LinkConfig World::link_config(const Place& place, bool dialled) const {
    link::LinkConfig config;
    config.dialled = dialled;
    config.local = {place.setup.role, "simulation", setup_.codecs, 0, "gossamer"};
    config.limits = setup_.link;
    config.staging = place.staging;
    return config;
}

void World::open_channel(const Dial& dial) {
    auto channel = std::make_unique<Channel>();
    channel->address = dial.address;
    channel->latency = network_.latency(dial.from, dial.to);
    channel->end[0].place = dial.from;
    channel->end[1].place = dial.to;
    channel->end[0].link =
        std::make_unique<link::Link>(link_config(places_[dial.from], true), now_);
    if (setup_.wire) {
        auto path = WirePath::create(*setup_.wire, role(dial.from), role(dial.to));
        if (!path) return fail_world(std::move(path).error());
        channel->wire = std::move(*path);
    }
    for (const std::size_t side : {0, 1}) {
        auto& place = places_[channel->end[side].place];
        place.sent_bytes += kHandshakeBytes[side];
        counts_.sent_bytes += kHandshakeBytes[side];
    }
    auto& kept = *channel;
    const auto number = channels_.add(std::move(channel));
    kept.id = number;
    for (const auto& end : kept.end) places_[end.place].channels.insert(number);
    places_[dial.from].greeting.set(dial.to, number);
    touch(number, 0);
}

// ---- what nodes ask for ----

link::Link* World::link_to(PlaceIndex p, const PeerId& peer) {
    auto to = by_id_.find(peer);
    if (to == by_id_.end()) return nullptr;
    auto& place = places_[p];
    const auto* number = place.up.find(to->second);
    if (!number) return nullptr;
    auto& channel = *channels_.find(*number);
    const std::size_t side = channel.end[0].place == p ? 0 : 1;
    touch(channel.id, side);
    return channel.end[side].link.get();
}

void World::touch(std::uint64_t channel, std::size_t side) {
    auto* found = channels_.find(channel);
    if (!found || std::exchange(found->end[side].dirty, true)) return;
    dirty_.emplace_back(channel, static_cast<std::uint8_t>(side));
}

// Until nothing is left that this event brought about here and now.
void World::settle() {
    while (!dirty_.empty() || !soon_.empty()) {
        auto dirty = std::exchange(dirty_, {});
        for (const auto& [id, side] : dirty) {
            auto* found = channels_.find(id);
            if (!found) continue;
            found->end[side].dirty = false;
            process(*found, side);
        }
        auto soon = std::exchange(soon_, {});
        for (auto& action : soon) action();
    }
}

// ---- what links report ----

void World::process(Channel& channel, std::size_t side) {
    const auto id = channel.id;
    const auto alive = [&] {
        const auto* found = channels_.find(id);
        return found && found->end[side].link != nullptr;
    };
    if (!alive()) return;
    auto& end = channel.end[side];
    while (auto event = end.link->next_event()) {
        hear(channel, side, std::move(*event));
        if (!alive()) return;
    }
    pump(channel, side);
    if (end.link->waits_for_room())
        if (auto& starved = places_[end.place].starved;
            std::ranges::find(starved, id) == starved.end())
            starved.push_back(id);
    if (end.link->is_closed()) return cut_off(channel, side, true, false);
    const Instant deadline = end.link->next_deadline();
    if (deadline.is_never() || end.armed <= deadline) return;
    end.armed = deadline;
    push(end.place, end.place, deadline,
         {.kind = EventKind::link_deadline,
          .b = static_cast<std::uint8_t>(side),
          .a = id,
          .c = static_cast<std::uint64_t>(std::max(deadline, now_).ns)});
    end.armed = std::max(deadline, now_);
}

void World::hear(Channel& channel, std::size_t side, link::Event event) {
    const PlaceIndex p = channel.end[side].place;
    const PeerId peer = id(channel.end[1 - side].place);
    if (std::holds_alternative<link::Greeted>(event)) {
        on_greeted(channel, side);
    } else if (auto* up = std::get_if<link::Up>(&event)) {
        on_up(channel, side, *up);
    } else if (auto* received = std::get_if<link::Received>(&event)) {
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_message(t, peer, received->message); });
    } else if (auto* news = std::get_if<link::TransferNews>(&event)) {
        using namespace message;
        const bool room_freed =
            news->incoming && (std::holds_alternative<TransferArrived>(news->event) ||
                               std::holds_alternative<TransferLost>(news->event));
        if (!news->incoming) places_[p].offered.erase(news->id.value);
        places_[p].trace.add(news->id.value);
        if (!news->incoming && news->id.value >= kEchoes) return;
        turn(p, [&](node::Node& n, job::Turn& t) {
            n.on_transfer(t, peer, news->id, std::move(news->event));
        });
        if (room_freed && !places_[p].starved.empty())
            soon_.push_back([this, p] { retry_grants(p); });
    } else if (auto* closed = std::get_if<link::Closed>(&event)) {
        on_closed(channel, side, *closed);
    }
}

void World::retry_grants(PlaceIndex p) {
    for (const auto number : std::exchange(places_[p].starved, {})) {
        auto* found = channels_.find(number);
        if (!found) continue;
        const std::size_t side = found->end[0].place == p ? 0 : 1;
        if (auto& link = found->end[side].link) link->retry_grants(now_);
        touch(number, side);
    }
}

void World::on_greeted(Channel& channel, std::size_t side) {
    auto& place = places_[channel.end[side].place];
    auto& link = *channel.end[side].link;
    const PlaceIndex other = channel.end[1 - side].place;
    if (place.stopping) return link.reject(now_, wire::RejectReason::stopping, "");
    link::PresentLink present;
    const auto* old = place.up.find(other);
    if (old) {
        const auto& c = *channels_.find(*old);
        const std::size_t s = c.end[0].place == channel.end[side].place ? 0 : 1;
        present = {s == 0, now_ - c.end[s].up_since};
    }
    if (link::refuse_newcomer(place.setup.id, id(other), place.greeting.contains(other),
                              old ? &present : nullptr))
        return link.reject(now_, wire::RejectReason::duplicate, "");
    link.welcome(now_);
}

void World::on_up(Channel& channel, std::size_t side, const link::Up& up) {
    auto& end = channel.end[side];
    const PlaceIndex p = end.place, other = channel.end[1 - side].place;
    const auto number = channel.id;
    if (const auto* old = places_[p].up.find(other)) {
        auto& c = *channels_.find(*old);
        const std::size_t s = c.end[0].place == p ? 0 : 1;
        c.end[s].link->close(now_, {ErrorCode::kLinkDuplicate, "replaced by a newer link", {}});
        process(c, s);
        if (!channels_.find(number) || !end.link) return;
    }
    auto& place = places_[p];
    if (const auto* it = place.greeting.find(other); it && *it == number)
        place.greeting.erase(other);
    place.up.set(other, number);
    end.up = true;
    end.up_since = now_;
    counts_.links += side;
    const job::LinkEvent event = job::LinkUp{
        up.remote.role, side == 0 ? channel.address : places_[other].setup.address, side == 0};
    turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, id(other), event); });
}

void World::on_closed(Channel& channel, std::size_t side, const link::Closed& closed) {
    auto& end = channel.end[side];
    if (std::exchange(end.told, true)) return;
    const PlaceIndex p = end.place, other = channel.end[1 - side].place;
    auto& place = places_[p];
    if (const auto* it = place.greeting.find(other); it && *it == channel.id)
        place.greeting.erase(other);
    if (const auto* it = place.up.find(other); it && *it == channel.id) place.up.erase(other);
    place.offered.erase_if([&](const auto& entry) { return entry.second == channel.id; });
    if (end.up) {
        const job::LinkEvent event = job::LinkDown{closed.error};
        turn(p, [&](node::Node& n, job::Turn& t) { n.on_link(t, id(other), event); });
    } else if (side == 0) {
        dial_failed(p, id(other), channel.address, closed.error, closed.permanent);
    }
}

}  // namespace gossamer::simulation
