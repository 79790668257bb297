// All connections of a node: accepts, dials, keeps one link per pair of peers, and bounds what
// strangers cost. Each connection is a strand of work that any I/O thread may take up and reports
// from there; what connections share stands behind one lock, which is never held while an event is
// reported. What must be done on another connection is posted to its strand.
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <set>

#include "connection/transport/connection.hpp"
#include "connection/transport/transport.hpp"

namespace gossamer::transport {

// `io` runs, on one thread or several, from after the constructor until stop() is done.
class Hub final : public ConnectionOwner {
public:
    Hub(asio::io_context& io, const TransportConfig& config, security::TlsContext context,
        const std::vector<std::uint8_t>& codecs, const tensor::PoolRef& pool, EventSink sink,
        std::function<void(std::size_t link_count)> on_link_count);

    // From any thread, but the commands of one peer from one thread.
    void accept_on(asio::ip::tcp::acceptor acceptor);  // REQUIRES executor()
    void dial(const std::string& address, std::optional<PeerId> expected);
    void close(const PeerId& peer, const std::string& reason);
    void send(const PeerId& to, message::Message message, message::Lane lane);
    void offer(const PeerId& to, message::TransferId id, message::Manifest manifest,
               tensor::Payload payload);
    void withdraw(message::TransferId id);
    void grant(const PeerId& from, message::TransferId id);
    void refuse(const PeerId& from, message::TransferId id, message::RefuseReason reason);
    void ban(const std::shared_ptr<const security::BanList>& banned);
    // Calls `done`, on an I/O thread, when nothing is left or two seconds have passed.
    void stop(const std::string& reason, std::function<void()> done);
    TransportStats stats() const;
    asio::any_io_executor executor() { return strand_; }

    void on_session_event(Connection& connection, session::Event event) override;
    void on_bytes_moved(Connection& connection) override;
    void on_socket_closed(Connection& connection) override;

private:
    struct Dial;
    using ConnectionRef = std::shared_ptr<Connection>;
    struct UpLink {
        ConnectionRef connection;
        Instant since;
        ConnectionRef successor;  // held until this link's end is reported
        bool ended = false;       // and being reported
    };

    struct Listener {
        asio::ip::tcp::acceptor acceptor;
        asio::steady_timer again;
    };
    void accept_next(Listener& listener);
    void admit(asio::ip::tcp::socket socket);
    void evict(std::list<ConnectionRef>::iterator stranger);  // locked
    void start_dial(const std::shared_ptr<Dial>& dial);
    void connected(const std::shared_ptr<Dial>& dial);
    void dial_failed(const std::shared_ptr<Dial>& dial, Error error);
    // False: stopping.
    bool open(asio::ip::tcp::socket socket, std::string address, security::TlsSide side,
              std::optional<PeerId> expected);

    // f(Connection&) on the strand of the peer's link, or missed() where that has ended when f gets
    // its turn. False: there is no link.
    template <class F>
    bool on_link(const PeerId& peer, F f, std::function<void()> missed = nullptr);
    // The same for every connection.
    template <class F>
    void on_all(F f);
    void report_lost(const PeerId& to, message::TransferId id);

    void on_identified(Connection& connection);
    void on_greeted(Connection& connection);
    void on_up(Connection& connection, const link::Up& up);
    void on_closed(Connection& connection, const link::Closed& closed);
    void give_place(const PeerId& peer, const Connection& connection);
    void remove_stranger(Connection& connection);                      // locked
    void remove_greeting(const PeerId& peer, Connection& connection);  // locked
    void report_refused(const std::string& address, const Error& error);
    void emit(Connection& connection, decltype(Event::what) what);
    void retry_grants();
    void try_grants(Connection& connection);
    WallTime wall() const;
    void tick();
    void look_at(Connection& connection) const;
    void finish_if_empty();

    asio::io_context& io_;
    const asio::any_io_executor strand_;
    const TransportConfig& config_;
    const security::TlsContext context_;
    const PeerId self_;
    const std::shared_ptr<const link::LinkSettings> link_settings_;
    const EventSink sink_;
    const std::function<void(std::size_t)> on_link_count_;
    const std::shared_ptr<link::Staging> staging_;
    std::atomic<std::size_t> commands_{0};  // on their way to a link's strand

    // On our own strand only.
    std::list<Listener> listeners_;
    asio::steady_timer ticker_, stop_timer_;

    mutable std::mutex mutex_;  // for all below
    std::shared_ptr<const security::BanList> banned_;
    std::set<std::shared_ptr<Dial>> dials_;
    std::map<Connection*, ConnectionRef> all_;
    std::list<ConnectionRef> strangers_;      // incoming, not identified, oldest first
    std::set<Connection*> evicted_;           // of those, until they are gone
    std::map<PeerId, UpLink> up_;             // one link for each peer
    std::map<PeerId, Connection*> greeting_;  // dialled, identified, no WELCOME yet
    std::map<message::TransferId, PeerId> offered_;
    std::set<ConnectionRef> wait_for_room_;  // in the staging
    struct Refusals {
        Instant reported;
        std::uint64_t unreported = 0;
    };
    std::map<ErrorCode, Refusals> refusals_;
    bool stopping_ = false;
    std::function<void()> stopped_;
    TransportStats stats_;
};

template <class F>
bool Hub::on_link(const PeerId& peer, F f, std::function<void()> missed) {
    std::lock_guard lock(mutex_);
    const auto it = up_.find(peer);
    if (it == up_.end()) return false;
    ++commands_;
    auto& connection = it->second.connection;
    asio::post(connection->executor(),
               [this, c = connection, f = std::move(f), m = std::move(missed)]() mutable {
                   --commands_;
                   if (!c->notes.ended)
                       f(*c);
                   else if (m)
                       m();
               });
    return true;
}

template <class F>
void Hub::on_all(F f) {
    std::lock_guard lock(mutex_);
    for (const auto& [key, connection] : all_)
        asio::post(connection->executor(), [f, c = connection] { f(*c); });
}

}  // namespace gossamer::transport
