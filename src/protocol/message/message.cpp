#include "gossamer/message/message.hpp"

#include <xxhash.h>

#include "gossamer/message/notice.hpp"
#include "gossamer/message/transfer.hpp"

namespace gossamer::message {

namespace {

// Of a table and what points to it; of a text, its length, end and padding, and what points to it.
// The table of a record is the largest when no field is left out.
constexpr std::size_t kRecordBytes = 96, kTextBytes = 12;

}  // namespace

RunId run_id(std::string_view run_name) { return {XXH3_64bits(run_name.data(), run_name.size())}; }

std::string_view to_string(MemberState state) {
    switch (state) {
        case MemberState::alive: return "alive";
        case MemberState::suspect: return "suspect";
        case MemberState::dead: return "dead";
        case MemberState::left: return "left";
    }
    return "unknown";
}

std::size_t wire_bytes_most(const MemberRecord& record) {
    std::size_t bytes = kRecordBytes;
    for (const auto address : record.addresses) bytes += kTextBytes + address.size();
    return bytes;
}

std::string_view to_string(RefuseReason reason) {
    switch (reason) {
        case RefuseReason::stale: return "its step or round is over";
        case RefuseReason::early: return "its step has not begun here";
        case RefuseReason::duplicate: return "already counted";
        case RefuseReason::layout: return "another model layout";
        case RefuseReason::base: return "the base is not known here";
        case RefuseReason::busy: return "no room to stage it";
        case RefuseReason::run: return "unknown run";
        case RefuseReason::size: return "the size does not fit codec and layout";
        case RefuseReason::stopping: return "the peer is stopping";
    }
    return "unknown";
}

Lane lane_of(const Message& message) {
    bool membership =
        std::holds_alternative<Heartbeat>(message) || std::holds_alternative<Leave>(message);
    return membership ? Lane::control : Lane::round;
}

std::string_view name_of(const Message& message) {
    static constexpr std::string_view names[] = {"heartbeat",
                                                 "leave",
                                                 "join",
                                                 "join_reply",
                                                 "progress",
                                                 "model_request",
                                                 "round_start",
                                                 "update_received",
                                                 "commit",
                                                 "round_closed",
                                                 "evaluation_report",
                                                 "run_finished"};
    static_assert(std::size(names) == std::variant_size_v<Message>);
    return names[message.index()];
}

std::string_view name_of(const Notice& notice) {
    static constexpr std::string_view names[] = {"run_started",
                                                 "run_ended",
                                                 "waiting",
                                                 "member_changed",
                                                 "link_changed",
                                                 "trained",
                                                 "evaluated",
                                                 "mixed",
                                                 "round_finished",
                                                 "update_refused",
                                                 "checkpoint_written",
                                                 "caught_up",
                                                 "resumed",
                                                 "warning"};
    static_assert(std::size(names) == std::variant_size_v<Notice>);
    return names[notice.index()];
}

}  // namespace gossamer::message
