// Frames to bytes and back. Formats: docs/protocol.md.
//
// Nothing here trusts its input: lengths are checked against the bound of the lane before anything
// is allocated, tables are verified before they are read, and every list and text has a bound.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "connection/wire/frame.hpp"
#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::wire {

inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::size_t kControlBytesMax = 64 * 1024;  // body of a frame on the control lane
inline constexpr std::size_t kRoundBytesMax = 512 * 1024;   // a Join with many tensors must fit
inline constexpr std::size_t kChunkBytesMax = 64 * 1024;
inline constexpr std::size_t kHelloBytesMax = 4 * 1024;  // before the other side is welcome

inline constexpr std::size_t kTextMax = 1024;  // reasons; a refused Join may say more
inline constexpr std::size_t kJoinTextMax = 8 * 1024;
inline constexpr std::size_t kNameMax = 128;           // of runs, tensors, federations
inline constexpr std::size_t kMemberRecordsMax = 128;  // of one heartbeat
inline constexpr std::size_t kTensorsMax = 4096, kRankMax = 8, kCodecsMax = 32;
inline constexpr std::uint64_t kParametersMax = 1ull << 40;

// A frame header as it lies on the wire.
struct FrameHeader {
    std::uint32_t length = 0;  // of the body
    Lane lane = Lane::control;
    std::uint8_t type = 0;
    std::uint8_t flags = 0;
    std::uint16_t run = 0;
    StreamId stream = 0;
    bool operator==(const FrameHeader&) const = default;
};
inline constexpr std::uint8_t kFlagOptional = 1;  // who does not know the type skips the frame
inline constexpr std::uint8_t kChunkType = 16;

// What to do with the body that follows a header.
enum class BodyKind : std::uint8_t { table, chunk, skip };
// Errors: kFrameTooLarge (before anything is allocated), kFrameMalformed, kFrameUnknown.
Result<FrameHeader> read_header(std::span<const std::byte, kHeaderBytes> bytes);
Result<BodyKind> kind_of(const FrameHeader& header);

// The table frame whose header and whole body these are. Errors: kFrameMalformed, kFrameUnknown.
Result<Frame> decode(const FrameHeader& header, ByteView body);

// Appends header and body. REQUIRES check(frame) passed. For a chunk only the header is appended:
// its bytes are source.bytes().subspan(offset, length) and go out as they are.
void encode(const Frame& frame, Bytes& out);
std::size_t encoded_bytes(const Frame& frame);  // of header and body, chunks with their bytes

// The same for many frames, keeping its working memory.
class Scale {
public:
    Scale();
    ~Scale();
    Scale(const Scale&) = delete;
    Scale& operator=(const Scale&) = delete;
    std::size_t weigh(const Frame& frame);  // as encoded_bytes

private:
    struct State;
    std::unique_ptr<State> state_;
};

// Whether a message or manifest keeps the bounds above; texts for people are cut, not refused.
// Errors: kFrameTooLarge. Ours to ask before sending: a user's model or algorithm may break them.
Status check(const message::Message& message);
Status check(const message::Manifest& manifest);

}  // namespace gossamer::wire
