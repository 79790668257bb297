// The type numbers of the frame header, never reused. Link frames are 1..31, messages 32 and above;
// a message's number is 32 + its place in message::Message, fixed by the assertions below.
#pragma once

#include <cstdint>
#include <variant>

#include "connection/wire/wire.hpp"

namespace gossamer::wire {

enum class FrameType : std::uint8_t {
    hello = 1,
    welcome = 2,
    reject = 3,
    goodbye = 4,
    offer = 8,
    grant = 9,
    refuse = 10,
    withdraw = 11,
    credit = 12,
    transfer_end = 13,
    delivered = 14,
    transfer_failed = 15,
    chunk = kChunkType,
    heartbeat = 32,
    leave = 33,
    join = 34,
    join_reply = 35,
    progress = 36,
    model_request = 37,
    round_start = 38,
    update_received = 39,
    commit = 40,
    round_closed = 41,
    evaluation_report = 42,
    run_finished = 43,  // 44 is taken: by a message that no program ever sent
};
static_assert(std::variant_size_v<message::Message> == 12, "give the new message a type number");

FrameType type_of(const Body& body);
bool known(std::uint8_t type);
bool lane_fits(FrameType type, Lane lane);

}  // namespace gossamer::wire
