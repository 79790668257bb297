#include "connection/transport/hub.hpp"

#include <algorithm>
#include <asio/connect.hpp>
#include <asio/strand.hpp>

#include "connection/transport/address.hpp"
#include "connection/transport/clock.hpp"
#include "connection/transport/net_error.hpp"
#include "connection/wire/wire.hpp"
#include "gossamer/codec/codec.hpp"

namespace gossamer::transport {

namespace {

constexpr const char* kSoftware = "gossamer " GOSSAMER_VERSION;
constexpr std::size_t kEvictedMax = 256;
constexpr Duration kStopWait = 2s;  // for goodbyes to go out
// Commands on their way to links. Offers beyond it are refused as busy; the others are bounded by
// what links accept and are never dropped.
constexpr std::size_t kCommandsMax = 64 * 1024;

std::string text_of(const asio::ip::tcp::endpoint& endpoint) {
    const auto host = endpoint.address().to_string();
    const auto port = ":" + std::to_string(endpoint.port());
    return endpoint.address().is_v6() ? "[" + host + "]" + port : host + port;
}

std::string host_of(const std::string& address) { return address.substr(0, address.rfind(':')); }

}  // namespace

// A HELLO beyond its bound would be refused by every other side.
static_assert(codec::kCodecsMax <= wire::kCodecsMax);

struct Hub::Dial {
    std::string address;
    std::optional<PeerId> expected;
    asio::any_io_executor strand;
    asio::ip::tcp::resolver resolver{strand};
    asio::ip::tcp::socket socket{strand};
    asio::steady_timer timer{strand};
    bool resolved = false, done = false;
};

Hub::Hub(asio::io_context& io, const TransportConfig& config, security::TlsContext context,
         const std::vector<std::uint8_t>& codecs, const tensor::PoolRef& pool, EventSink sink,
         std::function<void(std::size_t link_count)> on_link_count)
    : io_(io),
      strand_(asio::make_strand(io)),
      config_(config),
      context_(std::move(context)),
      self_(context_.self().id),
      link_settings_(link::shared(
          {{context_.self().role, context_.self().federation.to_string(), codecs, 0, kSoftware},
           config.link,
           pool})),
      sink_(std::move(sink)),
      on_link_count_(std::move(on_link_count)),
      staging_(std::make_shared<link::Staging>(config.staging_bytes)),
      ticker_(strand_),
      stop_timer_(strand_),
      banned_(config.banned) {
    tick();
}

// ---- incoming ----

void Hub::accept_on(asio::ip::tcp::acceptor acceptor) {
    asio::post(strand_, [this, a = std::move(acceptor)]() mutable {
        listeners_.push_back({std::move(a), asio::steady_timer(strand_)});
        accept_next(listeners_.back());
    });
}

void Hub::accept_next(Listener& listener) {
    if (!listener.acceptor.is_open()) return;  // stopping
    listener.acceptor.async_accept(
        asio::make_strand(io_), [this, &listener](std::error_code error, auto socket) {
            if (!listener.acceptor.is_open()) return;
            if (!error) {
                admit(std::move(socket));
                return accept_next(listener);
            }
            // No descriptors left, most likely: strangers go first, then it is tried again.
            {
                std::lock_guard lock(mutex_);
                if (!strangers_.empty()) evict(strangers_.begin());
            }
            listener.again.expires_after(100ms);
            listener.again.async_wait([this, &listener](std::error_code cancelled) {
                if (!cancelled) accept_next(listener);
            });
        });
}

void Hub::admit(asio::ip::tcp::socket socket) {
    std::error_code error;
    const auto endpoint = socket.remote_endpoint(error);
    if (error) return;  // gone already
    const auto address = text_of(endpoint), host = host_of(address);
    {
        std::lock_guard lock(mutex_);
        // Those already refused linger for a second to hear why; when too many do, nobody is told.
        if (all_.size() - up_.size() - evicted_.size() >= 2 * config_.handshakes_max) return;
        if (evicted_.size() >= kEvictedMax) return;  // their turn to go has not come yet
        const auto is_here = [&](const auto& stranger) {
            return host_of(stranger->address()) == host;
        };
        const auto here = std::ranges::count_if(strangers_, is_here);
        if (static_cast<std::size_t>(here) >= config_.handshakes_per_address_max)
            evict(std::ranges::find_if(strangers_, is_here));
        else if (strangers_.size() >= config_.handshakes_max)
            evict(strangers_.begin());
    }
    open(std::move(socket), address, security::TlsSide::listener, std::nullopt);
}

void Hub::evict(std::list<ConnectionRef>::iterator stranger) {
    const auto evicted = *stranger;
    strangers_.erase(stranger);
    evicted_.insert(evicted.get());
    asio::post(evicted->executor(), [evicted] { evicted->drop(); });  // which reports it
}

bool Hub::open(asio::ip::tcp::socket socket, std::string address, security::TlsSide side,
               std::optional<PeerId> expected) {
    session::SessionConfig config;
    config.side = side;
    config.handshake_deadline = config_.handshake_deadline;
    config.link.settings = link_settings_;
    config.link.staging = staging_.get();
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    config.policy = {
        .now = wall(), .expected_peer = expected, .roles = config_.roles, .banned = banned_};
    auto connection = std::make_shared<Connection>(*this, std::move(socket), std::move(address),
                                                   context_, std::move(config));
    all_[connection.get()] = connection;
    if (side == security::TlsSide::listener) strangers_.push_back(connection);
    asio::post(connection->executor(), [connection] { connection->start(); });
    return true;
}

// ---- outgoing ----

void Hub::dial(const std::string& address, std::optional<PeerId> expected) {
    auto dial = std::shared_ptr<Dial>(new Dial{address, expected, asio::make_strand(io_)});
    std::lock_guard lock(mutex_);
    dials_.insert(dial);
    asio::post(dial->strand, [this, dial, stopping = stopping_] {
        if (stopping) return dial_failed(dial, {ErrorCode::kCancelled, "stopping", {}});
        start_dial(dial);
    });
}

void Hub::start_dial(const std::shared_ptr<Dial>& dial) {
    if (dial->done) return;
    const auto target = parse_address(dial->address);
    if (!target) return dial_failed(dial, target.error());
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
        [this, dial](std::error_code error, const asio::ip::tcp::resolver::results_type& found) {
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
    if (std::exchange(dial->done, true)) return;
    std::error_code ignored;
    dial->timer.cancel();
    dial->resolver.cancel();
    dial->socket.close(ignored);
    const bool permanent = error.code == ErrorCode::kNetAddress;
    sink_({dial->expected.value_or(PeerId{}),
           job::LinkEvent(job::DialFailed{dial->address, std::move(error), permanent})});
    {
        std::lock_guard lock(mutex_);
        dials_.erase(dial);
    }
    finish_if_empty();
}

void Hub::connected(const std::shared_ptr<Dial>& dial) {
    if (!open(std::move(dial->socket), dial->address, security::TlsSide::dialler, dial->expected))
        return dial_failed(dial, {ErrorCode::kCancelled, "stopping", {}});
    dial->done = true;
    dial->timer.cancel();
    std::lock_guard lock(mutex_);
    dials_.erase(dial);
}

// ---- commands ----

void Hub::close(const PeerId& peer, const std::string& reason) {
    on_link(peer, [reason](Connection& c) { c.close({ErrorCode::kLinkClosed, reason, {}}); });
}

// Without a link nothing is sent: the core has been told that it is down, or will be.
void Hub::send(const PeerId& to, message::Message message, message::Lane lane) {
    on_link(to, [this, lane, m = std::move(message)](Connection& c) mutable {
        auto status = c.session().link().send(now(), std::move(m), lane);
        if (!status) report_refused(c.address(), status.error());
        c.process();
    });
}

void Hub::offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
                tensor::Payload payload) {
    if (commands_ > kCommandsMax) {
        const message::TransferRefused busy{message::RefuseReason::busy};
        asio::post(strand_, [=, this] { sink_({to, TransferNews{id, busy}}); });
        return;
    }
    {
        std::lock_guard lock(mutex_);
        offered_[id] = to;
    }
    const bool linked = on_link(
        to,
        [id, m = std::move(manifest), p = std::move(payload)](Connection& c) mutable {
            c.session().link().offer(now(), id, std::move(m), std::move(p));
            c.process();
        },
        [this, to, id] { report_lost(to, id); });
    if (!linked) asio::post(strand_, [this, to, id] { report_lost(to, id); });
}

void Hub::report_lost(const PeerId& to, message::TransferId id) {
    {
        std::lock_guard lock(mutex_);
        if (!offered_.erase(id)) return;  // withdrawn
    }
    const Error error{ErrorCode::kLinkClosed, "no link to " + to.short_string(), {}};
    sink_({to, TransferNews{id, message::TransferLost{error}}});
}

void Hub::withdraw(message::TransferId id) {
    PeerId to;
    {
        std::lock_guard lock(mutex_);
        const auto it = offered_.find(id);
        if (it == offered_.end()) return;
        to = it->second;
        offered_.erase(it);
    }
    on_link(to, [id](Connection& c) {
        c.session().link().withdraw(now(), id);
        c.process();
    });
}

void Hub::grant(const PeerId& from, message::TransferId id) {
    on_link(from, [this, id](Connection& c) {
        c.session().link().grant(now(), id);
        if (c.session().link().waits_for_room()) try_grants(c);
        c.process();
    });
}

void Hub::refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason) {
    on_link(from, [this, id, reason](Connection& c) {
        c.session().link().refuse(now(), id, reason);
        c.process();
        retry_grants();  // had it been granted, its room is free now
    });
}

