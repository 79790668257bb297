// All connections of a node, on the I/O thread: accepts, dials, keeps one link per pair of peers,
// and bounds what strangers cost.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "connection/transport/connection.hpp"
#include "connection/transport/transport.hpp"

namespace gossamer::transport {

constexpr std::size_t kReadBytes = 256 * 1024;  // per call; few calls, and it stays in the cache

class Hub final : public ConnectionOwner {
public:
    Hub(asio::io_context& io, const TransportConfig& config, security::TlsContext context,
        std::vector<std::uint8_t> codecs, tensor::PoolRef pool, EventSink sink);

    // On the I/O thread, but for stats().
    void accept_on(asio::ip::tcp::acceptor acceptor);
    void dial(const std::string& address, std::optional<PeerId> expected);
    void close(const PeerId& peer, const std::string& reason);
    void send(const PeerId& to, message::Message message, message::Lane lane);
    void offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
               tensor::Payload payload);
    void refuse_offer(const PeerId& to, message::TransferId id);  // no room for the command
    void withdraw(message::TransferId id);
    void grant(const PeerId& from, message::TransferId id);
    void refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason);
    void ban(std::shared_ptr<const security::BanList> banned);
    // Calls `done` when nothing is left or two seconds have passed.
    void stop(const std::string& reason, std::function<void()> done);
    TransportStats stats() const;

    void on_session_event(Connection& connection, session::Event event) override;
    void on_bytes_moved(Connection& connection) override;
    void on_socket_closed(Connection& connection) override;
    std::span<std::byte> read_space() override { return read_space_; }

private:
    struct Dial;
    using ConnectionRef = std::shared_ptr<Connection>;

    void accept_next(asio::ip::tcp::acceptor& acceptor);
    void admit(asio::ip::tcp::socket socket);
    void connected(const std::shared_ptr<Dial>& dial);
    void dial_failed(const std::shared_ptr<Dial>& dial, Error error);
    ConnectionRef open(asio::ip::tcp::socket socket, std::string address, security::TlsSide side,
                       std::optional<PeerId> expected);

    void on_identified(Connection& connection);
    void on_greeted(Connection& connection);
    void on_up(Connection& connection, const link::Up& up);
    void on_closed(Connection& connection, const link::Closed& closed);
    void report_refused(const std::string& address, const Error& error);
    void emit(Connection& connection, decltype(Event::what) what);
    Connection* linked(const PeerId& peer);
    void retry_grants();
    void tick();
    void finish_if_empty();
    void count_links();

    asio::io_context& io_;
    const TransportConfig& config_;
    const security::TlsContext context_;
    const PeerId self_;
    const std::vector<std::uint8_t> codecs_;
    const tensor::PoolRef pool_;
    const EventSink sink_;
    const std::shared_ptr<link::Staging> staging_;
    std::shared_ptr<const security::BanList> banned_;

    Bytes read_space_ = Bytes(kReadBytes);
    std::list<asio::ip::tcp::acceptor> acceptors_;
    asio::steady_timer accept_again_, ticker_, stop_timer_;
    std::set<std::shared_ptr<Dial>> dials_;
    std::map<Connection*, ConnectionRef> all_;
    std::list<Connection*> strangers_;        // incoming, not identified, oldest first
    std::map<PeerId, Connection*> up_;        // one link for each peer
    std::map<PeerId, Connection*> greeting_;  // dialled, identified, no WELCOME yet
    std::map<message::TransferId, PeerId> offered_;
    struct Refusals {
        Instant reported;
        std::uint64_t unreported = 0;
    };
    std::map<ErrorCode, Refusals> refusals_;
    bool stopping_ = false, retry_posted_ = false;
    std::function<void()> stopped_;

    mutable std::mutex stats_mutex_;
    TransportStats stats_;
};

}  // namespace gossamer::transport
