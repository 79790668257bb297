#include "connection/transport/transport.hpp"

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <atomic>
#include <future>
#include <mutex>
#include <system_error>
#include <thread>

#include "connection/transport/address.hpp"
#include "connection/transport/hub.hpp"
#include "connection/transport/net_error.hpp"

namespace gossamer::transport {

constexpr std::size_t kThreadsByDefault = 4;

struct Transport::State {
    TransportConfig config;
    const std::size_t threads_max;
    asio::io_context io{static_cast<int>(threads_max)};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    Hub hub;
    std::atomic<bool> stopped{false};
    std::mutex threads_mutex;
    std::vector<std::thread> threads;

    State(TransportConfig c, security::TlsContext context, const std::vector<std::uint8_t>& codecs,
          const tensor::PoolRef& pool, EventSink sink)
        : config(std::move(c)),
          threads_max(most_threads(config.threads)),
          hub(io, config, std::move(context), codecs, pool, std::move(sink),
              [this](std::size_t links) { want_threads((links + 1) / 2); }) {
        want_threads(std::max<std::size_t>(config.threads, 1));
    }

    static std::size_t most_threads(std::size_t wanted) {
        if (wanted > 0) return wanted;
        return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, kThreadsByDefault);
    }
    // A thread that sleeps is woken for every event beside the one that works, so few links get by
    // with one. Where the system gives no more, those there are do the work.
    void want_threads(std::size_t count) {
        std::lock_guard lock(threads_mutex);
        while (!stopped && threads.size() < std::min(count, threads_max)) try {
                threads.emplace_back([this] { io.run(); });
            } catch (const std::system_error&) {
                if (threads.empty()) throw;  // the program's start
                return;
            }
    }
};

Transport::Transport(TransportConfig config, security::TlsContext context,
                     const std::vector<std::uint8_t>& codecs, const tensor::PoolRef& pool,
                     EventSink sink)
    : state_(std::make_unique<State>(std::move(config), std::move(context), codecs, pool,
                                     std::move(sink))) {}

Transport::~Transport() { stop(); }

Result<std::string> Transport::listen(const std::string& address) {
    GOSSAMER_TRY(auto target, parse_address(address));
    std::error_code error;
    asio::ip::tcp::resolver resolver(state_->io);
    const auto found = resolver.resolve(target.host, std::to_string(target.port),
                                        asio::ip::tcp::resolver::passive, error);
    if (error || found.empty()) return fail(ErrorCode::kNetListen, net_error(error, address).what);
    const auto endpoint = found.begin()->endpoint();
    asio::ip::tcp::acceptor acceptor(state_->hub.executor());
    acceptor.open(endpoint.protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(endpoint, error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error == asio::error::address_in_use)
        return fail(ErrorCode::kNetAddressInUse, address + ": " + error.message());
    if (error) return fail(ErrorCode::kNetListen, address + ": " + error.message());
    const auto bound = acceptor.local_endpoint();
    const auto host = bound.address().to_string();
    state_->hub.accept_on(std::move(acceptor));
    return (bound.address().is_v6() ? "[" + host + "]" : host) + ":" + std::to_string(bound.port());
}

void Transport::dial(const std::string& address, std::optional<PeerId> expected) {
    state_->hub.dial(address, expected);
}
void Transport::close(const PeerId& peer, const std::string& reason) {
    state_->hub.close(peer, reason);
}
void Transport::send(const PeerId& to, message::Message message, message::Lane lane) {
    state_->hub.send(to, std::move(message), lane);
}
void Transport::offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
                      tensor::Payload payload) {
    state_->hub.offer(to, id, std::move(manifest), std::move(payload));
}
void Transport::withdraw(message::TransferId id) { state_->hub.withdraw(id); }
void Transport::grant(const PeerId& from, message::TransferId id) { state_->hub.grant(from, id); }
void Transport::refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason) {
    state_->hub.refuse(from, id, reason);
}
void Transport::ban(const std::shared_ptr<const security::BanList>& banned) {
    state_->hub.ban(banned);
}

void Transport::stop(const std::string& reason) {
    if (state_->stopped.exchange(true)) return;
    std::promise<void> done;
    state_->hub.stop(reason, [&] { done.set_value(); });
    done.get_future().wait();
    state_->work.reset();
    state_->io.stop();
    std::vector<std::thread> threads;
    {
        std::lock_guard lock(state_->threads_mutex);  // for one that is being started
        threads.swap(state_->threads);
    }
    for (auto& thread : threads) thread.join();
}

TransportStats Transport::stats() const { return state_->hub.stats(); }

}  // namespace gossamer::transport
