#include "connection/wire/frame.hpp"

#include "connection/wire/frame_types.hpp"

namespace gossamer::wire {

std::string_view to_string(RejectReason reason) {
    switch (reason) {
        case RejectReason::version: return "no protocol version in common";
        case RejectReason::federation: return "another federation";
        case RejectReason::role: return "the role does not allow this link";
        case RejectReason::banned: return "banned";
        case RejectReason::duplicate: return "another link between the two stays";
        case RejectReason::busy: return "no free place";
        case RejectReason::stopping: return "stopping";
    }
    return "unknown reason";
}

bool retry_can_help(RejectReason reason) {
    return reason == RejectReason::duplicate || reason == RejectReason::busy ||
           reason == RejectReason::stopping;
}

FrameType type_of(const Body& body) {
    static constexpr FrameType types[] = {
        FrameType::hello,          FrameType::welcome,      FrameType::reject,
        FrameType::goodbye,        FrameType::offer,        FrameType::grant,
        FrameType::refuse,         FrameType::withdraw,     FrameType::credit,
        FrameType::chunk,          FrameType::transfer_end, FrameType::delivered,
        FrameType::transfer_failed};
    if (const auto* m = std::get_if<message::Message>(&body))
        return static_cast<FrameType>(static_cast<std::size_t>(FrameType::heartbeat) + m->index());
    return types[body.index()];
}

bool known(std::uint8_t type) {
    return (type >= 1 && type <= 4) || (type >= 8 && type <= 16) || (type >= 32 && type <= 44);
}

Lane lane_of(const Body& body) {
    if (const auto* m = std::get_if<message::Message>(&body)) return message::lane_of(*m);
    switch (type_of(body)) {
        case FrameType::offer:
        case FrameType::withdraw: return Lane::round;
        case FrameType::chunk:
        case FrameType::transfer_end: return Lane::bulk;
        default: return Lane::control;
    }
}

bool lane_fits(FrameType type, Lane lane) {
    if (type >= FrameType::heartbeat) return lane != Lane::bulk;  // a core may choose
    switch (type) {
        case FrameType::offer:
        case FrameType::withdraw: return lane == Lane::round;
        case FrameType::chunk:
        case FrameType::transfer_end: return lane == Lane::bulk;
        default: return lane == Lane::control;
    }
}

std::string_view name_of(const Body& body) {
    static constexpr std::string_view names[] = {
        "hello",    "welcome", "reject", "goodbye",      "offer",     "grant",          "refuse",
        "withdraw", "credit",  "chunk",  "transfer_end", "delivered", "transfer_failed"};
    if (const auto* m = std::get_if<message::Message>(&body)) return message::name_of(*m);
    return names[body.index()];
}

}  // namespace gossamer::wire
