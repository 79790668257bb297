#include "connection/security/tls_engine.hpp"

#include <algorithm>

#include "connection/security/flat_buffer.hpp"
#include "connection/security/openssl_handles.hpp"
#include "connection/security/record_guard.hpp"
#include "connection/security/tls_error.hpp"
#include "connection/security/tls_records.hpp"
#include "connection/security/tls_state.hpp"

namespace gossamer::security {
namespace {

constexpr std::size_t kFirstInputBytes = 2 * 1024;  // a ClientHello and most other flights
constexpr std::size_t kInputBytesMin = 4 * 1024;

}  // namespace

struct TlsEngine::State {
    const std::shared_ptr<const TlsContext::Shared> context;
    const TlsSide side;
    HandshakeNotes notes;
    SSL* ssl = nullptr;  // until the handshake is done
    FlatBuffer in, out;
    RecordGuard guard;
    std::size_t released_bytes = 0;     // of `in`, checked and open to OpenSSL
    std::optional<TlsRecords> records;  // from then on
    const CipherSource* source = nullptr;
    std::optional<Error> error;
    bool closed = false, peer_closed = false;

    State(std::shared_ptr<const TlsContext::Shared> shared, TlsSide which, VerifyPolicy policy);
    State(const State&) = delete;
    ~State() { SSL_free(ssl); }

    bool done() const { return records.has_value(); }
    void start();
    Status handshake();
    void step_handshake();
    void note_end(int result);
    // Of the handshake or what came after it.
    const std::optional<Error>& failure() const {
        return records && !error ? records->error() : error;
    }
    Status status() const {
        if (const auto& why = failure()) return fail(*why);
        return {};
    }
};

namespace {

// The two callbacks OpenSSL does its input and output with.
struct FlatBio {
    template <class EngineState>
    static BIO_METHOD* method() {
        static BIO_METHOD* const shared = [] {
            BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "flat");
            BIO_meth_set_create(m, [](BIO* b) {
                BIO_set_init(b, 1);
                return 1;
            });
            BIO_meth_set_ctrl(m, [](BIO*, int command, long, void*) -> long {
                return command == BIO_CTRL_FLUSH ? 1 : 0;
            });
            BIO_meth_set_write_ex(m, [](BIO* b, const char* p, std::size_t n, std::size_t* done) {
                static_cast<EngineState*>(BIO_get_data(b))->out.append(as_bytes({p, n}));
                *done = n;
                return 1;
            });
            BIO_meth_set_read_ex(m, [](BIO* b, char* p, std::size_t n, std::size_t* done) {
                auto& s = *static_cast<EngineState*>(BIO_get_data(b));
                BIO_clear_retry_flags(b);
                *done = std::min(n, s.released_bytes);
                if (*done == 0) return BIO_set_retry_read(b), 0;
                std::memcpy(p, s.in.view().data(), *done);
                s.in.consume(*done);
                s.released_bytes -= *done;
                return 1;
            });
            return m;
        }();
        return shared;
    }
};

}  // namespace

TlsEngine::State::State(std::shared_ptr<const TlsContext::Shared> shared, TlsSide which,
                        VerifyPolicy policy)
    : context(std::move(shared)), side(which), notes{*context, std::move(policy), {}, {}, {}} {
    // A listener waits for a whole first record: a silent client costs it next to nothing.
    if (side == TlsSide::listener) return;
    start();
    step_handshake();
}

void TlsEngine::State::start() {
    ssl = SSL_new(context->ssl);
    GOSSAMER_ASSERT(ssl != nullptr, "OpenSSL gives a connection");
    SSL_set_app_data(ssl, &notes);
    BIO* bio = BIO_new(FlatBio::method<TlsEngine::State>());
    BIO_set_data(bio, this);
    SSL_set_bio(ssl, bio, bio);
    side == TlsSide::listener ? SSL_set_accept_state(ssl) : SSL_set_connect_state(ssl);
}

// Feeds OpenSSL record by record, each looked at before, until the other side is known.
Status TlsEngine::State::handshake() {
    while (!done() && !error) {
        if (released_bytes == 0) {
            const auto record = guard.next_record(in.view());
            if (!record) {
                error = record.error();
                break;
            }
            if (*record == 0) break;
            released_bytes = *record;
        }
        if (ssl == nullptr) start();
        step_handshake();
    }
    if (!done() && in.size() == 0) in.release_if_empty();
    return status();
}

