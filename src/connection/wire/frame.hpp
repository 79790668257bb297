// What travels on a link, as values: the frames of the link itself and the messages of the cores.
// `link` speaks in these; `session` and the simulator's --wire mode turn them into bytes.
//
// A *stream* is one transfer in one direction of one link: a number counted up from 1 by the side
// that offers. docs/protocol.md tells who sends which frame when.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossamer/message/message.hpp"
#include "gossamer/message/transfer.hpp"
#include "gossamer/tensor/handle.hpp"

namespace gossamer::wire {

using message::Lane;
using StreamId = std::uint32_t;

inline constexpr std::uint16_t kProtocolMajor = 1;
inline constexpr std::uint16_t kProtocolMinor = 0;

// ---- opening and closing a link -----------------------------------------------------------------

struct Hello {  // first frame of the side that dialled
    std::uint16_t major = kProtocolMajor, minor = kProtocolMinor;
    std::uint64_t features = 0;
    Role role = Role::peer;
    std::vector<std::uint8_t> codecs;  // it can decode
    std::string federation;
    std::string software;  // name and version, for logs
    bool operator==(const Hello&) const = default;
};
struct Welcome {  // its answer; minor and features are what both sides will use
    std::uint16_t minor = kProtocolMinor;
    std::uint64_t features = 0;
    Role role = Role::peer;
    std::vector<std::uint8_t> codecs;
    std::string software;
    bool operator==(const Welcome&) const = default;
};
enum class RejectReason : std::uint8_t {
    version = 0,     // no version in common: dialling again cannot help
    federation = 1,  // cannot help
    role = 2,        // cannot help
    banned = 3,      // cannot help
    duplicate = 4,   // another link to the same peer stays
    busy = 5,        // no free place: later
    stopping = 6,    // later
};
std::string_view to_string(RejectReason reason);
bool retry_can_help(RejectReason reason);

struct Reject {
    RejectReason reason{};
    std::string what;
    bool operator==(const Reject&) const = default;
};
struct Goodbye {  // last frame of a link; kLinkClosed when nothing is wrong
    ErrorCode code{};
    std::string what;
    bool operator==(const Goodbye&) const = default;
};

// ---- transfers ----------------------------------------------------------------------------------

struct Offer {
    StreamId stream = 0;
    message::TransferId id;
    message::Manifest manifest;
    bool operator==(const Offer&) const = default;
};
struct Grant {  // the whole size is reserved; bytes up to `credit` may be sent
    StreamId stream = 0;
    std::uint64_t credit = 0;
    bool operator==(const Grant&) const = default;
};
struct Refuse {
    StreamId stream = 0;
    message::RefuseReason reason{};
    bool operator==(const Refuse&) const = default;
};
struct Withdraw {  // by the sender, at any time
    StreamId stream = 0;
    bool operator==(const Withdraw&) const = default;
};
struct Credit {  // bytes of the stream up to `limit`, counted from its start, may be sent
    StreamId stream = 0;
    std::uint64_t limit = 0;
    bool operator==(const Credit&) const = default;
};
// Bytes [offset, offset + length) of the payload. On the wire only stream and length travel: chunks
// of a stream come in order. `source` is set on the sender's side; its bytes are not copied.
struct Chunk {
    StreamId stream = 0;
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    tensor::Payload source;
};
struct TransferEnd {
    StreamId stream = 0;
    Digest128 checksum;      // XXH3-128 of the payload; over handles zero: nothing to check
    tensor::Payload handle;  // only when links run over handles; never on the wire
};
struct Delivered {
    StreamId stream = 0;
    bool operator==(const Delivered&) const = default;
};
struct TransferFailed {  // by the receiver: wrong checksum, stalled
    StreamId stream = 0;
    ErrorCode code{};
    std::string what;
    bool operator==(const TransferFailed&) const = default;
};

using Body = std::variant<Hello, Welcome, Reject, Goodbye, Offer, Grant, Refuse, Withdraw, Credit,
                          Chunk, TransferEnd, Delivered, TransferFailed, message::Message>;

struct Frame {
    Lane lane = Lane::control;
    Body body;
};
// The lane link frames travel on. Offers and withdrawals keep their order with the messages of the
// cores; the end of a transfer follows its chunks.
Lane lane_of(const Body& body);
std::string_view name_of(const Body& body);  // "offer", "heartbeat"

}  // namespace gossamer::wire
