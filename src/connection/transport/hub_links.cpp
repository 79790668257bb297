// The half of Hub that hears what sessions report: who stays when two links meet, and what of it
// the cores are told.
#include <algorithm>

#include "connection/link/duel.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/hub.hpp"

namespace gossamer::transport {

namespace {

constexpr Duration kReportEvery = 60s;
constexpr Duration kSignEvery = 500ms;

}  // namespace

// ---- one link for each pair of peers ----

void Hub::on_identified(Connection& connection) {
    if (!connection.dialled()) return;  // a stranger until it has said HELLO
    const auto& peer = connection.session().peer().id;
    auto& link = connection.session().link();
    if (peer == self_)
        return link.close(now(), {ErrorCode::kTlsPeerId, "this address is our own",
                                  "Nothing is to be done: a list of seeds may name its reader."});
    std::lock_guard lock(mutex_);
    const auto old = up_.find(peer);
    if ((old != up_.end() && !old->second.ended) ||
        !greeting_.try_emplace(peer, &connection).second)
        link.close(now(), {ErrorCode::kLinkDuplicate, "already linked", {}});
}

void Hub::on_greeted(Connection& connection) {
    const auto& peer = connection.session().peer().id;
    auto& link = connection.session().link();
    using wire::RejectReason;
    std::lock_guard lock(mutex_);
    remove_stranger(connection);
    if (stopping_) return link.reject(RejectReason::stopping, "");
    if (evicted_.contains(&connection)) return link.reject(RejectReason::busy, "");
    if (peer == self_) return link.reject(RejectReason::duplicate, "dialled itself");
    const auto old = up_.find(peer);
    if (old == up_.end() && up_.size() >= config_.connections_max)
        return link.reject(RejectReason::busy, "");
    const bool linked = old != up_.end() && !old->second.ended;
    link::PresentLink present;
    if (linked) present = {old->second.connection->dialled(), now() - old->second.since};
    if (link::refuse_newcomer(self_, peer, greeting_.contains(peer), linked ? &present : nullptr))
        return link.reject(RejectReason::duplicate, "");
    link.welcome();
}

// A peer's new link replaces its old one, which may be busy on another thread: until that has
// reported its end, the new one is held, so that the core hears of both in their order.
void Hub::on_up(Connection& connection, const link::Up& up) {
    const auto peer = connection.session().peer().id;
    std::size_t link_count = 0;
    {
        std::lock_guard lock(mutex_);
        auto self = connection.shared_from_this();
        if (banned_ && std::ranges::binary_search(*banned_, peer))  // since its handshake began
            return connection.session().link().close(now(), {ErrorCode::kTlsBanned, "banned", {}});
        const auto old = up_.find(peer);
        if (old != up_.end() && old->second.connection != self) {
            connection.hold();
            connection.notes.up_waiting = up;
            const Error replaced{ErrorCode::kLinkDuplicate, "replaced by a newer link", {}};
            const auto end = [&](const ConnectionRef& c) {
                asio::post(c->executor(), [c, replaced] { c->close(replaced); });
            };
            if (auto& successor = old->second.successor; successor) end(successor);
            end(old->second.connection);
            old->second.successor = std::move(self);
            return;
        }
        remove_greeting(peer, connection);
        if (old == up_.end()) up_[peer] = {std::move(self), now(), nullptr};
        link_count = up_.size();
    }
    on_link_count_(link_count);
    connection.notes.up = true;
    emit(connection,
         job::LinkEvent(job::LinkUp{up.remote.role, connection.address(), connection.dialled()}));
}

void Hub::on_closed(Connection& connection, const link::Closed& closed) {
    auto& notes = connection.notes;
    if (std::exchange(notes.ended, true)) return;
    const bool known = connection.session().identified();
    const auto peer = known ? connection.session().peer().id : PeerId{};
    {
        std::lock_guard lock(mutex_);
        remove_stranger(connection);
        if (known) remove_greeting(peer, connection);
        if (auto it = up_.find(peer); known && it != up_.end()) {
            if (it->second.successor.get() == &connection) it->second.successor.reset();
            if (it->second.connection.get() == &connection) it->second.ended = true;
        }
    }
    if (notes.up) {
        emit(connection, job::LinkEvent(job::LinkDown{closed.error}));
    } else if (connection.dialled()) {
        const bool own = known && peer == self_;
        sink_({peer, job::LinkEvent(job::DialFailed{connection.address(), closed.error,
                                                    closed.permanent || own})});
    } else if (closed.error.code != ErrorCode::kLinkDuplicate) {
        report_refused(connection.address(), closed.error);
    }
    if (known) give_place(peer, connection);
}

// Only now that the end is reported, or a newcomer on another thread would be reported before it.
void Hub::give_place(const PeerId& peer, const Connection& connection) {
    std::lock_guard lock(mutex_);
    const auto it = up_.find(peer);
    if (it == up_.end() || it->second.connection.get() != &connection) return;
    auto next = std::move(it->second.successor);
    if (!next) {
        up_.erase(it);
        return;
    }
    asio::post(next->executor(), [next] { next->resume(); });  // before any command to it
    it->second = {std::move(next), now(), nullptr};
}

void Hub::remove_stranger(Connection& connection) {
    strangers_.remove_if([&](const auto& stranger) { return stranger.get() == &connection; });
}

void Hub::remove_greeting(const PeerId& peer, Connection& connection) {
    if (auto it = greeting_.find(peer); it != greeting_.end() && it->second == &connection)
        greeting_.erase(it);
}

// ---- what sessions report ----

void Hub::on_session_event(Connection& connection, session::Event event) {
    bool room_freed = false;
    if (std::holds_alternative<session::Identified>(event)) {
        on_identified(connection);
    } else if (std::holds_alternative<link::Greeted>(event)) {
        on_greeted(connection);
    } else if (auto* up = std::get_if<link::Up>(&event)) {
        on_up(connection, *up);
    } else if (auto* received = std::get_if<link::Received>(&event)) {
        emit(connection, std::move(received->message));
    } else if (auto* news = std::get_if<link::TransferNews>(&event)) {
        using namespace message;
        room_freed = news->incoming && (std::holds_alternative<TransferArrived>(news->event) ||
                                        std::holds_alternative<TransferLost>(news->event));
        if (!news->incoming) {
            std::lock_guard lock(mutex_);
            offered_.erase(news->id);
        }
        emit(connection, TransferNews{news->id, std::move(news->event)});
    } else if (auto* closed = std::get_if<link::Closed>(&event)) {
        on_closed(connection, *closed);
    }
    if (room_freed) retry_grants();
}

// Room was given back: those who wait for it get their chance, each in its own turn.
void Hub::retry_grants() {
    std::lock_guard lock(mutex_);
    for (const auto& waiting : std::exchange(wait_for_room_, {}))
        asio::post(waiting->executor(), [this, waiting] {
            if (waiting->notes.ended || !waiting->session().link().waits_for_room()) return;
            try_grants(*waiting);
            waiting->process();
        });
}

void Hub::try_grants(Connection& connection) {
    auto& link = connection.session().link();
    link.retry_grants(now());
    if (!link.waits_for_room()) return;
    {
        std::lock_guard lock(mutex_);
        wait_for_room_.insert(connection.shared_from_this());
    }
    link.retry_grants(now());  // room given back before it was known that we wait
}

void Hub::emit(Connection& connection, decltype(Event::what) what) {
    connection.notes.last_event = now();
    sink_({connection.session().peer().id, std::move(what)});
}

void Hub::report_refused(const std::string& address, const Error& error) {
    std::uint64_t unreported = 0;
    {
        std::lock_guard lock(mutex_);
        ++stats_.incoming_refused_count;
        auto [it, first] = refusals_.try_emplace(error.code);
        auto& r = it->second;
        if (!first && now() - r.reported < kReportEvery) {
            ++r.unreported;
            return;
        }
        r.reported = now();
        unreported = std::exchange(r.unreported, 0);
    }
    sink_({PeerId{}, IncomingRefused{address, error, unreported}});
}

void Hub::on_socket_closed(Connection& connection) {
    // A socket dropped without a word from its session still ends a dial or a link.
    if (!connection.notes.ended) {
        connection.session().on_broken(
            {ErrorCode::kLinkBusy, "dropped to make room: too many have not shown who they are",
             "Raise transport.handshakes_max or transport.handshakes_per_address_max if "
             "they are peers of yours."});
        while (auto event = connection.session().next_event())
            if (!connection.notes.up_waiting || std::holds_alternative<link::Closed>(*event))
                on_session_event(connection, std::move(*event));
    }
    on_bytes_moved(connection);
    {
        std::lock_guard lock(mutex_);
        all_.erase(&connection);
        evicted_.erase(&connection);
        wait_for_room_.erase(connection.shared_from_this());
    }
    finish_if_empty();
}

void Hub::on_bytes_moved(Connection& connection) {
    auto& notes = connection.notes;
    const bool received = notes.received_bytes != notes.counted.received_bytes;
    if (!received && notes.sent_bytes == notes.counted.sent_bytes) return;
    if (!connection.session().identified()) return;
    {
        std::lock_guard lock(mutex_);
        stats_.traffic.received_bytes += notes.received_bytes - notes.counted.received_bytes;
        stats_.traffic.sent_bytes += notes.sent_bytes - notes.counted.sent_bytes;
    }
    notes.counted = {notes.received_bytes, notes.sent_bytes};
    if (received && notes.up && !notes.ended && now() - notes.last_event > kSignEvery)
        emit(connection, SignOfLife{});
}

TransportStats Hub::stats() const {
    std::lock_guard lock(mutex_);
    auto copy = stats_;
    copy.link_count = up_.size();
    copy.staging_used_bytes = staging_->used_bytes();
    return copy;
}

}  // namespace gossamer::transport
