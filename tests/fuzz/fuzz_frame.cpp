// Frame headers and the bodies behind them, as a stream of bytes.
#include <cstddef>
#include <cstdint>

#include "connection/wire/wire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace gossamer;
    ByteView in(reinterpret_cast<const std::byte*>(data), size);
    while (in.size() >= wire::kHeaderBytes) {
        auto header = wire::read_header(in.first<wire::kHeaderBytes>());
        if (!header) return 0;
        in = in.subspan(wire::kHeaderBytes);
        auto kind = wire::kind_of(*header);
        if (!kind || header->length > in.size()) return 0;
        if (*kind == wire::BodyKind::table) (void)wire::decode(*header, in.first(header->length));
        in = in.subspan(header->length);
    }
    return 0;
}
