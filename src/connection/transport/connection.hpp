// One socket and its session. Reads when the socket is readable, straight into the TLS engine's
// buffer; writes what the session seals until the socket is full. All of it but executor(),
// address() and dialled() is called on its executor only, a strand: never on two threads at a time.
#pragma once

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>
#include <optional>

#include "connection/session/session.hpp"

namespace gossamer::transport {

class Connection;

constexpr std::size_t kWaitingLeast = 128 * 1024;  // of our bytes in the kernel, not sent yet

// Who owns connections and hears, on their strands, what happens on them.
class ConnectionOwner {
public:
    virtual void on_session_event(Connection& connection, session::Event event) = 0;
    virtual void on_bytes_moved(Connection& connection) = 0;  // or none; once after each turn
    virtual void on_socket_closed(Connection& connection) = 0;

protected:
    ~ConnectionOwner() = default;
};

class Connection : public std::enable_shared_from_this<Connection> {
public:
    // REQUIRES a socket whose executor is a strand of its own.
    Connection(ConnectionOwner& owner, asio::ip::tcp::socket socket, std::string address,
               const security::TlsContext& context, const session::SessionConfig& config);

    void start();
    // After anything was done to session(): passes on events, sends, arms the timer.
    void process();
    void close(Error error);  // and processes
    void drop();              // at once, without a word
    // Between these no events are passed on: the owner has not done with the last one yet.
    void hold() { held_ = true; }
    void resume();

    asio::any_io_executor executor() { return executor_; }
    session::Session& session() { return session_; }
    const std::string& address() const { return address_; }
    bool dialled() const { return dialled_; }

    // Kept here for the owner.
    struct Notes {
        bool up = false, ended = false;  // LinkUp was reported; the end was reported
        Instant last_event;
        std::uint64_t received_bytes = 0, sent_bytes = 0;
        struct {
            std::uint64_t received_bytes = 0, sent_bytes = 0;
        } counted;
        std::uint64_t moved_at_tick = 0;
        std::optional<link::Up> up_waiting;  // while held: not reported, an older link must end
    } notes;

private:
    void wait_readable();
    void on_readable();
    bool pass_events();
    void flush();
    void wait_writable();
    void size_waiting();
    void arm_timer();
    void linger();
    void shut();

    ConnectionOwner& owner_;
    asio::ip::tcp::socket socket_;
    const asio::any_io_executor executor_;
    asio::steady_timer timer_;
    std::string address_;
    session::Session session_;
    const bool dialled_;
    bool reading_ = false, writing_ = false, again_ = false, lingering_ = false, shut_ = false,
         held_ = false;
    Instant armed_ = Instant::never(), last_words_by_ = Instant::never();
    std::size_t linger_bytes_ = 0, waiting_most_ = kWaitingLeast;
};

}  // namespace gossamer::transport