// OpenSSL has read what is of the handshake and not a byte more, and goes when it is done: both
// sides' first records of data are ours.
void TlsEngine::State::step_handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl);
    if (result != 1) return note_end(result);
    GOSSAMER_ASSERT(notes.peer.has_value(), "no handshake ends without a verified chain");
    if (released_bytes != 0 || SSL_has_pending(ssl) != 0) {
        error = Error{ErrorCode::kTlsHandshake, "more in a record than the end of a handshake", {}};
        return;
    }
    notes.secrets.suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
    records.emplace(TlsRecordsConfig{side == TlsSide::dialler, context->options.rekey_bytes},
                    notes.secrets, in, out);
    notes.secrets.erase();
    SSL_free(std::exchange(ssl, nullptr));
}

void TlsEngine::State::note_end(int result) {
    const int kind = SSL_get_error(ssl, result);
    if (kind == SSL_ERROR_WANT_READ) return;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        peer_closed = true;
        error = Error{ErrorCode::kTlsTruncated, "the other side closed during the handshake", {}};
        return;
    }
    error = notes.error ? *notes.error : tls_error(ERR_get_error());
    ERR_clear_error();
}

TlsEngine::TlsEngine(const TlsContext& context, TlsSide side, VerifyPolicy policy)
    : state_(std::make_unique<State>(context.shared(), side, std::move(policy))) {}
TlsEngine::TlsEngine(TlsEngine&&) noexcept = default;
TlsEngine& TlsEngine::operator=(TlsEngine&&) noexcept = default;
TlsEngine::~TlsEngine() = default;

std::span<std::byte> TlsEngine::input_space(std::size_t wanted) {
    State& s = *state_;
    if (s.done()) return s.in.space(std::max(wanted, kInputBytesMin));
    // Room for a small record at first, for the largest allowed when that many bytes came.
    const std::size_t held = s.in.size();
    const std::size_t most =
        RecordGuard::kRecordBytesMax - std::min(held, RecordGuard::kRecordBytesMax - 1);
    const std::size_t offer = held < kFirstInputBytes ? kFirstInputBytes - held : most;
    return s.in.space(offer).first(offer);
}

void TlsEngine::commit_input(std::size_t count) {
    State& s = *state_;
    s.in.commit(count);
    if (s.failure()) s.in.consume(s.in.size());  // nobody will read it
}

void TlsEngine::read_from(const CipherSource* source) {
    State& s = *state_;
    GOSSAMER_ASSERT(s.done(), "strangers' bytes are looked at record by record");
    s.source = source;
    source != nullptr ? s.in.borrow_block() : s.in.return_block();
}

Status TlsEngine::end_of_input() {
    State& s = *state_;
    GOSSAMER_CHECK(s.status());
    if (peer_closed()) return {};
    s.error = Error{ErrorCode::kTlsTruncated,
                    s.done() ? "the connection ended without a close_notify"
                             : "the connection ended during the TLS handshake",
                    {}};
    return s.status();
}

Result<std::size_t> TlsEngine::read(std::span<std::byte> out) {
    State& s = *state_;
    if (!s.done()) GOSSAMER_CHECK(s.handshake());
    if (s.error) return fail(*s.error);
    if (!s.done()) return std::size_t{0};
    const auto count = s.records->read(out, s.source);
    // What was decrypted before an error is still good; the error comes with the next call.
    if (count == 0) GOSSAMER_CHECK(s.status());
    return count;
}

Status TlsEngine::write(ByteView header, ByteView body) {
    State& s = *state_;
    GOSSAMER_ASSERT(s.done() || s.error, "nothing is written before the handshake is done");
    GOSSAMER_CHECK(s.status());
    if (s.closed) return fail(ErrorCode::kLinkClosed, "this side of the connection is closed");
    s.records->write(header, body);
    return {};
}

ByteView TlsEngine::output() const { return state_->out.view(); }
void TlsEngine::consume_output(std::size_t count) {
    auto& out = state_->out;
    out.consume(count);
    if (out.size() == 0) out.return_block();
}

bool TlsEngine::handshake_done() const { return state_->done(); }

const AuthenticatedPeer& TlsEngine::peer() const {
    GOSSAMER_ASSERT(state_->done(), "the other side is known only after the handshake");
    return *state_->notes.peer;
}

void TlsEngine::close() {
    State& s = *state_;
    if (s.closed) return;
    s.closed = true;
    if (s.done() && !s.failure()) s.records->close();
}

bool TlsEngine::peer_closed() const {
    return state_->peer_closed || (state_->done() && state_->records->peer_closed());
}

void TlsEngine::settle() { state_->out.return_block(); }

void TlsEngine::trim() {
    State& s = *state_;
    s.in.release_if_empty();
    s.out.release_if_empty();
}

std::size_t TlsEngine::buffer_bytes() const {
    return state_->in.capacity() + state_->out.capacity();
}

}  // namespace gossamer::security
