#include "connection/security/tls_engine.hpp"

#include <algorithm>
#include <array>

#include "connection/security/flat_buffer.hpp"
#include "connection/security/openssl_handles.hpp"
#include "connection/security/record_guard.hpp"
#include "connection/security/tls_error.hpp"
#include "connection/security/tls_state.hpp"

namespace gossamer::security {
namespace {

constexpr std::size_t kFirstInputBytes = 2 * 1024;  // a ClientHello and most other flights
constexpr std::size_t kInputBytesMin = 4 * 1024;
constexpr std::size_t kReadAheadBytes = 64 * 1024;  // of each link under way; more leaves the cache

}  // namespace

struct TlsEngine::State {
    std::shared_ptr<const TlsContext::Shared> context;
    HandshakeNotes notes;
    SSL* ssl = nullptr;
    FlatBuffer in, out;
    const CipherSource* source = nullptr;  // of input after `in`
    RecordGuard guard;
    std::size_t released_bytes = 0;  // of `in`, checked and open to OpenSSL
    std::optional<Error> error;
    bool done = false, closed = false, peer_closed = false;
    std::uint64_t sent_since_rekey = 0;

    State(std::shared_ptr<const TlsContext::Shared> shared, TlsSide side, VerifyPolicy policy);
    State(const State&) = delete;
    ~State() { SSL_free(ssl); }

    std::size_t readable_bytes() const { return done ? in.size() : released_bytes; }
    // Moves up to `most` bytes of input to `to`.
    std::size_t take_input(char* to, std::size_t most);
    void start(TlsSide side);
    Status handshake();
    void step_handshake();
    void note_end(int result);
    Status status() const {
        if (error) return fail(*error);
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
                *done = s.take_input(p, n);
                if (*done == 0) BIO_set_retry_read(b);
                return *done != 0 ? 1 : 0;
            });
            return m;
        }();
        return shared;
    }
};

}  // namespace

std::size_t TlsEngine::State::take_input(char* to, std::size_t most) {
    const auto from_own = std::min({most, in.size(), readable_bytes()});
    if (from_own > 0) std::memcpy(to, in.view().data(), from_own);
    in.consume(from_own);
    if (!done) released_bytes -= from_own;
    if (from_own > 0 || !done || source == nullptr) return from_own;
    return (*source)(std::as_writable_bytes(std::span(to, most)));
}

TlsEngine::State::State(std::shared_ptr<const TlsContext::Shared> shared, TlsSide side,
                        VerifyPolicy policy)
    : context(std::move(shared)), notes{*context, std::move(policy), {}, {}} {
    // A listener waits for a whole first record: a silent client costs it next to nothing.
    if (side == TlsSide::listener) return;
    start(side);
    step_handshake();
}

void TlsEngine::State::start(TlsSide side) {
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
    while (!done && !error) {
        if (released_bytes == 0) {
            const auto record = guard.next_record(in.view());
            if (!record) {
                error = record.error();
                break;
            }
            if (*record == 0) break;
            released_bytes = *record;
        }
        if (ssl == nullptr) start(TlsSide::listener);
        step_handshake();
    }
    if (!done && in.size() == 0) in.release_if_empty();
    return status();
}

void TlsEngine::State::step_handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl);
    if (result != 1) return note_end(result);
    GOSSAMER_ASSERT(notes.peer.has_value(), "no handshake ends without a verified chain");
    done = true;
    // Small while unknown; from here buffers stay between records, until trim, and many records
    // come with one call.
    SSL_clear_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    SSL_set_read_ahead(ssl, 1);
    SSL_set_default_read_buffer_len(ssl, kReadAheadBytes);
}

