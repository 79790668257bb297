// One connection with everything but the socket: TLS engine, wire and link. Ciphertext in and out,
// events out. `transport` gives it a socket; tests and the simulator join two of them in memory.
//
// The owner's loop: after bytes came, commit_input; after anything at all, drain next_event(), then
// fill() and send output(); when finished() the socket is to be closed. Chunks of transfers are
// decrypted straight into the staging buffer they belong to.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <variant>

#include "connection/link/link.hpp"
#include "connection/security/tls_engine.hpp"
#include "connection/wire/wire.hpp"

namespace gossamer::session {

// The other side proved who it is. On the dialling side it may still refuse us: wait for Up.
struct Identified {
    security::AuthenticatedPeer peer;
};
using Event = std::variant<Identified, link::Greeted, link::Up, link::Received, link::TransferNews,
                           link::Closed>;

struct SessionConfig {
    security::TlsSide side{};
    security::VerifyPolicy policy;
    link::LinkConfig link;
    Duration handshake_deadline = 10s;  // absolute, from construction
};

class Session {
public:
    Session(const security::TlsContext& context, SessionConfig config, Instant now);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    std::span<std::byte> input_space(std::size_t wanted) { return engine_.input_space(wanted); }
    void commit_input(Instant now, std::size_t count);
    // The same for all that `source` gives until it gives nothing. REQUIRES identified().
    void take_input(Instant now, const security::CipherSource& source);
    void end_of_input(Instant now);  // the socket's end was reached
    void on_broken(Error error);     // the socket failed

    // Seals what the link has to say, as far as there is room in output().
    void fill(Instant now);
    ByteView output() const { return engine_.output(); }
    void consume_output(Instant now, std::size_t count);

    std::optional<Event> next_event();
    void on_deadline(Instant now);
    Instant next_deadline() const;

    // REQUIRES identified(). Call fill() afterwards.
    link::Link& link() { return *link_; }
    bool identified() const { return link_ != nullptr; }
    bool is_up() const { return link_ && link_->is_up(); }
    const security::AuthenticatedPeer& peer() const { return engine_.peer(); }
    // Ends it in any state; what can still be said (alert, goodbye, close_notify) is in output().
    void close(Instant now, Error error);
    // Nothing more will be said or heard: send what is left of output() and close the socket.
    bool finished() const { return ended_; }
    // Only last words are left, if any.
    bool closing() const { return ended_ || (link_ && link_->is_closed()); }
    void settle() { engine_.settle(); }  // output() has to wait
    void trim() { engine_.trim(); }

private:
    void pump(Instant now);
    bool read_header(Instant now);
    bool read_table(Instant now);
    bool read_chunk(Instant now);
    bool skip_body(Instant now);
    // Bytes decrypted into `out`; nothing when there are none now or the connection failed.
    std::optional<std::size_t> read(Instant now, std::span<std::byte> out);
    void fail(Instant now, Error error);
    void end(Error error, bool permanent);
    std::optional<Event> check_role(Event event);

    enum class Stage : std::uint8_t { header, table, chunk, skip };

    SessionConfig config_;
    Instant opened_;
    security::TlsEngine engine_;
    std::unique_ptr<link::Link> link_;  // once identified
    std::deque<Event> events_;
    bool ended_ = false, broken_ = false;

    Stage stage_ = Stage::header;
    std::array<std::byte, wire::kHeaderBytes> header_bytes_;
    wire::FrameHeader header_;
    std::size_t got_ = 0;  // bytes of the present frame's stage
    Bytes body_;           // of a table
    Bytes scratch_;        // encoded frame
};

// Whether an error while a link is made says that dialling again cannot help.
bool is_permanent(ErrorCode code);

}  // namespace gossamer::session
