#include "support/world.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace gossamer::testing {

namespace {

constexpr Duration kDialTimeout = 1s;

Error error_of(ErrorCode code) { return {code, std::string(describe(code).meaning), {}}; }

}  // namespace

World::World(std::uint64_t seed, NetworkModel network)
    : rng_(RunSeed{seed}, Purpose::scenario, 0, 0), network_(network), seed_{seed} {}

std::size_t World::add(const PeerId& id, Role role, std::string address, Factory factory) {
    Place place;
    place.id = id;
    place.role = role;
    place.address = std::move(address);
    place.factory = std::move(factory);
    places_.push_back(std::move(place));
    return places_.size() - 1;
}

void World::start(std::size_t place) {
    Place& p = places_[place];
    REQUIRE(!p.node);
    for (std::size_t other = 0; other < size(); ++other)  // its old self's links meet a stranger
        if (linked(place, other))
            take_down(place, other, ErrorCode::kNetReset, ErrorCode::kNetReset);
    ++p.life;
    p.node = p.factory(++p.boots);
    p.ids = {};
    p.listening = !p.address.empty();
    p.asleep_until = {};
    to_node(place, [](node::Node& n, job::Turn& t) { n.on_start(t); });
}

void World::kill(std::size_t place) {
    end_life(place);
    for (std::size_t other = 0; other < size(); ++other)
        if (linked(place, other))
            take_down(place, other, ErrorCode::kNetReset, ErrorCode::kNetReset);
}

void World::vanish(std::size_t place) {
    end_life(place);
    for (std::size_t other = 0; other < size(); ++other)
        if (other != place) cut(place, other);
}

void World::stop(std::size_t place) {
    to_node(place, [](node::Node& n, job::Turn& t) { n.on_stop(t, "asked to"); });
}

void World::suspend(std::size_t place, Duration d) {
    Place& p = places_[place];
    p.slept_since = now_;
    p.asleep_until = now_ + d;
    at(p.asleep_until, [this, place, d] {
        places_[place].asleep_until = {};
        to_node(place, [d](node::Node& n, job::Turn& t) { n.on_resume(t, d); });
    });
}

void World::freeze(std::size_t place, Duration d) {
    places_[place].asleep_until = now_ + d;
    at(now_ + d, [this, place] {
        places_[place].asleep_until = {};
        arm(place);
    });
}

void World::cut(std::size_t a, std::size_t b) { cuts_[pair(a, b)] = true; }
void World::heal(std::size_t a, std::size_t b) { cuts_.erase(pair(a, b)); }
void World::break_link(std::size_t a, std::size_t b, ErrorCode code) {
    take_down(a, b, code, code);
}

bool World::linked(std::size_t a, std::size_t b) const {
    auto found = links_.find(pair(a, b));
    return found != links_.end() && found->second.up;
}

void World::at(Instant when, std::function<void()> action) {
    events_.push({std::max(when, now_), order_++, std::move(action)});
}

void World::step() {
    Event event = events_.top();
    events_.pop();
    now_ = event.at;
    event.run();
}

void World::run_until(Instant end) {
    while (!events_.empty() && events_.top().at <= end) step();
    now_ = end;
}

bool World::run_while(const std::function<bool()>& pending, Duration at_most) {
    const Instant end = now_ + at_most;
    while (pending()) {
        if (events_.empty() || events_.top().at > end) return false;
        step();
    }
    return true;
}

std::optional<std::size_t> World::place_of(const PeerId& id) const {
    for (std::size_t i = 0; i < places_.size(); ++i)
        if (places_[i].id == id) return i;
    return std::nullopt;
}

Duration World::some_delay() {
    const double part = 1 + network_.jitter * rng_.uniform();
    return Duration{static_cast<std::int64_t>(static_cast<double>(network_.delay.count()) * part)};
}

void World::end_life(std::size_t place) {
    Place& p = places_[place];
    p.node.reset();
    ++p.life;
    p.listening = p.armed = false;
    p.promised.clear();
    p.tasks.clear();
    p.at_work[0] = p.at_work[1] = nullptr;
}

