#include "connection/transport/hub.hpp"

#include <asio/connect.hpp>
#include <asio/post.hpp>

#include "connection/transport/address.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/net_error.hpp"

namespace gossamer::transport {

namespace {

constexpr Duration kYoung = 5s;     // a link that may have crossed with another dial
constexpr Duration kTick = 10s;     // between looks at what lies idle
constexpr Duration kStopWait = 2s;  // for goodbyes to go out
constexpr Duration kReportEvery = 60s;
constexpr Duration kSignEvery = 500ms;
constexpr std::size_t kTrafficPeersMax = 16 * 1024;

std::string text_of(const asio::ip::tcp::endpoint& endpoint) {
    const auto host = endpoint.address().to_string();
    const auto port = ":" + std::to_string(endpoint.port());
    return endpoint.address().is_v6() ? "[" + host + "]" + port : host + port;
}

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

struct Hub::Dial {
    std::string address;
    std::optional<PeerId> expected;
    asio::ip::tcp::resolver resolver;
    asio::ip::tcp::socket socket;
    asio::steady_timer timer;
    bool resolved = false, done = false;
};

Hub::Hub(asio::io_context& io, const TransportConfig& config, security::TlsContext context,
         std::vector<std::uint8_t> codecs, tensor::PoolRef pool, EventSink sink)
    : io_(io),
      config_(config),
      context_(std::move(context)),
      self_(context_.self().id),
      codecs_(std::move(codecs)),
      pool_(std::move(pool)),
      sink_(std::move(sink)),
      staging_(std::make_shared<link::Staging>(config.staging_bytes)),
      accept_again_(io),
      ticker_(io),
      stop_timer_(io) {
    tick();
}

// ---- incoming ----

void Hub::accept_on(asio::ip::tcp::acceptor acceptor) {
    if (stopping_) return;
    acceptors_.push_back(std::move(acceptor));
    accept_next(acceptors_.back());
}

void Hub::accept_next(asio::ip::tcp::acceptor& acceptor) {
    acceptor.async_accept([this, &acceptor](std::error_code error, asio::ip::tcp::socket socket) {
        if (stopping_) return;
        if (!error) {
            admit(std::move(socket));
            return accept_next(acceptor);
        }
        // No descriptors left, most likely: strangers go first, then it is tried again.
        if (!strangers_.empty()) strangers_.front()->drop();
        accept_again_.expires_after(100ms);
        accept_again_.async_wait([this, &acceptor](std::error_code cancelled) {
            if (!cancelled && !stopping_) accept_next(acceptor);
        });
    });
}

void Hub::admit(asio::ip::tcp::socket socket) {
    std::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    const auto address = text_of(endpoint), host = host_of(address);
    Connection* oldest_here = nullptr;
    std::size_t here = 0;
    for (auto* stranger : strangers_)
        if (host_of(stranger->address()) == host && ++here == 1) oldest_here = stranger;
    Connection* evicted = here >= config_.handshakes_per_address_max    ? oldest_here
                          : strangers_.size() >= config_.handshakes_max ? strangers_.front()
                                                                        : nullptr;
    if (evicted) {
        report_refused(evicted->address(), {ErrorCode::kLinkBusy, "too many handshakes", {}});
        evicted->drop();
    }
    auto connection = open(std::move(socket), address, security::TlsSide::listener, std::nullopt);
    strangers_.push_back(connection.get());
    connection->start();
}

Hub::ConnectionRef Hub::open(asio::ip::tcp::socket socket, std::string address,
                             security::TlsSide side, std::optional<PeerId> expected) {
    session::SessionConfig config;
    config.side = side;
    config.policy = {.now = wall_now(), .expected_peer = expected, .banned = banned_};
    config.handshake_deadline = config_.handshake_deadline;
    const auto& self = context_.self();
    config.link.local = {self.role, self.federation.to_string(), codecs_, 0, "gossamer 0.1.0"};
    config.link.limits = config_.link;
    config.link.staging = staging_;
    config.link.pool = pool_;
    auto connection = std::make_shared<Connection>(*this, std::move(socket), std::move(address),
                                                   context_, std::move(config));
    all_[connection.get()] = connection;
    return connection;
}

// ---- outgoing ----

void Hub::dial(const std::string& address, std::optional<PeerId> expected) {
    auto dial = std::make_shared<Dial>(Dial{address, expected, asio::ip::tcp::resolver(io_),
                                            asio::ip::tcp::socket(io_), asio::steady_timer(io_)});
    dials_.insert(dial);
    const auto target = parse_address(address);
    if (!target || stopping_) {
        asio::post(io_, [this, dial,
                         error = target ? Error{ErrorCode::kCancelled, "stopping", {}}
                                        : target.error()] { dial_failed(dial, error); });
        return;
    }
    dial->timer.expires_after(config_.dial_deadline);
    dial->timer.async_wait([this, dial](std::error_code cancelled) {
        if (cancelled) return;
        const auto code = dial->resolved ? ErrorCode::kNetTimeout : ErrorCode::kNetResolve;
        dial_failed(dial,
                    {code,
                     dial->address + ": no answer within " + format_duration(config_.dial_deadline),
                     {}});
    });
    dial->resolver.async_resolve(
        target->host, std::to_string(target->port),
        [this, dial](std::error_code error, asio::ip::tcp::resolver::results_type found) {
            if (dial->done) return;
            if (error) return dial_failed(dial, net_error(error, dial->address));
            dial->resolved = true;
            asio::async_connect(dial->socket, found,
                                [this, dial](std::error_code failed, const auto&) {
                                    if (dial->done) return;
                                    if (failed)
                                        return dial_failed(dial, net_error(failed, dial->address));
                                    connected(dial);
                                });
        });
}

void Hub::dial_failed(const std::shared_ptr<Dial>& dial, Error error) {
    if (dial->done) return;
    dial->done = true;
    std::error_code ignored;
    dial->timer.cancel();
    dial->resolver.cancel();
    dial->socket.close(ignored);
    dials_.erase(dial);
    const bool permanent = error.code == ErrorCode::kNetAddress;
    sink_({dial->expected.value_or(PeerId{}),
           job::LinkEvent(job::DialFailed{dial->address, std::move(error), permanent})});
    finish_if_empty();
}

void Hub::connected(const std::shared_ptr<Dial>& dial) {
    dial->done = true;
    dial->timer.cancel();
    dials_.erase(dial);
    open(std::move(dial->socket), dial->address, security::TlsSide::dialler, dial->expected)
        ->start();
}

// ---- one link for each pair of peers ----

void Hub::on_identified(Connection& connection) {
    const auto& peer = connection.session().peer().id;
    std::erase(strangers_, &connection);
    if (!connection.dialled()) return;
    auto& link = connection.session().link();
    if (peer == self_)
        return link.close(now(), {ErrorCode::kTlsPeerId, "this address is our own", {}});
    if (up_.contains(peer) || greeting_.contains(peer))
        return link.close(now(), {ErrorCode::kLinkDuplicate, "already linked", {}});
    greeting_[peer] = &connection;
}

void Hub::on_greeted(Connection& connection) {
    const auto& peer = connection.session().peer().id;
    auto& link = connection.session().link();
    using wire::RejectReason;
    if (stopping_) return link.reject(now(), RejectReason::stopping, "");
    if (peer == self_) return link.reject(now(), RejectReason::duplicate, "dialled itself");
    auto* old = linked(peer);
    if (!old && up_.size() >= config_.connections_max)
        return link.reject(now(), RejectReason::busy, "");
    const bool ours_stays = self_ < peer;
    if (ours_stays && greeting_.contains(peer))
        return link.reject(now(), RejectReason::duplicate, "");
    if (old && ours_stays && old->dialled() && now() - old->notes.up_since < kYoung)
        return link.reject(now(), RejectReason::duplicate, "");
    link.welcome(now());
}

void Hub::on_up(Connection& connection, const link::Up& up) {
    const auto peer = connection.session().peer().id;
    if (auto* old = linked(peer))
        old->close({ErrorCode::kLinkDuplicate, "replaced by a newer link", {}});
    if (auto it = greeting_.find(peer); it != greeting_.end() && it->second == &connection)
        greeting_.erase(it);
    up_[peer] = &connection;
    count_links();
    connection.notes.up = true;
    connection.notes.up_since = now();
    emit(connection,
         job::LinkEvent(job::LinkUp{up.remote.role, connection.address(), connection.dialled()}));
}

void Hub::on_closed(Connection& connection, const link::Closed& closed) {
    auto& notes = connection.notes;
    if (std::exchange(notes.ended, true)) return;
    std::erase(strangers_, &connection);
    const bool known = connection.session().identified();
    const auto peer = known ? connection.session().peer().id : PeerId{};
    if (known) {
        if (auto it = greeting_.find(peer); it != greeting_.end() && it->second == &connection)
            greeting_.erase(it);
        if (auto it = up_.find(peer); it != up_.end() && it->second == &connection) up_.erase(it);
        count_links();
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
        if (!news->incoming) offered_.erase(news->id);
        emit(connection, TransferNews{news->id, std::move(news->event)});
    } else if (auto* closed = std::get_if<link::Closed>(&event)) {
        on_closed(connection, *closed);
    }
    if (room_freed) retry_grants();
}

// Room was given back: those who wait for it get their chance, each in its own turn.
void Hub::retry_grants() {
    if (std::exchange(retry_posted_, true)) return;
    asio::post(io_, [this] {
        retry_posted_ = false;
        for (auto& [peer, waiting] : std::map(up_))
            if (waiting->session().link().waits_for_room()) {
                waiting->session().link().retry_grants(now());
                waiting->process();
            }
    });
}

void Hub::emit(Connection& connection, decltype(Event::what) what) {
    connection.notes.last_event = now();
    sink_({connection.session().peer().id, std::move(what)});
}

void Hub::count_links() {
    std::lock_guard lock(stats_mutex_);
    stats_.link_count = up_.size();
}

void Hub::report_refused(const std::string& address, const Error& error) {
    {
        std::lock_guard lock(stats_mutex_);
        ++stats_.incoming_refused_count;
    }
    auto [it, first] = refusals_.try_emplace(error.code);
    auto& r = it->second;
    if (!first && now() - r.reported < kReportEvery) {
        ++r.unreported;
        return;
    }
    r.reported = now();
    sink_({PeerId{}, IncomingRefused{address, error, std::exchange(r.unreported, 0)}});
}

void Hub::on_socket_closed(Connection& connection) {
    // A socket dropped without a word from its session still ends a dial or a link.
    if (!connection.notes.ended) {
        connection.session().on_broken(now(), {ErrorCode::kLinkBusy, "dropped to make room", {}});
        while (auto event = connection.session().next_event())
            on_session_event(connection, std::move(*event));
    }
    on_bytes_moved(connection);
    all_.erase(&connection);
    finish_if_empty();
}

// ---- commands ----

Connection* Hub::linked(const PeerId& peer) {
    auto it = up_.find(peer);
    return it == up_.end() ? nullptr : it->second;
}

void Hub::close(const PeerId& peer, const std::string& reason) {
    if (auto* c = linked(peer)) c->close({ErrorCode::kLinkClosed, reason, {}});
}

void Hub::send(const PeerId& to, message::Message message, message::Lane lane) {
    auto* c = linked(to);
    if (!c) return;  // the core has been told that the link is down, or will be
    auto status = c->session().link().send(now(), std::move(message), lane);
    if (!status) report_refused(c->address(), status.error());
    c->process();
}

void Hub::offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
                tensor::Payload payload) {
    auto* c = linked(to);
    if (!c) {
        const Error error{ErrorCode::kLinkClosed, "no link to " + to.short_string(), {}};
        return sink_({to, TransferNews{id, message::TransferLost{error}}});
    }
    offered_[id] = to;
    c->session().link().offer(now(), id, std::move(manifest), std::move(payload));
    c->process();
}

void Hub::refuse_offer(const PeerId& to, message::TransferId id) {
    sink_({to, TransferNews{id, message::TransferRefused{message::RefuseReason::busy}}});
}

void Hub::withdraw(message::TransferId id) {
    auto it = offered_.find(id);
    if (it == offered_.end()) return;
    auto* c = linked(it->second);
    offered_.erase(it);
    if (!c) return;
    c->session().link().withdraw(now(), id);
    c->process();
}

void Hub::grant(const PeerId& from, message::TransferId id) {
    auto* c = linked(from);
    if (!c) return;
    c->session().link().grant(now(), id);
    c->process();
}

void Hub::refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason) {
    auto* c = linked(from);
    if (!c) return;
    c->session().link().refuse(now(), id, reason);
    c->process();
}

