// One table body under every frame type; what decodes must encode, decode again, and be the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "connection/wire/wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace gossamer;
    if (size < 2) return 0;
    wire::FrameHeader header;
    header.type = data[0];
    header.lane = static_cast<wire::Lane>(data[1] % 3);
    header.length = static_cast<std::uint32_t>(size - 2);
    header.stream = 1;
    auto frame = wire::decode(header, {reinterpret_cast<const std::byte*>(data + 2), size - 2});
    if (!frame) return 0;
    Bytes bytes;
    wire::encode(*frame, bytes);
    auto again = wire::read_header(ByteView(bytes).first<wire::kHeaderBytes>());
    if (!again) std::abort();
    auto second = wire::decode(*again, ByteView(bytes).subspan(wire::kHeaderBytes));
    if (!second) std::abort();
    Bytes same;
    wire::encode(*second, same);
    if (same != bytes) std::abort();
    return 0;
}
