// A TLS 1.3 connection from the end of its handshake on (RFC 8446 §5, §4.6, §6): records between a
// buffer of ciphertext and the places where plaintext lies or belongs, new keys, alerts, the close.
// OpenSSL makes the handshake and has left the two traffic secrets.
#pragma once

#include <array>
#include <optional>
#include <span>

#include "connection/security/flat_buffer.hpp"
#include "connection/security/record_key.hpp"
#include "connection/security/tls_engine.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::security {

// Of one connection; erased when it goes.
struct TrafficSecrets {
    std::uint16_t suite = 0;  // by its number
    std::array<std::byte, 48> dialler{}, listener{};
    std::size_t size = 0;  // of each

    void erase();
    ~TrafficSecrets() { erase(); }
};

struct TlsRecordsConfig {
    bool dialled = false;  // by this side
    std::uint64_t rekey_bytes = 0;
};

// `in` and `out` outlive it; others fill `in` and empty `out`.
class TlsRecords {
public:
    TlsRecords(const TlsRecordsConfig& config, const TrafficSecrets& secrets, FlatBuffer& in,
               FlatBuffer& out);

    // Decrypts as much as fits and is at hand, here or from `source` (may be null); 0: no more now,
    // or an error, or the other side closed.
    std::size_t read(std::span<std::byte> to, const CipherSource* source);
    // REQUIRES no error and not closed.
    void write(ByteView header, ByteView body);
    void close();

    bool closed() const { return closed_; }
    bool peer_closed() const { return peer_closed_; }
    const std::optional<Error>& error() const { return error_; }

private:
    bool next_record(const CipherSource* source);
    std::optional<std::size_t> record_size(ByteView in);
    std::size_t open_record(std::span<std::byte> to);
    void take_control(std::uint8_t type, ByteView content);
    void take_alert(ByteView content);
    void take_handshake(ByteView content);
    void seal(ContentType type, ByteView content);
    void seal_alert(int alert);
    void renew_sending_key();
    void give_up(int alert, const char* what);

    const TlsRecordsConfig config_;
    FlatBuffer &in_, &out_;
    RecordKey opening_, sealing_;
    std::size_t opened_ = 0, trailer_ = 0;  // plaintext at the front of in_; what comes behind it
    unsigned empty_count_ = 0;              // records without data since the last with some
    std::size_t renewal_debt_ = 0;          // bytes that its new keys should have come with
    bool renewal_asked_ = false;            // by the other side
    std::uint64_t sealed_since_renewal_ = 0;
    bool closed_ = false, peer_closed_ = false;
    std::optional<Error> error_;
};

}  // namespace gossamer::security
