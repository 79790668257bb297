// Looks at the records of a connection that has not proved who it is, before OpenSSL does: is this
// TLS at all, and is nothing larger than a handshake of ours can be? So an unknown sender costs
// bounded memory, whatever lengths it announces (RFC 8446 §5.1, §4).
#pragma once

#include <cstdint>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::security {

class RecordGuard {
public:
    static constexpr std::size_t kRecordBytesMax = 5 * 1024;  // header and all; ours stay < 4.5 KiB
    static constexpr std::size_t kTotalBytesMax = 64 * 1024;  // all until authenticated

    // The length of the whole record at the front of `input`, or 0 when it has not all arrived.
    // Call again after that many bytes were used up. Errors: kTlsNotTls, kTlsHandshake.
    Result<std::size_t> next_record(ByteView input);

private:
    std::size_t total_bytes_ = 0;
};

}  // namespace gossamer::security