void Hub::ban(const std::shared_ptr<const security::BanList>& banned) {
    {
        std::lock_guard lock(mutex_);
        banned_ = banned;
    }
    if (!banned) return;
    for (const auto& peer : *banned)
        on_link(peer, [](Connection& c) { c.close({ErrorCode::kTlsBanned, "banned", {}}); });
}

// ---- the end, and the time between ----

void Hub::stop(const std::string& reason, std::function<void()> done) {
    asio::post(strand_, [this, reason, done = std::move(done)]() mutable {
        std::error_code ignored;
        for (auto& listener : listeners_) {
            listener.acceptor.close(ignored);
            listener.again.cancel();
        }
        ticker_.cancel();
        stop_timer_.expires_after(kStopWait);
        stop_timer_.async_wait([this](std::error_code cancelled) {
            if (!cancelled) on_all([](Connection& c) { c.drop(); });
        });
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;  // from here on nothing is opened
            stopped_ = std::move(done);
            while (!strangers_.empty()) evict(strangers_.begin());
            for (const auto& dial : dials_)
                asio::post(dial->strand, [this, dial, reason] {
                    dial_failed(dial, {ErrorCode::kCancelled, reason, {}});
                });
        }
        on_all([reason](Connection& c) { c.close({ErrorCode::kLinkClosed, reason, {}}); });
        finish_if_empty();
    });
}