void Hub::ban(std::shared_ptr<const security::BanList> banned) {
    banned_ = std::move(banned);
    if (!banned_) return;
    for (const auto& peer : *banned_)
        if (auto* c = linked(peer)) c->close({ErrorCode::kTlsBanned, "banned", {}});
}

// ---- the end, and the time between ----

void Hub::stop(const std::string& reason, std::function<void()> done) {
    if (stopping_) return;
    stopping_ = true;
    stopped_ = std::move(done);
    std::error_code ignored;
    for (auto& acceptor : acceptors_) acceptor.close(ignored);
    accept_again_.cancel();
    ticker_.cancel();
    for (auto& dial : std::set(dials_)) dial_failed(dial, {ErrorCode::kCancelled, reason, {}});
    for (auto& [key, connection] : std::map(all_)) {
        if (std::find(strangers_.begin(), strangers_.end(), key) != strangers_.end())
            connection->drop();
        else
            connection->close({ErrorCode::kLinkClosed, reason, {}});
    }
    stop_timer_.expires_after(kStopWait);
    stop_timer_.async_wait([this](std::error_code cancelled) {
        if (cancelled) return;
        for (auto& [key, connection] : std::map(all_)) connection->drop();
    });
    finish_if_empty();
}

void Hub::finish_if_empty() {
    if (!stopping_ || !all_.empty() || !dials_.empty() || !stopped_) return;
    stop_timer_.cancel();
    std::exchange(stopped_, nullptr)();
}

