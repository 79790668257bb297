#include <fmt/core.h>

#include "connection/wire/frame_types.hpp"

namespace gossamer::wire {

namespace {

std::size_t length_max(Lane lane) {
    switch (lane) {
        case Lane::control: return kControlBytesMax;
        case Lane::round: return kRoundBytesMax;
        case Lane::bulk: return kChunkBytesMax;
    }
    return 0;
}

}  // namespace

Result<FrameHeader> read_header(std::span<const std::byte, kHeaderBytes> bytes) {
    ByteReader in(bytes);
    FrameHeader h;
    h.length = in.get<std::uint32_t>();
    const auto lane = in.get<std::uint8_t>();
    h.type = in.get<std::uint8_t>();
    h.flags = in.get<std::uint8_t>();
    const auto reserved_1 = in.get<std::uint8_t>();
    h.run = in.get<std::uint16_t>();
    const auto reserved_2 = in.get<std::uint16_t>();
    h.stream = in.get<StreamId>();
    if (lane > static_cast<std::uint8_t>(Lane::bulk) || reserved_1 != 0 || reserved_2 != 0)
        return fail(ErrorCode::kFrameMalformed, fmt::format("frame header of lane {}", lane));
    h.lane = static_cast<Lane>(lane);
    if (h.length > length_max(h.lane))
        return fail(ErrorCode::kFrameTooLarge, fmt::format("frame of {} bytes on lane {}, limit {}",
                                                           h.length, lane, length_max(h.lane)));
    return h;
}

Result<BodyKind> kind_of(const FrameHeader& header) {
    if (!known(header.type)) {
        if (header.flags & kFlagOptional) return BodyKind::skip;
        return fail(ErrorCode::kFrameUnknown, fmt::format("frame type {}", header.type));
    }
    const auto type = static_cast<FrameType>(header.type);
    if (!lane_fits(type, header.lane))
        return fail(ErrorCode::kFrameMalformed,
                    fmt::format("frame type {} on the wrong lane", header.type));
    if (type == FrameType::hello && header.length > kHelloBytesMax)
        return fail(ErrorCode::kFrameTooLarge, fmt::format("hello of {} bytes", header.length));
    if (type != FrameType::chunk) return BodyKind::table;
    if (header.length == 0) return fail(ErrorCode::kFrameMalformed, "empty chunk");
    return BodyKind::chunk;
}

}  // namespace gossamer::wire