void Hub::finish_if_empty() {
    std::lock_guard lock(mutex_);
    if (!stopping_ || !all_.empty() || !dials_.empty() || !stopped_) return;
    asio::post(strand_, [this, done = std::exchange(stopped_, nullptr)] {
        stop_timer_.cancel();
        done();
    });
}

void Hub::tick() {
    ticker_.expires_after(config_.look_every);
    ticker_.async_wait([this](std::error_code cancelled) {
        if (cancelled) return;
        on_all([this](Connection& c) { look_at(c); });
        tick();
    });
}

void Hub::look_at(Connection& c) const {
    // Whom the handshake let in must be let in today, or a peer that is to go stays while it keeps
    // its link.
    const auto now = wall();
    if (c.session().is_up() && c.session().peer().not_after < now) {
        const auto& peer = c.session().peer();
        return c.close({ErrorCode::kTlsExpired,
                        "the certificate of " + peer.id.short_string() + " expired on " +
                            security::format_wall_time(peer.not_after) + "; it is " +
                            security::format_wall_time(now) + " here",
                        {}});
    }
    // Buffers of a link that carried nothing but heartbeats since the last look go back.
    const auto moved = c.notes.received_bytes + c.notes.sent_bytes;
    if (moved - c.notes.moved_at_tick < 64 * 1024) c.session().trim();
    c.notes.moved_at_tick = moved;
}

WallTime Hub::wall() const { return config_.wall_clock ? config_.wall_clock() : wall_now(); }

}  // namespace gossamer::transport