// An event for this life of the node; one that comes while it sleeps waits.
void World::to_node(std::size_t place, std::function<void(node::Node&, job::Turn&)> event) {
    const std::uint64_t life = places_[place].life;
    Place& p = places_[place];
    if (!p.node) return;
    if (p.asleep_until > now_) {
        at(p.asleep_until, [this, place, life, event = std::move(event)] {
            if (places_[place].life == life) to_node(place, event);
        });
        return;
    }
    turn(place, [&](job::Turn& t) { event(*places_[place].node, t); });
}

void World::turn(std::size_t place, const std::function<void(job::Turn&)>& event) {
    job::Turn t(now_, WallTime{now_.ns}, seed_, places_[place].ids);
    event(t);
    carry_out(place, t);
}

void World::carry_out(std::size_t place, job::Turn& t) {
    for (job::JobOrder& order : t.jobs) {
        REQUIRE_MESSAGE(workers_.perform, "this world does no jobs");
        places_[place].tasks.push_back({std::move(order), false});
    }
    for (job::JobId id : t.cancels)
        for (Task& task : places_[place].tasks) task.cancelled |= task.order.id == id;
    for (job::Send& send : t.sends) {
        auto to = place_of(send.to);
        if (!to || !linked(place, *to)) continue;
        ++message_count_;
        deliver(place, *to,
                [this, from = places_[place].id, to = *to, m = std::move(send.message)] {
                    to_node(to,
                            [from, m](node::Node& n, job::Turn& t2) { n.on_message(t2, from, m); });
                },
                {});
    }
    for (job::Offer& o : t.offers) offer(place, o);
    for (const auto& withdrawal : t.withdrawn) {
        const auto id = withdrawal.id;
        sendings_.erase({place, id.value});
        std::erase_if(places_[place].promised, [id](const auto& o) { return o.id == id; });
    }
    for (const job::Grant& g : t.grants) grant(place, g);
    for (const job::LinkOrder& link : t.links) {
        if (link.kind == job::LinkOrder::Kind::dial) {
            dial(place, link);
        } else if (auto to = place_of(*link.peer); to && linked(place, *to)) {
            take_down(place, *to, ErrorCode::kLinkClosed, ErrorCode::kLinkClosed);
        }
    }
    for (message::Notice& notice : t.notices) notices_.push_back({now_, place, std::move(notice)});

    start_jobs(place);
    offer_filled(place);
    if (places_[place].node && places_[place].node->stopped()) {
        // The driver flushes what was said, then closes everything.
        end_life(place);
        for (std::size_t other = 0; other < size(); ++other)
            if (linked(place, other))
                take_down(place, other, ErrorCode::kLinkClosed, ErrorCode::kLinkClosed);
        return;
    }
    arm(place);
}

void World::arm(std::size_t place) {
    Place& p = places_[place];
    if (!p.node) return;
    const Instant deadline = p.node->next_deadline();
    if (deadline.is_never() || (p.armed && p.armed_at <= deadline)) return;
    p.armed = true;
    p.armed_at = deadline;
    at(deadline, [this, place, life = p.life, deadline] {
        Place& q = places_[place];
        if (q.life != life || !q.armed || q.armed_at != deadline) return;
        if (q.asleep_until > now_) {
            at(q.asleep_until, [this, place, life] {
                if (places_[place].life != life) return;
                places_[place].armed = false;
                arm(place);
            });
            return;
        }
        q.armed = false;
        if (q.node->next_deadline() <= now_)
            to_node(place, [](node::Node& n, job::Turn& t) { n.on_deadline(t); });
        else
            arm(place);
    });
}

// In order, over the link as it is now; lost when that link is gone by then.
void World::deliver(std::size_t from, std::size_t to, std::function<void()> arrive,
                    Duration extra) {
    Link& link = links_[pair(from, to)];
    Duration delay = some_delay() + extra;
    if (rng_.uniform() < network_.stall) delay += network_.stall_for;
    Instant& last = link.last[from < to];
    last = std::max(last, now_ + delay);
    at(last, [this, from, to, generation = link.generation, arrive = std::move(arrive)] {
        pass_on(from, to, generation, arrive);
    });
}

