// One TLS connection without a socket: ciphertext in, plaintext out, and back, between two flat
// buffers here; the same bytes flow in tests and in the simulator. OpenSSL makes the handshake and
// is gone after it: records of data are ours (tls_records.hpp), and may come from a source too.
//
//   socket -> input_space / commit_input -> read -> plaintext
//   plaintext -> write -> output / consume_output -> socket
//
// The owner's loop: after commit_input call read until it gives 0; after every call look at
// output. An error from read or write is final, is given again at every later call, and may leave
// an alert in output that tells the other side why: send it, then close the socket.
//
// Authenticated when handshake_done: peer() has proved its key and passed verify_chain. On the
// dialling side that does not mean the listener accepted *us*: its refusal is the error of a later
// read, so wait for the first message (WELCOME) before counting the link as up.
//
// Between calls a listener holds at most 8 KiB until a whole ClientHello has come, then at most
// 56 KiB (45 of them OpenSSL's) until the client is known; idle and trimmed it is at most 24 KiB.
// Not thread-safe; engines on different threads are independent.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "connection/security/tls_context.hpp"

namespace gossamer::security {

enum class TlsSide : std::uint8_t { dialler, listener };

constexpr std::size_t kTlsRecordPlainMax = 16 * 1024;
constexpr std::size_t kTlsRecordOverhead = 22;  // header 5, content type 1, tag 16
constexpr std::size_t kTlsCoalesceMax = 4 * 1024;

constexpr std::size_t tls_record_count(std::size_t plain_bytes) {
    return (plain_bytes + kTlsRecordPlainMax - 1) / kTlsRecordPlainMax;
}
// What write(header, body) appends to output; the simulator counts with it.
constexpr std::size_t tls_wire_bytes(std::size_t header, std::size_t body) {
    const std::size_t records = header + body <= kTlsCoalesceMax
                                    ? tls_record_count(header + body)
                                    : tls_record_count(header) + tls_record_count(body);
    return header + body + records * kTlsRecordOverhead;
}

// Puts up to so many bytes there and says how many; 0: none now.
using CipherSource = std::function<std::size_t(std::span<std::byte>)>;

class TlsEngine {
public:
    // A dialler has its first flight in output at once. `policy.now` is the time that counts for
    // certificates; `policy.expected_peer` is whom a dialler means to reach.
    TlsEngine(const TlsContext& context, TlsSide side, VerifyPolicy policy);
    TlsEngine(TlsEngine&&) noexcept;
    TlsEngine& operator=(TlsEngine&&) noexcept;
    ~TlsEngine();

    // Where to put ciphertext: about `wanted` bytes, fewer before authentication. Never empty.
    std::span<std::byte> input_space(std::size_t wanted);
    void commit_input(std::size_t count);
    // The same without asking: from now on until nullptr, reads fetch ciphertext from `source`
    // themselves, after what was committed, into a buffer that this thread's connections share.
    // REQUIRES handshake_done.
    void read_from(const CipherSource* source);
    // The socket's end was reached and read gives 0. Errors: kTlsTruncated when the other side did
    // not say goodbye first; then nothing that is incomplete may be taken for whole.
    Status end_of_input();

    // Decrypts into `out` as much as fits; 0 = needs more input (or peer_closed). Drives the
    // handshake too, where `out` may be empty. Errors: the kTls... codes.
    Result<std::size_t> read(std::span<std::byte> out);
    // Seals header and body; up to 4 KiB together they share a record. REQUIRES handshake_done.
    // Errors: kLinkClosed after close, and those of read.
    Status write(ByteView header, ByteView body = {});

    ByteView output() const;
    void consume_output(std::size_t count);

    bool handshake_done() const;
    const AuthenticatedPeer& peer() const;  // REQUIRES handshake_done

    // Appends one close_notify; never waits for the other side's. Idempotent.
    void close();
    bool peer_closed() const;  // its close_notify arrived

    // Call when what is left of output has to wait: it gets memory of its own size.
    void settle();
    // Gives back what is empty. Call when a link falls idle; the next use allocates again.
    void trim();
    std::size_t buffer_bytes() const;  // held by the two buffers here, without OpenSSL's own

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace gossamer::security