void TlsEngine::State::note_end(int result) {
    const int kind = SSL_get_error(ssl, result);
    if (kind == SSL_ERROR_WANT_READ) return;
    if (kind == SSL_ERROR_ZERO_RETURN) {
        peer_closed = true;
        if (!done)
            error =
                Error{ErrorCode::kTlsTruncated, "the other side closed during the handshake", {}};
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
    if (s.done) return s.in.space(std::max(wanted, kInputBytesMin));
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
    if (s.error) s.in.consume(s.in.size());  // nobody will read it
}

void TlsEngine::read_from(const CipherSource* source) {
    GOSSAMER_ASSERT(state_->done, "strangers' bytes are looked at record by record");
    state_->source = source;
}

Status TlsEngine::end_of_input() {
    State& s = *state_;
    if (s.error) return s.status();
    if (s.peer_closed) return {};
    s.error = Error{ErrorCode::kTlsTruncated,
                    s.done ? "the connection ended without a close_notify"
                           : "the connection ended during the TLS handshake",
                    {}};
    return s.status();
}

Result<std::size_t> TlsEngine::read(std::span<std::byte> out) {
    State& s = *state_;
    if (!s.done) GOSSAMER_CHECK(s.handshake());
    if (s.error) return fail(*s.error);
    if (!s.done || s.peer_closed) return std::size_t{0};
    std::size_t total = 0;
    while (total < out.size()) {
        ERR_clear_error();
        std::size_t count = 0;
        const int result = SSL_read_ex(s.ssl, out.data() + total, out.size() - total, &count);
        if (result != 1) {
            s.note_end(result);
            break;
        }
        total += count;
    }
    // What was decrypted before an error is still good; the error comes with the next call.
    if (total == 0 && s.error) return fail(*s.error);
    return total;
}

Status TlsEngine::write(ByteView header, ByteView body) {
    State& s = *state_;
    GOSSAMER_ASSERT(s.done || s.error, "nothing is written before the handshake is done");
    if (s.error) return s.status();
    if (s.closed) return fail(ErrorCode::kLinkClosed, "this side of the connection is closed");
    const std::size_t total = header.size() + body.size();
    std::array<std::byte, kTlsCoalesceMax> joined;
    if (!header.empty() && !body.empty() && total <= joined.size()) {
        std::memcpy(joined.data(), header.data(), header.size());
        std::memcpy(joined.data() + header.size(), body.data(), body.size());
        header = ByteView(joined).first(total);
        body = {};
    }
    s.out.space(tls_wire_bytes(header.size(), body.size()));
    for (const ByteView part : {header, body}) {
        if (part.empty()) continue;
        ERR_clear_error();
        std::size_t count = 0;
        if (const int result = SSL_write_ex(s.ssl, part.data(), part.size(), &count); result != 1) {
            s.note_end(result);
            if (!s.error) s.error = Error{ErrorCode::kInternal, "TLS write did not finish", {}};
            return s.status();
        }
    }
    s.sent_since_rekey += total;
    if (s.sent_since_rekey >= s.context->options.rekey_bytes) {
        s.sent_since_rekey = 0;
        SSL_key_update(s.ssl, SSL_KEY_UPDATE_NOT_REQUESTED);  // goes out before the next write
    }
    return {};
}

ByteView TlsEngine::output() const { return state_->out.view(); }
void TlsEngine::consume_output(std::size_t count) { state_->out.consume(count); }

bool TlsEngine::handshake_done() const { return state_->done; }

const AuthenticatedPeer& TlsEngine::peer() const {
    GOSSAMER_ASSERT(state_->done, "the other side is known only after the handshake");
    return *state_->notes.peer;
}

std::string_view TlsEngine::cipher() const { return SSL_get_cipher_name(state_->ssl); }

void TlsEngine::close() {
    State& s = *state_;
    if (s.closed) return;
    s.closed = true;
    if (!s.done || s.error) return;
    ERR_clear_error();
    SSL_shutdown(s.ssl);
    ERR_clear_error();
}

bool TlsEngine::peer_closed() const { return state_->peer_closed; }

void TlsEngine::trim() {
    State& s = *state_;
    s.in.release_if_empty();
    s.out.release_if_empty();
    if (s.done && !s.error) SSL_free_buffers(s.ssl);
}

std::size_t TlsEngine::buffer_bytes() const {
    return state_->in.capacity() + state_->out.capacity();
}

}  // namespace gossamer::security
