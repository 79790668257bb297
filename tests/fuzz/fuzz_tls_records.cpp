// Any records after the handshake, sealed by whoever holds the key or not at all: data or an error,
// never more bytes than were sent, nothing read beyond a buffer, little said in answer.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "connection/security/tls_records.hpp"

using namespace gossamer;
using namespace gossamer::security;

namespace {

constexpr std::uint16_t kSuite = 0x1301;  // TLS_AES_128_GCM_SHA256

TrafficSecrets secrets() {
    TrafficSecrets s;
    s.suite = kSuite, s.size = 32;
    s.dialler.fill(std::byte{1}), s.listener.fill(std::byte{2});
    return s;
}

}  // namespace

// The input: steps of a byte that says what, two that say how much, and the bytes themselves.
// 0: as they are. 1: new keys here as well. Else sealed as a record of that type.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FlatBuffer in, out;
    const auto s = secrets();
    TlsRecords records({.dialled = false, .rekey_bytes = 1 << 20}, s, in, out);
    RecordKey sealing(RecordKey::Use::seal, kSuite, ByteView(s.dialler).first(s.size));
    std::size_t sent = 0, received = 0;
    while (size >= 3) {
        const auto what = data[0];
        auto count = std::min<std::size_t>(data[1] * 256u + data[2], 20'000);
        data += 3, size -= 3;
        std::vector<std::byte> content(count);  // short ones are filled up: records may be long
        for (std::size_t i = 0; i < count; ++i)
            content[i] = std::byte{i < size ? data[i] : data[-1]};
        data += std::min(count, size), size -= std::min(count, size);
        if (what == 0) {
            in.append(content);
        } else if (what == 1) {
            sealing.update();
        } else {
            std::vector<std::byte> record(count + kTlsRecordOverhead);
            sealing.seal(static_cast<ContentType>(what), content, record.data());
            in.append(record);
        }
        sent += count;
        std::vector<std::byte> room(1 + count % 700);  // its end is watched by the sanitizer
        while (const auto got = records.read(room, nullptr)) received += got;
        if (records.error() || records.peer_closed()) break;
    }
    const auto error = records.error().has_value();
    if (received > sent || out.size() > 64) std::abort();
    std::byte more;
    if (records.read({&more, 1}, nullptr) != 0 && error) std::abort();
    if (!error) records.write(as_bytes("still here"), {});
    return 0;
}