void World::pass_on(std::size_t from, std::size_t to, std::uint64_t generation,
                    std::function<void()> arrive) {
    const Link& link = links_[pair(from, to)];
    if (!link.up || link.generation != generation) return;
    if (!cuts_.contains(pair(from, to))) return arrive();
    // TCP goes on trying: it passes when the cut is healed, if the link still stands.
    at(now_ + 20ms, [this, from, to, generation, arrive = std::move(arrive)] {
        pass_on(from, to, generation, arrive);
    });
}

void World::dial_failed(std::size_t place, const PeerId& peer, const std::string& address,
                        ErrorCode code, bool permanent, Duration after) {
    const std::uint64_t life = places_[place].life;
    at(now_ + after, [=, this] {
        if (places_[place].life != life) return;
        to_node(place, [=](node::Node& n, job::Turn& t) {
            n.on_link(t, peer, job::DialFailed{address, error_of(code), permanent});
        });
    });
}

void World::dial(std::size_t place, const job::LinkOrder& order) {
    ++places_[place].dials;
    const PeerId expected = order.peer.value_or(PeerId{});
    const std::string& address = order.address;
    auto listens = [&](const Place& p) { return p.address == address; };
    auto found = std::find_if(places_.begin(), places_.end(), listens);
    if (found == places_.end())
        return dial_failed(place, expected, address, ErrorCode::kNetResolve, false, 5ms);
    const auto other = static_cast<std::size_t>(found - places_.begin());
    if (cuts_.contains(pair(place, other)))
        return dial_failed(place, expected, address, ErrorCode::kNetTimeout, false, kDialTimeout);
    if (!found->listening)
        return dial_failed(place, expected, address, ErrorCode::kNetRefused, false, some_delay());
    if (!expected.is_zero() && expected != found->id)
        return dial_failed(place, expected, address, ErrorCode::kTlsPeerId, false, some_delay());
    const std::uint64_t lives[] = {places_[place].life, found->life};
    at(now_ + 2 * some_delay(), [=, this, life = lives[0], other_life = lives[1]] {
        if (places_[place].life != life) return;
        if (places_[other].life != other_life)
            return dial_failed(place, expected, address, ErrorCode::kNetReset, false, 1ms);
        meet(place, other, address);
    });
}

void World::meet(std::size_t dialler, std::size_t other, const std::string& address) {
    const PeerId id = places_[dialler].id, other_id = places_[other].id;
    Link& link = links_[pair(dialler, other)];
    if (link.up && dialler != other) {
        // Of two dials at the same time the one of the smaller PeerId stays.
        if (link.dialler == dialler || other_id < id)
            return dial_failed(dialler, other_id, address, ErrorCode::kLinkDuplicate, false, {});
        take_down(dialler, other, ErrorCode::kLinkDuplicate, ErrorCode::kLinkDuplicate);
    }
    link.up = true;
    ++link.generation;
    link.dialler = dialler;
    to_node(dialler, [=, role = places_[other].role](node::Node& n, job::Turn& t) {
        n.on_link(t, other_id, job::LinkUp{role, address, true});
    });
    to_node(other, [=, role = places_[dialler].role](node::Node& n, job::Turn& t) {
        n.on_link(t, id, job::LinkUp{role, "from " + id.short_string(), false});
    });
}

void World::take_down(std::size_t a, std::size_t b, ErrorCode at_a, ErrorCode at_b) {
    Link& link = links_[pair(a, b)];
    if (!link.up) return;
    // What was said before an orderly close still arrives, unless the line is cut.
    const bool orderly = at_b == ErrorCode::kLinkClosed;
    const std::uint64_t generation = link.generation;
    auto tell = [this, generation](std::size_t to, std::size_t about, ErrorCode code) {
        to_node(to, [id = places_[about].id, code](node::Node& n, job::Turn& t) {
            n.on_link(t, id, job::LinkDown{error_of(code)});
        });
    };
    if (orderly) {
        deliver(a, b,
                [this, tell, a, b, at_b] {
                    links_[pair(a, b)].up = false;
                    lose_transfers(a, b);
                    tell(b, a, at_b);
                },
                {});
        at(now_, [tell, a, b, at_a] { tell(a, b, at_a); });
        return;
    }
    link.up = false;
    lose_transfers(a, b);
    if (places_[a].node) tell(a, b, at_a);
    if (places_[b].node) tell(b, a, at_b);
}

}  // namespace gossamer::testing
