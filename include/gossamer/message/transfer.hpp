// Bulk data between two peers: offered with a manifest, granted or refused by the receiving core,
// sent in chunks, checked, and then whole or not at all.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include "gossamer/base/error.hpp"
#include "gossamer/message/message.hpp"
#include "gossamer/tensor/handle.hpp"

namespace gossamer::message {

// Unique per sender; a transfer is named by (sender, id).
struct TransferId {
    std::uint64_t value = 0;
    auto operator<=>(const TransferId&) const = default;
};

enum class TransferKind : std::uint8_t {
    gossip_model = 0,  // a neighbour's contribution to a step
    catch_up = 1,      // a neighbour's latest model, for one that fell behind
    global_model = 2,  // aggregator to client
    update = 3,        // client to aggregator
};

// What the payload is relative to (design §5, Mixing).
enum class Base : std::uint8_t { none = 0, genesis = 1, edge = 2, announced = 3 };

inline constexpr std::size_t kPayloadBytesMax = 16 * 1024;  // of a user's algorithm, in a manifest

struct Manifest {
    RunId run;
    TransferKind kind = TransferKind::gossip_model;
    std::uint64_t round = 0;  // step or round it belongs to
    std::uint64_t epoch = 0;  // of the roster, in gossip
    std::uint64_t byte_count = 0;
    std::uint8_t codec = 0;
    Base base = Base::none;
    std::uint64_t base_version = 0;
    Digest128 layout;
    Digest256 identity;              // of announced models; else zero
    std::uint64_t sample_count = 0;  // the update's weight
    double loss = 0;                 // mean training loss behind it
    Bytes payload;                   // of a user's algorithm
    bool operator==(const Manifest&) const = default;
};

enum class RefuseReason : std::uint8_t {
    stale = 0,      // the step or round is over
    early = 1,      // not yet; offer again when the receiver's progress says so
    duplicate = 2,  // already counted
    layout = 3,
    base = 4,  // the receiver lacks the base
    busy = 5,  // no room
    run = 6,   // unknown run
    size = 7,  // the byte count does not fit codec and layout
    stopping = 8,
};
std::string_view to_string(RefuseReason reason);

// What a driver tells the core about a transfer.
struct TransferOffered {  // receiver: grant or refuse
    Manifest manifest;
};
struct TransferArrived {  // receiver: whole, checksum verified
    Manifest manifest;
    tensor::Payload payload;
};
struct TransferDelivered {};  // sender: it arrived whole
struct TransferRefused {      // sender
    RefuseReason reason{};
};
struct TransferLost {  // either side: the link went down, progress stopped, or it was withdrawn
    Error error;
    bool incoming = false;  // told to the receiver: the id is the other side's
};
using TransferEvent = std::variant<TransferOffered, TransferArrived, TransferDelivered,
                                   TransferRefused, TransferLost>;

}  // namespace gossamer::message
