// One link between two peers as a state machine: frames in, frames and events out. No socket, no
// cryptography, no clock: time is told. `session` runs it over bytes, the simulator over handles.
//
// The contract: call one function per thing that happened, then drain next_event() and, as far as
// there is room below, next_frame(); call on_deadline() when next_deadline() has come. After
// Closed nothing more happens but the last frame, which says why.
//
// Lanes have strict priority: control is handed out always, round and bulk only when the caller has
// room, bulk after round. Back-pressure is credit alone; the receiver never stops reading.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "connection/link/limits.hpp"
#include "connection/link/queue.hpp"
#include "connection/link/staging.hpp"
#include "connection/link/transfers.hpp"
#include "connection/wire/frame.hpp"
#include "gossamer/base/boxed.hpp"
#include "gossamer/base/prefetch.hpp"

namespace gossamer::link {

// What this node says about itself on every link.
struct LocalInfo {
    Role role = Role::peer;
    std::string federation;
    std::vector<std::uint8_t> codecs;  // it can decode
    std::uint64_t features = 0;
    std::string software;
};
// What the other side said, and what both agreed on.
struct RemoteInfo {
    Role role = Role::peer;
    std::vector<std::uint8_t> codecs;
    std::uint64_t features = 0;
    std::uint16_t minor = 0;
    std::string software;
};

// The listening side read a HELLO it could accept: its owner calls welcome() or reject().
struct Greeted {
    RemoteInfo remote;
};
struct Up {
    RemoteInfo remote;
};
struct Received {
    message::Message message;
};
struct Closed {              // the last event
    Error error;             // kLinkClosed for an orderly close
    bool permanent = false;  // dialling again cannot help
};
using Event = std::variant<Greeted, Up, Received, TransferNews, Closed>;

// The same for all links of a node, or of many simulated ones.
struct LinkSettings {
    LocalInfo local;
    LinkLimits limits;
    tensor::PoolRef pool;  // null: over handles, no bytes are made or checked
};
inline std::shared_ptr<const LinkSettings> shared(LinkSettings settings) {
    return std::make_shared<const LinkSettings>(std::move(settings));
}
struct LinkConfig {
    bool dialled = false;  // by this side
    std::shared_ptr<const LinkSettings> settings;
    Staging* staging = nullptr;  // outlives the link
};

class Link {
public:
    Link(LinkConfig config, Instant now);  // a dialler's HELLO is the first frame
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    void welcome();
    void reject(wire::RejectReason reason, std::string what);
    // Says goodbye with the error's code; all transfers are lost.
    void close(Instant now, Error error);
    // The connection below is gone: nothing more can be said.
    void on_broken(Error error);

    // Refused when the message breaks the bounds of the wire (the Join of a user's model may). Of a
    // heartbeat only the news is: who is not heard is held dead.
    Status send(Instant now, message::Message message, wire::Lane lane);
    void offer(Instant now, TransferId id, message::Manifest manifest, tensor::Payload payload);
    void withdraw(Instant now, TransferId id);
    void grant(Instant now, TransferId id);
    void refuse(Instant now, TransferId id, message::RefuseReason reason);
    // After room in the staging was given back by any link.
    void retry_grants(Instant now);
    bool waits_for_room() const { return transfers_ && transfers_->incoming.waits_for_room(); }

    void on_frame(Instant now, wire::Frame frame);
    // Chunks with bytes bypass on_frame: where do the next `length` bytes of this stream belong?
    // Empty: drop them. Then say how many have landed, in as many pieces as they came.
    Result<std::span<std::byte>> chunk_space(Instant now, wire::StreamId stream,
                                             std::uint32_t length);
    void chunk_landed(Instant now, wire::StreamId stream, std::uint32_t length);

    std::optional<wire::Frame> next_frame(Instant now, bool room);
    void fetch() const { prefetch(transfers_.get(), transfers_ ? sizeof *transfers_ : 0); }
    void note_sent(Instant now, std::uint64_t bytes) {
        if (transfers_) transfers_->sending.moved(now, bytes);
    }
    // Unsent bytes below up to which there is room: 20 ms of the measured rate, within bounds.
    std::size_t room_bytes() const;
    double sending_rate() const { return rates().sending; }  // 0: not known yet

    std::optional<Event> next_event();
    void on_deadline(Instant now);
    Instant next_deadline() const;

    bool is_up() const { return state_ == State::up; }
    bool is_closed() const { return state_ == State::closed; }
    bool dialled() const { return dialled_; }

private:
    enum class State : std::uint8_t {
        greeting,  // waiting for HELLO or WELCOME
        deciding,  // HELLO read, the owner decides
        up,
        closed,
    };
    void on_hello(const wire::Hello& hello);
    void on_welcome(const wire::Welcome& welcome);
    void on_reject(const wire::Reject& reject);
    void on_goodbye(const wire::Goodbye& goodbye);
    Status on_transfer_frame(Instant now, const wire::Body& body);
    bool admit(Instant now);
    void queue(wire::Body body);
    void take(TransferOutput output);
    void bound_queues();
    void finish(Error error, bool permanent);
    void hang_up(Error error);
    Duration stall_limit() const;
    const LinkLimits& limits() const { return settings_->limits; }
    Transfers& transfers();
    TransferRates rates() const { return transfers_ ? transfers_->rates() : past_.rates; }
    void rest();

    std::shared_ptr<const LinkSettings> settings_;
    Staging* staging_;
    const bool dialled_;
    bool bulk_moved_ = false;  // since the last heartbeat went out
    State state_ = State::greeting;
    Instant opened_;
    Boxed<RemoteInfo> remote_;  // while it is decided about
    Queue<wire::Frame> control_, round_;
    Queue<Event> events_;
    // While there are any: a link that idles, as most do, holds what outlives them and no more.
    std::unique_ptr<Transfers> transfers_;
    PastTransfers past_;
    Instant bucket_full_;  // when the other side may send a whole burst of frames again
};

}  // namespace gossamer::link
