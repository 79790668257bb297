#include "connection/session/session.hpp"

#include <algorithm>

#include "gossamer/base/options.hpp"

namespace gossamer::session {

namespace {

constexpr std::size_t kKeptBodyBytes = 4 * 1024;
// Sealed but not sent: no more chunks than reach it. Twice a chunk left the core's cache before the
// socket took it and cost a sixth of a link's speed; many links share the memory, too.
constexpr std::size_t kSealedMost = 32 * 1024;

}  // namespace

bool is_permanent(ErrorCode code) {
    switch (code) {
        case ErrorCode::kTlsUntrusted:
        case ErrorCode::kTlsFederation:
        case ErrorCode::kTlsRole:
        case ErrorCode::kTlsBanned:
        case ErrorCode::kTlsPeerId:
        case ErrorCode::kTlsKeyMismatch:
        case ErrorCode::kTlsCertificateForm:
        case ErrorCode::kTlsAlpn:
        case ErrorCode::kTlsRefused:
        case ErrorCode::kLinkVersion: return true;
        default: return false;  // certificates are renewed, clocks set, listeners started
    }
}

Session::Session(const security::TlsContext& context, SessionConfig config, Instant now)
    : config_(std::move(config)), opened_(now), engine_(context, config_.side, config_.policy) {
    config_.link.dialled = config_.side == security::TlsSide::dialler;
}

// ---- bytes in ----

void Session::commit_input(Instant now, std::size_t count) {
    engine_.commit_input(count);
    pump(now);
}

void Session::take_input(Instant now, const security::CipherSource& source) {
    engine_.read_from(&source);
    pump(now);
    engine_.read_from(nullptr);
}

void Session::end_of_input(Instant now) {
    if (ended_) return;
    pump(now);
    if (ended_) return;
    auto status = engine_.end_of_input();
    on_broken(status ? Error{ErrorCode::kLinkClosed, "closed by the other side", {}}
                     : std::move(status).error());
}

void Session::on_broken(Error error) {
    broken_ = true;
    if (ended_) return;
    if (!link_) return end(std::move(error), false);
    link_->on_broken(std::move(error));
    ended_ = true;
}

void Session::pump(Instant now) {
    if (!link_) {
        auto status = engine_.read({});
        if (!status) return fail(now, std::move(status).error());
        if (!engine_.handshake_done()) return;
        link_ = std::make_unique<link::Link>(config_.link, now);
        events_.push_back(Identified{engine_.peer()});
    }
    for (bool more = true; more && !ended_ && !link_->is_closed();) switch (stage_) {
            case Stage::header: more = read_header(now); break;
            case Stage::table: more = read_table(now); break;
            case Stage::chunk: more = read_chunk(now); break;
            case Stage::skip: more = skip_body(now); break;
        }
}

std::optional<std::size_t> Session::read(Instant now, std::span<std::byte> out) {
    auto count = engine_.read(out);
    if (!count) {
        fail(now, std::move(count).error());
        return std::nullopt;
    }
    if (*count == 0 && engine_.peer_closed() && !link_->is_closed())
        on_broken({ErrorCode::kLinkClosed, "closed by the other side", {}});
    if (*count == 0) return std::nullopt;
    return *count;
}

bool Session::read_header(Instant now) {
    const auto count = read(now, std::span(header_bytes_).subspan(got_));
    if (!count) return false;
    got_ += *count;
    if (got_ < header_bytes_.size()) return true;
    got_ = 0;
    auto header = wire::read_header(header_bytes_);
    if (!header) return fail(now, std::move(header).error()), false;
    auto kind = wire::kind_of(*header);
    if (!kind) return fail(now, std::move(kind).error()), false;
    if (!link_->is_up() && header->length > wire::kHelloBytesMax) {
        fail(now, {ErrorCode::kFrameTooLarge, "a large frame before the link was up", {}});
        return false;
    }
    header_ = *header;
    if (*kind == wire::BodyKind::skip) {
        if (header_.length > 0) stage_ = Stage::skip;
        return true;
    }
    if (*kind == wire::BodyKind::table) {
        stage_ = Stage::table;
        body_.resize(header_.length);
        if (header_.length > 0) return true;
        fail(now, {ErrorCode::kFrameMalformed, "a frame without its table", {}});
        return false;
    }
    auto space = link_->chunk_space(now, header_.stream, header_.length);
    if (!space) return fail(now, std::move(space).error()), false;
    stage_ = space->empty() ? Stage::skip : Stage::chunk;
    return true;
}

bool Session::read_table(Instant now) {
    const auto count = read(now, std::span(body_).subspan(got_));
    if (!count) return false;
    got_ += *count;
    if (got_ < body_.size()) return true;
    got_ = 0;
    stage_ = Stage::header;
    auto frame = wire::decode(header_, body_);
    if (body_.capacity() > kKeptBodyBytes) Bytes().swap(body_);
    if (!frame) return fail(now, std::move(frame).error()), false;
    link_->on_frame(now, std::move(*frame));
    return true;
}

// Its place is asked for anew each time: a transfer can end, and its buffer serve another, between
// two reads of one chunk, as when it stalls amid it.
bool Session::read_chunk(Instant now) {
    const auto left = static_cast<std::uint32_t>(header_.length - got_);
    const auto space = link_->chunk_space(now, header_.stream, left);
    if (!space) return fail(now, space.error()), false;
    if (space->empty()) return stage_ = Stage::skip, true;
    const auto count = read(now, *space);
    if (!count) return false;
    got_ += *count;
    const bool whole = got_ == header_.length;
    if (whole) got_ = 0, stage_ = Stage::header;
    link_->chunk_landed(now, header_.stream, static_cast<std::uint32_t>(*count));
    return true;
}

bool Session::skip_body(Instant now) {
    std::array<std::byte, 4096> nowhere;
    const auto left = std::min<std::size_t>(nowhere.size(), header_.length - got_);
    const auto count = read(now, std::span(nowhere).first(left));
    if (!count) return false;
    got_ += *count;
    if (got_ == header_.length) got_ = 0, stage_ = Stage::header;
    return true;
}

// ---- bytes out ----

void Session::fill(Instant now) {
    if (!link_ || broken_) return;
    while (true) {
        const auto room = std::min(link_->room_bytes(), kSealedMost);
        auto frame = link_->next_frame(now, engine_.output().size() < room);
        if (!frame) break;
        scratch_.clear();
        wire::encode(*frame, scratch_);
        Status status;
        if (const auto* chunk = std::get_if<wire::Chunk>(&frame->body))
            status = engine_.write(scratch_,
                                   chunk->source.bytes().subspan(chunk->offset, chunk->length));
        else
            status = engine_.write(scratch_);
        if (!status) return on_broken(std::move(status).error());
    }
    if (!link_->is_closed()) return;
    engine_.close();
    ended_ = true;
}

void Session::consume_output(Instant now, std::size_t count) {
    engine_.consume_output(count);
    if (link_) link_->note_sent(now, count);
}

// ---- the end ----

// What came was wrong: say so while the connection can still carry it.
void Session::fail(Instant now, Error error) {
    if (!link_) return end(std::move(error), true);
    link_->close(now, std::move(error));
}

void Session::close(Instant now, Error error) {
    if (ended_) return;
    if (link_) return link_->close(now, std::move(error));
    end(std::move(error), false);
}

void Session::end(Error error, bool may_be_permanent) {
    ended_ = true;
    const bool permanent = may_be_permanent && is_permanent(error.code);
    events_.push_back(link::Closed{std::move(error), permanent});
}

// ---- events and time ----

std::optional<Event> Session::next_event() {
    if (!events_.empty()) {
        auto event = std::move(events_.front());
        events_.pop_front();
        return event;
    }
    if (!link_) return std::nullopt;
    while (auto event = link_->next_event()) {
        auto checked = std::visit([](auto&& e) { return Event(std::forward<decltype(e)>(e)); },
                                  std::move(*event));
        if (auto passed = check_role(std::move(checked))) return passed;
    }
    return std::nullopt;
}

// What it says about itself must be what its certificate says; and an error of TLS that came with
// the first read after the handshake tells a dialler that the listener refused it.
std::optional<Event> Session::check_role(Event event) {
    if (auto* greeted = std::get_if<link::Greeted>(&event);
        greeted && greeted->remote.role != peer().role) {
        link_->reject(wire::RejectReason::role, "HELLO and certificate name different roles");
        return std::nullopt;
    }
    if (auto* up = std::get_if<link::Up>(&event); up && up->remote.role != peer().role) {
        link_->close({}, {ErrorCode::kTlsRole, "WELCOME and certificate name different roles", {}});
        return std::nullopt;
    }
    if (auto* closed = std::get_if<link::Closed>(&event))
        closed->permanent = closed->permanent || is_permanent(closed->error.code);
    return event;
}

Instant Session::next_deadline() const {
    if (ended_) return Instant::never();
    return link_ ? link_->next_deadline() : opened_ + config_.handshake_deadline;
}

void Session::on_deadline(Instant now) {
    if (ended_ || now < next_deadline()) return;
    if (link_) return link_->on_deadline(now);
    end({ErrorCode::kTlsHandshake,
         "no TLS handshake within " + format_duration(config_.handshake_deadline),
         {}},
        false);
}

}  // namespace gossamer::session
