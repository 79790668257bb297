#include "connection/transport/transport.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <future>
#include <thread>

#include "connection/transport/address.hpp"
#include "connection/transport/hub.hpp"
#include "connection/transport/net_error.hpp"

namespace gossamer::transport {

namespace {

// Commands on their way to the I/O thread. Offers beyond it are refused as busy; the others are
// bounded by what links accept and are never dropped.
constexpr std::size_t kCommandsMax = 64 * 1024;

}  // namespace

struct Transport::State {
    TransportConfig config;
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    Hub hub;
    std::atomic<std::size_t> commands{0};
    std::atomic<bool> stopped{false};
    std::thread thread;

    State(TransportConfig c, security::TlsContext context, std::vector<std::uint8_t> codecs,
          tensor::PoolRef pool, EventSink sink)
        : config(std::move(c)),
          hub(io, config, std::move(context), std::move(codecs), std::move(pool), std::move(sink)),
          thread([this] { io.run(); }) {}

    template <class F>
    void command(F f) {
        commands.fetch_add(1, std::memory_order_relaxed);
        asio::post(io, [this, f = std::move(f)]() mutable {
            commands.fetch_sub(1, std::memory_order_relaxed);
            f(hub);
        });
    }
};

Transport::Transport(TransportConfig config, security::TlsContext context,
                     std::vector<std::uint8_t> codecs, tensor::PoolRef pool, EventSink sink)
    : state_(std::make_unique<State>(std::move(config), std::move(context), std::move(codecs),
                                     std::move(pool), std::move(sink))) {}

Transport::~Transport() { stop(); }

Result<std::string> Transport::listen(const std::string& address) {
    GOSSAMER_TRY(auto target, parse_address(address));
    std::error_code error;
    asio::ip::tcp::resolver resolver(state_->io);
    const auto found = resolver.resolve(target.host, std::to_string(target.port),
                                        asio::ip::tcp::resolver::passive, error);
    if (error || found.empty()) return fail(ErrorCode::kNetListen, net_error(error, address).what);
    const auto endpoint = found.begin()->endpoint();
    asio::ip::tcp::acceptor acceptor(state_->io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use)
        return fail(ErrorCode::kNetAddressInUse, address + ": " + error.message());
    if (error) return fail(ErrorCode::kNetListen, address + ": " + error.message());
    const auto bound = acceptor.local_endpoint();
    const auto host = bound.address().to_string();
    state_->command([a = std::move(acceptor)](Hub& hub) mutable { hub.accept_on(std::move(a)); });
    return (bound.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(bound.port());
}

void Transport::dial(std::string address, std::optional<PeerId> expected) {
    state_->command([=](Hub& hub) { hub.dial(address, expected); });
}
void Transport::close(const PeerId& peer, std::string reason) {
    state_->command([=](Hub& hub) { hub.close(peer, reason); });
}
void Transport::send(const PeerId& to, message::Message message, message::Lane lane) {
    state_->command(
        [to, lane, m = std::move(message)](Hub& hub) mutable { hub.send(to, std::move(m), lane); });
}
void Transport::offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
                      tensor::Payload payload) {
    if (state_->commands.load(std::memory_order_relaxed) > kCommandsMax)
        return state_->command([=](Hub& hub) { hub.refuse_offer(to, id); });
    state_->command([to, id, m = std::move(manifest), p = std::move(payload)](Hub& hub) mutable {
        hub.offer(to, id, std::move(m), std::move(p));
    });
}
void Transport::withdraw(message::TransferId id) {
    state_->command([=](Hub& hub) { hub.withdraw(id); });
}
void Transport::grant(const PeerId& from, message::TransferId id) {
    state_->command([=](Hub& hub) { hub.grant(from, id); });
}
void Transport::refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason) {
    state_->command([=](Hub& hub) { hub.refuse(from, id, reason); });
}
void Transport::ban(std::shared_ptr<const security::BanList> banned) {
    state_->command([b = std::move(banned)](Hub& hub) mutable { hub.ban(std::move(b)); });
}

void Transport::stop(const std::string& reason) {
    if (state_->stopped.exchange(true)) return;
    std::promise<void> done;
    state_->command([&](Hub& hub) { hub.stop(reason, [&] { done.set_value(); }); });
    done.get_future().wait();
    state_->work.reset();
    state_->io.stop();
    state_->thread.join();
}

TransportStats Transport::stats() const { return state_->hub.stats(); }

}  // namespace gossamer::transport