void Hub::tick() {
    ticker_.expires_after(kTick);
    ticker_.async_wait([this](std::error_code cancelled) {
        if (cancelled || stopping_) return;
        // Buffers of a link that carried nothing but heartbeats since the last look go back.
        for (auto& [key, connection] : all_) {
            auto& notes = connection->notes;
            const auto moved = notes.received_bytes + notes.sent_bytes;
            if (moved - notes.moved_at_tick < 64 * 1024) connection->session().trim();
            notes.moved_at_tick = moved;
        }
        tick();
    });
}

void Hub::on_bytes_moved(Connection& connection) {
    auto& notes = connection.notes;
    const bool received = notes.received_bytes != notes.counted.received_bytes;
    if (!received && notes.sent_bytes == notes.counted.sent_bytes) return;
    if (!connection.session().identified()) return;
    const auto& peer = connection.session().peer().id;
    {
        std::lock_guard lock(stats_mutex_);
        if (stats_.peers.size() < kTrafficPeersMax || stats_.peers.contains(peer)) {
            auto& traffic = stats_.peers[peer];
            traffic.received_bytes += notes.received_bytes - notes.counted.received_bytes;
            traffic.sent_bytes += notes.sent_bytes - notes.counted.sent_bytes;
        }
    }
    notes.counted = {notes.received_bytes, notes.sent_bytes};
    if (received && notes.up && !notes.ended && now() - notes.last_event > kSignEvery)
        emit(connection, SignOfLife{});
}

TransportStats Hub::stats() const {
    std::lock_guard lock(stats_mutex_);
    auto copy = stats_;
    copy.staging_used_bytes = staging_->used_bytes();
    return copy;
}

}  // namespace gossamer::transport
