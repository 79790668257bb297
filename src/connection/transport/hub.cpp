#include "connection/transport/hub.hpp"

#include <asio/connect.hpp>
#include <asio/post.hpp>

#include "connection/transport/address.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/net_error.hpp"

namespace gossamer::transport {

namespace {

constexpr Duration kTick = 10s;     // between looks at what lies idle
constexpr Duration kStopWait = 2s;  // for goodbyes to go out

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
    // Those already refused linger for a second to hear why; when too many do, nobody is told.
    if (all_.size() - up_.size() >= 2 * config_.handshakes_max) return;
    const auto address = text_of(endpoint), host = host_of(address);
    Connection* oldest_here = nullptr;
    std::size_t here = 0;
    for (auto* stranger : strangers_)
        if (host_of(stranger->address()) == host && ++here == 1) oldest_here = stranger;
    Connection* evicted = here >= config_.handshakes_per_address_max    ? oldest_here
                          : strangers_.size() >= config_.handshakes_max ? strangers_.front()
                                                                        : nullptr;
    if (evicted) evicted->drop();  // which reports it
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

}  // namespace gossamer::transport
