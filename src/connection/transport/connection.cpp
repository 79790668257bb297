#include "connection/transport/connection.hpp"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <asio/post.hpp>

#include "connection/transport/clock.hpp"
#include "connection/transport/net_error.hpp"

namespace gossamer::transport {

namespace {

constexpr std::size_t kStrangerBytes = 64 * 1024;  // per call
constexpr std::size_t kPassBytes = 128 * 1024;     // then events are passed on, answers sent
constexpr std::size_t kTurnBytes = 1024 * 1024;    // then another connection gets its turn
constexpr Duration kWaitingTime = 20ms;            // a heartbeat may wait for it
constexpr std::size_t kWaitingMost = 1024 * 1024;
constexpr Duration kLastWords = 2s;               // for our last words to leave
constexpr Duration kLinger = 1s;                  // for the other side to read our last words
constexpr std::size_t kLingerBytesMax = 1 << 20;  // of it that are thrown away meanwhile

void set_option(int socket, int level, int name, int value) {
    (void)setsockopt(socket, level, name, &value, sizeof value);  // best effort: only tuning
}

}  // namespace

Connection::Connection(ConnectionOwner& owner, asio::ip::tcp::socket socket, std::string address,
                       const security::TlsContext& context, const session::SessionConfig& config)
    : owner_(owner),
      socket_(std::move(socket)),
      executor_(socket_.get_executor()),
      timer_(executor_),
      address_(std::move(address)),
      session_(context, config, now()),
      dialled_(config.side == security::TlsSide::dialler) {}

void Connection::start() {
    std::error_code ignored;
    socket_.non_blocking(true, ignored);
    const int s = socket_.native_handle();
    set_option(s, IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(s, IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(waiting_most_));
    set_option(s, IPPROTO_TCP, TCP_USER_TIMEOUT, 60'000);
    set_option(s, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(s, IPPROTO_TCP, TCP_KEEPIDLE, 30);
    set_option(s, IPPROTO_TCP, TCP_KEEPINTVL, 10);
    set_option(s, IPPROTO_TCP, TCP_KEEPCNT, 3);
    process();
    wait_readable();
}

void Connection::wait_readable() {
    if (shut_ || reading_) return;
    reading_ = true;
    socket_.async_wait(asio::ip::tcp::socket::wait_read,
                       [self = shared_from_this()](std::error_code error) {
                           self->reading_ = false;
                           if (!error && !self->shut_) self->on_readable();
                       });
}

void Connection::on_readable() {
    if (lingering_) return linger();
    std::size_t turn = 0;
    std::error_code error;
    bool dry = false;  // nothing more in the socket, for now or for good
    const auto read = [&](std::span<std::byte> space) -> std::size_t {
        const auto count = socket_.read_some(asio::buffer(space.data(), space.size()), error);
        notes.received_bytes += count;
        turn += count;
        dry = error || count < space.size();
        return count;
    };
    while (!dry && turn < kTurnBytes && !session_.finished()) {
        if (session_.identified()) {
            const auto before = turn, most = turn + kPassBytes;
            session_.take_input(now(), [&](std::span<std::byte> space) {
                return dry || turn >= most ? 0 : read(space);
            });
            if (turn == before && !dry) {  // the link is closed; our last words wait to leave
                std::array<std::byte, 16 * 1024> nowhere;
                read(nowhere);
            }
        } else {
            const auto count = read(session_.input_space(kStrangerBytes));
            if (count > 0) session_.commit_input(now(), count);
        }
        process();
        if (shut_ || lingering_) return;
    }
    if (error == asio::error::eof)
        session_.end_of_input(now());
    else if (error && error != asio::error::would_block && error != asio::error::try_again)
        session_.on_broken(net_error(error, address_));
    process();
    if (!session_.finished()) wait_readable();  // else nobody reads until it lingers
}

void Connection::process() {
    pass_events();
    do {
        if (!lingering_) flush();
    } while (pass_events());
    if (shut_) return;
    owner_.on_bytes_moved(*this);
    if (lingering_) return;  // the timer is its own
    if (session_.finished() && session_.output().empty()) return linger();
    arm_timer();
}

bool Connection::pass_events() {
    bool any = false;
    while (!shut_ && !held_) {
        auto event = session_.next_event();
        if (!event) break;
        any = true;
        owner_.on_session_event(*this, std::move(*event));
    }
    return any && !shut_ && !held_;
}

void Connection::flush() {
    if (writing_ || shut_) return;
    std::size_t turn = 0;
    while (true) {
        // More is sealed only when the socket took all: many links that wait hold little.
        if (session_.output().empty()) session_.fill(now());
        const auto out = session_.output();
        if (out.empty()) return;
        if (turn >= kTurnBytes) break;
        std::error_code error;
        const auto count = socket_.write_some(asio::buffer(out.data(), out.size()), error);
        if (error == asio::error::would_block || error == asio::error::try_again)
            return wait_writable();
        if (error) {
            session_.on_broken(net_error(error, address_));
            session_.consume_output(now(), session_.output().size());  // nobody will hear it
            return;
        }
        notes.sent_bytes += count;
        turn += count;
        session_.consume_output(now(), count);
    }
    if (again_) return;
    again_ = true;
    asio::post(executor_, [self = shared_from_this()] {
        self->again_ = false;
        self->process();
    });
}

// What waits in the kernel to be sent: little, so that a heartbeat is never far behind a model, but
// enough that the wire does not run dry until this thread's next turn.
void Connection::size_waiting() {
    const double wanted = session_.link().sending_rate() * seconds(kWaitingTime);
    auto most = kWaitingLeast;
    while (2 * static_cast<double>(most) <= wanted && most < kWaitingMost) most *= 2;
    if (most == waiting_most_) return;
    waiting_most_ = most;
    set_option(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(most));
}

void Connection::wait_writable() {
    if (session_.identified()) size_waiting();
    session_.settle();
    writing_ = true;
    socket_.async_wait(asio::ip::tcp::socket::wait_write,
                       [self = shared_from_this()](std::error_code error) {
                           self->writing_ = false;
                           if (!error && !self->shut_) self->process();
                       });
}

void Connection::arm_timer() {
    auto deadline = session_.next_deadline();
    if (session_.closing()) {  // the last words do not go out: do not wait for long
        if (last_words_by_.is_never()) last_words_by_ = now() + kLastWords;
        deadline = last_words_by_;
    }
    if (deadline == armed_) return;
    armed_ = deadline;
    if (deadline.is_never()) {
        timer_.cancel();
        return;
    }
    timer_.expires_after(std::max(Duration::zero(), deadline - now()));
    timer_.async_wait([self = shared_from_this()](std::error_code error) {
        if (error || self->shut_ || self->lingering_) return;
        self->armed_ = Instant::never();
        if (self->last_words_by_ <= now()) return self->shut();
        self->session_.on_deadline(now());
        self->process();
    });
}

// A socket closed while bytes wait unread resets the connection, and the other side would never
// read why. So: no more from us, then whatever comes is thrown away for a short while.
void Connection::linger() {
    std::error_code error;
    if (!lingering_) {
        lingering_ = true;
        socket_.shutdown(asio::ip::tcp::socket::shutdown_send, error);
        timer_.expires_after(kLinger);
        timer_.async_wait([self = shared_from_this()](std::error_code cancelled) {
            if (!cancelled) self->shut();
        });
    }
    std::array<std::byte, 16 * 1024> nowhere;
    while (!error && linger_bytes_ < kLingerBytesMax)
        linger_bytes_ += socket_.read_some(asio::buffer(nowhere), error);
    if (error != asio::error::would_block && error != asio::error::try_again) return shut();
    wait_readable();
}

void Connection::close(Error error) {
    session_.close(now(), std::move(error));
    process();
}

void Connection::drop() { shut(); }

void Connection::resume() {
    held_ = false;
    if (shut_) return;
    if (auto up = std::exchange(notes.up_waiting, std::nullopt))
        owner_.on_session_event(*this, std::move(*up));
    process();
}

void Connection::shut() {
    if (shut_) return;
    shut_ = true;
    auto self = shared_from_this();
    std::error_code ignored;
    timer_.cancel();
    socket_.close(ignored);
    owner_.on_socket_closed(*this);
}

}  // namespace gossamer::transport
