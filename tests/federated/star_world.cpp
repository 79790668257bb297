#include "star_world.hpp"

#include <algorithm>

#include <doctest/doctest.h>

namespace gossamer::federated::testing {

using namespace std::chrono_literals;

StarWorld::StarWorld(WorldOptions o)
    : options(std::move(o)),
      random_({options.seed}, Purpose::scenario, 0, 0),
      pool_(tensor::BufferPool::create(64 << 20)),
      codec_(codec::find_codec(options.codec).value()) {
    tensor::Layout shape;
    shape.add("weight", {static_cast<std::uint32_t>(options.parameters)});
    layout = std::make_shared<tensor::Layout>(shape);
    engine = make_engine();
    parties_.resize(options.clients);
    for (std::size_t k = 0; k < options.clients; ++k) clients.push_back(make_client());
}

std::unique_ptr<RoundEngine> StarWorld::make_engine() const {
    EngineSetup setup{options.run, options.config, options.strategy,
                      codec_,      layout,         options.has_test_data};
    return std::make_unique<RoundEngine>(std::move(setup));
}
std::unique_ptr<FederatedClient> StarWorld::make_client() const {
    return std::make_unique<FederatedClient>(
        std::make_shared<const ClientSetup>(ClientSetup{options.run, options.config, layout}));
}

void StarWorld::at(Instant when, std::function<void()> what) {
    queue_[{std::max(when, now), next_event_++}] = std::move(what);
}
Duration StarWorld::some(Duration least, Duration most) {
    auto span = static_cast<std::uint64_t>((most - least).count()) + 1;
    return least + Duration(static_cast<std::int64_t>(random_.below(span)));
}

void StarWorld::start() {
    turn(kAggregator, [&](job::Turn& t) { engine->on_start(t); });
    for (std::size_t k = 0; k < clients.size(); ++k) {
        turn(k, [&](job::Turn& t) { clients[k]->on_start(t); });
        at(now + some(1ms, 300ms), [this, k] { connect(k); });
    }
}

void StarWorld::run(const std::function<bool()>& done, std::size_t limit) {
    for (std::size_t n = 0; n < limit && !queue_.empty(); ++n) {
        if (done && done()) return;
        auto first = queue_.begin();
        now = first->first.first;
        auto event = std::move(first->second);
        queue_.erase(first);
        ++events_run;
        event();
    }
}

bool StarWorld::finished() const {
    if (!engine || !engine->finished()) return false;
    return std::ranges::all_of(clients, [](const auto& c) { return c->finished(); });
}

void StarWorld::carry_out(std::size_t who, job::Turn& t) {
    for (auto& notice : t.notices) {
        if (who != kAggregator) {
            client_notices[who].push_back(notice);
            continue;
        }
        if (auto* done = std::get_if<message::RoundFinished>(&notice))
            accepted[done->round] = done->accepted;
        notices.push_back(notice);
    }
    for (auto& s : t.sends) send(who, s);
    for (auto& o : t.offers) offer(who, o);
    for (const auto& [to, id] : t.withdrawn) withdraw(who, id);
    for (auto& g : t.grants) answer(who, g);
    for (auto id : t.cancels) cancelled_[{who, id.value}] = true;
    for (auto& j : t.jobs) start_job(who, std::move(j));
}

void StarWorld::arm(std::size_t who) {
    if (who != kAggregator) return;
    auto when = engine->next_deadline();
    auto mark = ++aggregator_.timer;
    if (when.is_never()) return;
    at(when, [this, mark] {
        if (mark == aggregator_.timer)
            turn(kAggregator, [&](job::Turn& t) { engine->on_deadline(t); });
    });
}

// ---- network ------------------------------------------------------------------------------------

void StarWorld::send(std::size_t from, const job::Send& send) {
    bool down = from == kAggregator;
    auto client = down ? static_cast<std::size_t>(-1) : from;
    for (std::size_t k = 0; down && k < clients.size(); ++k)
        if (send.to == id_of(k)) client = k;
    if (down) {
        auto round = std::visit(
            [](const auto& m) -> std::uint64_t {
                if constexpr (requires { m.round; }) return m.round;
                return 0;
            },
            send.message);
        sent.push_back(std::string(name_of(send.message)) + " " + std::to_string(round) + " to " +
                       std::to_string(client));
    }
    auto& p = parties_[client];
    if (!p.linked) return;
    auto& until = down ? p.sent_until : p.heard_until;
    until = std::max(until, now) + some(10us, 5ms);
    at(until, [this, client, down, link = p.link, message = send.message] {
        if (parties_[client].link != link) return;
        if (down) {
            turn(client, [&](job::Turn& t) {
                clients[client]->on_message(t, PeerId::of_number(1000), message);
            });
        } else {
            turn(kAggregator, [&](job::Turn& t) { engine->on_message(t, id_of(client), message); });
        }
    });
}

void StarWorld::offer(std::size_t from, const job::Offer& offer) {
    bool down = from == kAggregator;
    std::size_t client = from;
    for (std::size_t k = 0; down && k < clients.size(); ++k)
        if (offer.to == id_of(k)) client = k;
    auto& p = parties_[client];
    if (!p.linked) return;
    // Clients number their transfers alike; the flight needs one name.
    auto number = down ? offer.id.value : offer.id.value * 1000 + client;
    flights_[{down, number}] = {client, down, offer.manifest, offer.payload, p.link};
    auto& until = down ? p.sent_until : p.heard_until;
    until = std::max(until, now) + some(10us, 5ms);
    at(until, [this, down, number, client, link = p.link, id = offer.id] {
        auto flight = flights_.find({down, number});
        if (flight == flights_.end() || parties_[client].link != link) return;
        message::TransferEvent event = message::TransferOffered{flight->second.manifest};
        if (down) {
            turn(client, [&](job::Turn& t) {
                clients[client]->on_transfer(t, PeerId::of_number(1000), id, event);
            });
        } else {
            turn(kAggregator,
                 [&](job::Turn& t) { engine->on_transfer(t, id_of(client), id, event); });
        }
    });
}

void StarWorld::withdraw(std::size_t from, job::TransferId id) {
    const bool down = from == kAggregator;
    const auto found = flights_.find({down, down ? id.value : id.value * 1000 + from});
    if (found == flights_.end()) return;
    if (!down) ++withdrawn_by_clients;
    const bool granted = found->second.granted;
    flights_.erase(found);
    if (down) return;
    if (granted) --staged_;
    at(now + some(10us, 5ms), [=, this, link = parties_[from].link] {
        if (parties_[from].link != link) return;
        const Error error{ErrorCode::kCancelled, "withdrawn by its sender", {}};
        turn(kAggregator, [&](job::Turn& t) {
            engine->on_transfer(t, id_of(from), id, message::TransferLost{error, true});
        });
    });
}

void StarWorld::answer(std::size_t receiver, const job::Grant& grant) {
    bool down = receiver != kAggregator;
    std::size_t client = receiver;
    for (std::size_t k = 0; !down && k < clients.size(); ++k)
        if (grant.from == id_of(k)) client = k;
    auto number = down ? grant.id.value : grant.id.value * 1000 + client;
    auto found = flights_.find({down, number});
    if (found == flights_.end()) return;
    auto to = [this, client](bool at_client, job::TransferId id, message::TransferEvent event) {
        if (at_client) {
            turn(client, [&](job::Turn& t) {
                clients[client]->on_transfer(t, PeerId::of_number(1000), id, std::move(event));
            });
        } else {
            turn(kAggregator, [&](job::Turn& t) {
                engine->on_transfer(t, id_of(client), id, std::move(event));
            });
        }
    };
    auto id = grant.id;
    auto link = parties_[client].link;
    if (grant.refused) {
        message::TransferEvent refused = message::TransferRefused{*grant.refused};
        if (found->second.granted) {
            const Error error{ErrorCode::kTransferRefused, "not wanted any more", {}};
            refused = message::TransferLost{error, false};
            ++refused_amid;
            if (!down) --staged_;
        }
        flights_.erase(found);
        return at(now + some(10us, 5ms), [=, this] {
            if (parties_[client].link == link) to(!down, id, refused);
        });
    }
    found->second.granted = true;
    if (!down) ++grants_of[client];
    if (!down) staged_most = std::max(staged_most, ++staged_);
    const auto took = upload_time && !down ? upload_time(client) : some(1ms, 60ms);
    at(now + took, [=, this] {
        auto flight = flights_.find({down, number});
        if (flight == flights_.end() || parties_[client].link != link) return;
        auto whole = std::move(flight->second);
        flights_.erase(flight);
        if (!down) --staged_;  // counted again when it becomes a job
        if (transfers_to_lose > 0 || (loses_uploads && !down && loses_uploads(client))) {
            transfers_to_lose -= transfers_to_lose > 0;
            Error stalled{ErrorCode::kTransferStalled, "no progress", {}};
            to(down, id, message::TransferLost{stalled, true});
            return to(!down, id, message::TransferLost{stalled, false});
        }
        to(down, id, message::TransferArrived{whole.manifest, std::move(whole.payload)});
        at(now + some(10us, 5ms), [=, this] {
            if (parties_[client].link == link) to(!down, id, message::TransferDelivered{});
        });
    });
}

void StarWorld::connect(std::size_t client) {
    auto& p = parties_[client];
    if (p.linked || !engine) return;
    p.linked = true, ++p.link;
    p.sent_until = p.heard_until = now;
    message::Join join;
    join.sample_count = 10 * (client + 1);
    if (options.claimed_by_last && client + 1 == options.clients)
        join.sample_count = options.claimed_by_last;
    join.round = clients[client]->progress().round;
    turn(kAggregator, [&](job::Turn& t) { engine->on_joined(t, id_of(client), join); });
    turn(client, [&](job::Turn& t) {
        clients[client]->on_joined(t, PeerId::of_number(1000), message::Join{});
    });
}

void StarWorld::lose_link(std::size_t client) {
    auto& p = parties_[client];
    if (!p.linked) return;
    p.linked = false, ++p.link;
    for (auto it = flights_.begin(); it != flights_.end();) {
        if (it->second.client == client) {
            if (!it->first.first && it->second.granted && engine) --staged_;
            it = flights_.erase(it);
        } else {
            ++it;
        }
    }
}

void StarWorld::cut(std::size_t client) {
    if (!parties_[client].linked) return;
    std::vector<job::TransferId> amid;  // a link tells of its transfers before it tells of itself
    for (const auto& [key, flight] : flights_)
        if (!key.first && flight.client == client && flight.granted)
            amid.push_back({key.second / 1000});
    lose_link(client);
    const Error error{ErrorCode::kLinkClosed, "broken", {}};
    for (const auto id : amid)
        turn(kAggregator, [&](job::Turn& t) {
            engine->on_transfer(t, id_of(client), id, message::TransferLost{error, true});
        });
    turn(kAggregator, [&](job::Turn& t) { engine->on_link(t, id_of(client), false); });
    turn(client,
         [&](job::Turn& t) { clients[client]->on_link(t, PeerId::of_number(1000), false); });
}

void StarWorld::declare(std::size_t client, message::MemberState state) {
    turn(kAggregator, [&](job::Turn& t) { engine->on_member(t, id_of(client), state); });
}

void StarWorld::restart_client(std::size_t client) {
    lose_link(client);
    turn(kAggregator, [&](job::Turn& t) { engine->on_link(t, id_of(client), false); });
    ++parties_[client].life;
    clients[client] = make_client();
    turn(client, [&](job::Turn& t) { clients[client]->on_start(t); });
    at(now + some(10ms, 500ms), [this, client] { connect(client); });
}

void StarWorld::kill_aggregator(bool write_in_flight_lands) {
    if (write_in_flight_lands)
        for (auto& job : writing_) write(kAggregator, job);
    writing_.clear();
    staged_ = 0;
    for (std::size_t k = 0; k < clients.size(); ++k) lose_link(k);
    engine.reset();
    ++aggregator_.life, ++aggregator_.timer;
    aggregator_.ids = {};
    for (std::size_t k = 0; k < clients.size(); ++k)
        at(now + some(1ms, 50ms), [this, k, link = parties_[k].link] {
            if (parties_[k].link != link) return;
            turn(k, [&](job::Turn& t) { clients[k]->on_link(t, PeerId::of_number(1000), false); });
        });
}

void StarWorld::restart_aggregator() {
    engine = make_engine();
    if (disk_.checkpoint) {
        auto restored = *disk_.checkpoint;
        if (disk_.begun) restored.record = *disk_.begun;
        auto status = engine->restore(std::move(restored));
        REQUIRE_MESSAGE(status, status.error().to_string());
    }
    turn(kAggregator, [&](job::Turn& t) { engine->on_start(t); });
    for (std::size_t k = 0; k < clients.size(); ++k)
        at(now + some(60ms, 2s), [this, k] { connect(k); });
}

}  // namespace gossamer::federated::testing
