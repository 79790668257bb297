#include "connection/security/record_guard.hpp"

#include <algorithm>

#include <fmt/core.h>

namespace gossamer::security {
namespace {

constexpr std::size_t kHeaderBytes = 5;
enum ContentType : unsigned { kChangeCipherSpec = 20, kAlert = 21, kHandshake = 22, kData = 23 };

unsigned at(ByteView bytes, std::size_t i) { return std::to_integer<unsigned>(bytes[i]); }

Result<std::size_t> not_tls(ByteView input) {
    const auto shown = to_hex(input.first(std::min<std::size_t>(input.size(), kHeaderBytes)));
    return fail(ErrorCode::kTlsNotTls, fmt::format("the other side sent {}…, not TLS", shown));
}

// A plain handshake record of ours holds whole messages. OpenSSL would reserve what a message's
// header announces, up to 128 KiB for a ClientHello, and wait for the rest.
Status check_messages(ByteView payload) {
    while (!payload.empty()) {
        std::size_t message = 4;
        if (payload.size() >= message)
            message += (at(payload, 1) << 16) + (at(payload, 2) << 8) + at(payload, 3);
        if (message > payload.size())
            return fail(ErrorCode::kTlsHandshake, "a handshake message larger than its record");
        payload = payload.subspan(message);
    }
    return {};
}

}  // namespace

Result<std::size_t> RecordGuard::next_record(ByteView input) {
    if (input.empty()) return std::size_t{0};
    // Said at the first byte that cannot be TLS, so that a client waiting for a greeting is not
    // left waiting for a deadline.
    const unsigned type = at(input, 0);
    const bool first = total_bytes_ == 0;
    if (type < kChangeCipherSpec || type > kData) return not_tls(input);
    if (first && type != kHandshake && type != kAlert) return not_tls(input);
    if (input.size() > 1 && at(input, 1) != 3) return not_tls(input);
    if (input.size() > 2 && at(input, 2) > 4) return not_tls(input);
    if (input.size() < kHeaderBytes) return std::size_t{0};
    const std::size_t size = kHeaderBytes + (at(input, 3) << 8) + at(input, 4);
    if (size > kRecordBytesMax)
        return fail(ErrorCode::kTlsHandshake,
                    fmt::format("a handshake record of {} bytes, at most {} are allowed", size,
                                kRecordBytesMax));
    if (input.size() < size) return std::size_t{0};
    total_bytes_ += size;
    if (total_bytes_ > kTotalBytesMax)
        return fail(ErrorCode::kTlsHandshake,
                    fmt::format("no end of the handshake after {} bytes", kTotalBytesMax));
    if (type == kHandshake)
        GOSSAMER_CHECK(check_messages(input.subspan(kHeaderBytes, size - kHeaderBytes)));
    return size;
}

}  // namespace gossamer::security
