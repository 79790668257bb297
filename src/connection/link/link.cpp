#include "connection/link/link.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "connection/wire/wire.hpp"
#include "gossamer/base/options.hpp"

namespace gossamer::link {

namespace {

constexpr Duration kRoomRetry = 50ms;  // room may be freed by a link on another I/O thread
constexpr double kRoomLeast = 64 * 1024, kRoomMost = 256 * 1024;

Duration time_of_frames(const LinkLimits& limits, double count) {
    return Duration{static_cast<std::int64_t>(count / limits.frames_per_second * 1e9)};
}

Error error_of(const wire::Reject& reject) {
    const auto code = [&] {
        switch (reject.reason) {
            case wire::RejectReason::version: return ErrorCode::kLinkVersion;
            case wire::RejectReason::federation: return ErrorCode::kTlsFederation;
            case wire::RejectReason::role: return ErrorCode::kTlsRole;
            case wire::RejectReason::banned: return ErrorCode::kTlsBanned;
            case wire::RejectReason::duplicate: return ErrorCode::kLinkDuplicate;
            case wire::RejectReason::busy: return ErrorCode::kLinkBusy;
            case wire::RejectReason::stopping: return ErrorCode::kLinkRejected;
        }
        return ErrorCode::kLinkRejected;
    }();
    std::string what = "the other side refused: " + std::string(to_string(reject.reason));
    if (!reject.what.empty()) what += " (" + reject.what + ")";
    return {code, std::move(what), {}};
}

}  // namespace

Link::Link(LinkConfig config, Instant now)
    : settings_(std::move(config.settings)),
      staging_(config.staging),
      dialled_(config.dialled),
      opened_(now) {
    if (!dialled_) return;
    const auto& local = settings_->local;
    queue(wire::Hello{wire::kProtocolMajor, wire::kProtocolMinor, local.features, local.role,
                      local.codecs, local.federation, local.software});
}

// ---- opening and closing ----

void Link::on_hello(const wire::Hello& hello) {
    if (dialled_ || state_ != State::greeting)
        return hang_up({ErrorCode::kFrameOrder, "HELLO out of place", {}});
    if (hello.major != wire::kProtocolMajor)
        return reject(wire::RejectReason::version,
                      fmt::format("{}.{} here, {}.{} there", wire::kProtocolMajor,
                                  wire::kProtocolMinor, hello.major, hello.minor));
    if (hello.federation != settings_->local.federation)
        return reject(wire::RejectReason::federation, "");
    remote_ = RemoteInfo{hello.role, hello.codecs, hello.features & settings_->local.features,
                         std::min(hello.minor, wire::kProtocolMinor), hello.software};
    state_ = State::deciding;
    events_.push_back(Greeted{*remote_});
}

void Link::welcome() {
    if (state_ != State::deciding) return;
    const auto& local = settings_->local;
    queue(
        wire::Welcome{remote_->minor, remote_->features, local.role, local.codecs, local.software});
    state_ = State::up;
    events_.push_back(Up{std::move(*remote_)});
    remote_.reset();
}

void Link::on_welcome(const wire::Welcome& welcome) {
    if (!dialled_ || state_ != State::greeting)
        return hang_up({ErrorCode::kFrameOrder, "WELCOME out of place", {}});
    if (welcome.minor > wire::kProtocolMinor)
        return hang_up({ErrorCode::kLinkVersion, "WELCOME with a newer minor version", {}});
    state_ = State::up;
    events_.push_back(
        Up{{welcome.role, welcome.codecs, welcome.features & settings_->local.features,
            welcome.minor, welcome.software}});
}

void Link::reject(wire::RejectReason reason, std::string what) {
    if (state_ == State::closed) return;
    wire::Reject frame{reason, std::move(what)};
    auto error = error_of(frame);
    error.what = "refused here: " + std::string(to_string(reason)) +
                 (frame.what.empty() ? "" : " (" + frame.what + ")");
    finish(std::move(error), !wire::retry_can_help(reason));
    control_.push_back({wire::Lane::control, std::move(frame)});
}

void Link::on_reject(const wire::Reject& reject) {
    if (!dialled_ || state_ != State::greeting)
        return hang_up({ErrorCode::kFrameOrder, "REJECT out of place", {}});
    finish(error_of(reject), !wire::retry_can_help(reject.reason));
}

void Link::close(Instant, Error error) { hang_up(std::move(error)); }

void Link::hang_up(Error error) {
    if (state_ == State::closed) return;
    wire::Goodbye frame{error.code, error.what};
    // What cores said before an orderly close is still said; where something is wrong it is not.
    Queue<wire::Frame> last_words;
    if (state_ == State::up && error.code == ErrorCode::kLinkClosed)
        for (auto* lane : {&control_, &round_})
            for (auto& queued : *lane)
                if (std::holds_alternative<message::Message>(queued.body))
                    last_words.push_back(std::move(queued));
    finish(std::move(error), false);
    control_ = std::move(last_words);
    control_.push_back({wire::Lane::control, std::move(frame)});
}

void Link::on_goodbye(const wire::Goodbye& goodbye) {
    finish({goodbye.code, goodbye.what.empty() ? "closed by the other side" : goodbye.what, {}},
           goodbye.code == ErrorCode::kTlsBanned);
}

void Link::on_broken(Error error) {
    if (state_ == State::closed) return;
    finish(std::move(error), false);
}

void Link::finish(Error error, bool permanent) {
    state_ = State::closed;
    control_.clear();
    round_.clear();
    TransferOutput lost;
    if (transfers_) {
        transfers_->outgoing.lose_all(error, lost);
        transfers_->incoming.lose_all(error, lost);
    }
    for (auto& news : lost.news) events_.push_back(std::move(news));
    events_.push_back(Closed{std::move(error), permanent});
}

// ---- frames in ----

// A bucket of tokens, kept as the time at which it will be full: each frame moves that on.
bool Link::admit(Instant now) {
    const auto full = std::max(bucket_full_, now) + time_of_frames(limits(), 1);
    if (full > now + time_of_frames(limits(), limits().frames_burst)) return false;
    bucket_full_ = full;
    return true;
}

void Link::on_frame(Instant now, wire::Frame frame) {
    if (state_ == State::closed) return;
    auto& body = frame.body;
    if (frame.lane != wire::Lane::bulk && !admit(now))
        return hang_up({ErrorCode::kLinkFlood, "more frames than a peer has reason to send", {}});
    if (const auto* hello = std::get_if<wire::Hello>(&body)) return on_hello(*hello);
    if (const auto* welcome = std::get_if<wire::Welcome>(&body)) return on_welcome(*welcome);
    if (const auto* reject = std::get_if<wire::Reject>(&body)) return on_reject(*reject);
    if (const auto* goodbye = std::get_if<wire::Goodbye>(&body)) return on_goodbye(*goodbye);
    if (state_ != State::up)
        return hang_up({ErrorCode::kFrameOrder,
                        fmt::format("{} before the link was up", wire::name_of(body)),
                        {}});
    if (auto* message = std::get_if<message::Message>(&body)) {
        events_.push_back(Received{std::move(*message)});
        return;
    }
    if (auto status = on_transfer_frame(now, body); !status) hang_up(std::move(status).error());
}

Status Link::on_transfer_frame(Instant now, const wire::Body& body) {
    TransferOutput out;
    Status status;
    auto& incoming = transfers().incoming;
    auto& outgoing = transfers().outgoing;
    if (const auto* f = std::get_if<wire::Offer>(&body)) status = incoming.on_offer(*f, out);
    if (const auto* f = std::get_if<wire::Withdraw>(&body)) status = incoming.on_withdraw(*f, out);
    if (const auto* f = std::get_if<wire::TransferEnd>(&body)) {
        status = incoming.on_end(*f, out);
        transfers().receiving.end();
    }
    if (const auto* f = std::get_if<wire::Grant>(&body)) status = outgoing.on_grant(now, *f);
    if (const auto* f = std::get_if<wire::Refuse>(&body)) status = outgoing.on_refuse(*f, out);
    if (const auto* f = std::get_if<wire::Credit>(&body)) status = outgoing.on_credit(*f);
    if (const auto* f = std::get_if<wire::Delivered>(&body))
        status = outgoing.on_delivered(*f, out);
    if (const auto* f = std::get_if<wire::TransferFailed>(&body))
        status = outgoing.on_failed(*f, out);
    if (const auto* f = std::get_if<wire::Chunk>(&body)) {
        if (auto space = chunk_space(now, f->stream, f->length); !space)
            status = fail(space.error());
        else
            chunk_landed(now, f->stream, f->length);
    }
    if (incoming.waits_for_room()) incoming.retry_grants(now, out);
    take(std::move(out));
    return status;
}

Result<std::span<std::byte>> Link::chunk_space(Instant now, wire::StreamId stream,
                                               std::uint32_t length) {
    if (state_ == State::closed) return std::span<std::byte>{};
    if (state_ != State::up) return fail(ErrorCode::kFrameOrder, "a chunk before the link was up");
    transfers().receiving.begin(now);
    return transfers().incoming.space_for(stream, length);
}

void Link::chunk_landed(Instant now, wire::StreamId stream, std::uint32_t length) {
    if (state_ != State::up) return;
    bulk_moved_ = true;
    TransferOutput out;
    transfers().receiving.moved(now, length);
    transfers().incoming.landed(now, stream, length, out);
    take(std::move(out));
}

// ---- what cores ask for ----

Status Link::send(Instant, message::Message message, wire::Lane lane) {
    if (state_ != State::up) return {};
    auto within_bounds = wire::check(message);
    auto* beat = std::get_if<message::Heartbeat>(&message);
    if (!within_bounds && !beat) return within_bounds;
    if (!within_bounds) beat->news.clear();
    (lane == wire::Lane::control ? control_ : round_).push_back({lane, std::move(message)});
    bound_queues();
    return within_bounds;
}

void Link::offer(Instant now, TransferId id, message::Manifest manifest, tensor::Payload payload) {
    TransferOutput out;
    if (state_ != State::up) {
        out.news.push_back(
            {id, false, message::TransferLost{{ErrorCode::kLinkClosed, "the link is not up", {}}}});
    } else if (!wire::check(manifest)) {
        out.news.push_back({id, false, message::TransferRefused{message::RefuseReason::size}});
    } else {
        transfers().outgoing.offer(now, id, std::move(manifest), std::move(payload), out);
    }
    take(std::move(out));
}

void Link::withdraw(Instant, TransferId id) {
    if (!transfers_) return;
    TransferOutput out;
    transfers_->outgoing.withdraw(id, out);
    take(std::move(out));
}

void Link::grant(Instant now, TransferId id) {
    if (!transfers_) return;
    TransferOutput out;
    transfers_->incoming.grant(now, id, out);
    if (waits_for_room()) transfers_->room_retry = now + kRoomRetry;
    take(std::move(out));
}

void Link::refuse(Instant now, TransferId id, message::RefuseReason reason) {
    if (!transfers_) return;
    TransferOutput out;
    transfers_->incoming.refuse(now, id, reason, out);
    take(std::move(out));
}

void Link::retry_grants(Instant now) {
    if (!transfers_) return;
    TransferOutput out;
    transfers_->incoming.retry_grants(now, out);
    transfers_->room_retry = waits_for_room() ? now + kRoomRetry : Instant::never();
    take(std::move(out));
}

// ---- frames and events out ----

void Link::queue(wire::Body body) {
    const auto lane = wire::lane_of(body);
    (lane == wire::Lane::control ? control_ : round_).push_back({lane, std::move(body)});
}

void Link::take(TransferOutput output) {
    for (auto& news : output.news) {
        // Two fast members that exchange small models do thousands of steps a second: a transfer
        // that both sides wanted pays for the frames around it. Nobody earns by sending alone.
        if (std::holds_alternative<message::TransferArrived>(news.event) ||
            std::holds_alternative<message::TransferDelivered>(news.event))
            bucket_full_ = bucket_full_ - time_of_frames(limits(), limits().frames_per_transfer);
        events_.push_back(std::move(news));
    }
    if (state_ == State::closed) return;
    for (auto& frame : output.frames) queue(std::move(frame));
    bound_queues();
}

// Whatever put it there: a side that asks and does not read would fill our memory.
void Link::bound_queues() {
    const auto most = limits().queue_frames_max;
    if (control_.size() > 2 * most || round_.size() > most)
        hang_up({ErrorCode::kLinkTimeout, "the other side does not read", {}});
}

std::optional<wire::Frame> Link::next_frame(Instant now, bool room) {
    if (!control_.empty()) {
        auto frame = control_.pop_front();
        // Round trips measured beside bulk say nothing about the network: mark them.
        if (auto* m = std::get_if<message::Message>(&frame.body)) {
            if (auto* beat = std::get_if<message::Heartbeat>(m))
                beat->busy |= std::exchange(bulk_moved_, false);
        }
        return frame;
    }
    if (!room || state_ != State::up) return std::nullopt;
    if (!round_.empty()) return round_.pop_front();
    if (!transfers_) return std::nullopt;
    auto body = transfers_->outgoing.next(now, settings_->pool == nullptr);
    if (!body) {
        transfers_->sending.end();
        rest();
        return std::nullopt;
    }
    transfers_->sending.begin(now);
    bulk_moved_ = true;
    return wire::Frame{wire::Lane::bulk, std::move(*body)};
}

Transfers& Link::transfers() {
    if (!transfers_)
        transfers_ = std::make_unique<Transfers>(limits(), *staging_, settings_->pool, past_);
    return *transfers_;
}

void Link::rest() {
    if (!transfers_->empty()) return;
    past_ = transfers_->past();
    transfers_.reset();
}

std::size_t Link::room_bytes() const {
    return static_cast<std::size_t>(std::clamp(rates().sending * 0.020, kRoomLeast, kRoomMost));
}

std::optional<Event> Link::next_event() {
    if (events_.empty()) return std::nullopt;
    return events_.pop_front();
}

// ---- time ----

Duration Link::stall_limit() const {
    const auto [sending, receiving] = rates();
    const double rate = std::min(sending > 0 ? sending : 1e12, receiving > 0 ? receiving : 1e12);
    if (rate == 1e12) return std::min(2 * limits().stall_least, limits().stall_most);
    const auto derived = std::chrono::duration<double>(16.0 * limits().chunk_bytes / rate);
    return std::clamp(std::chrono::duration_cast<Duration>(
                          std::min(derived, std::chrono::duration<double>(3600.0))),
                      limits().stall_least, limits().stall_most);
}

Instant Link::next_deadline() const {
    if (state_ == State::closed) return Instant::never();
    if (state_ != State::up) return opened_ + limits().hello_deadline;
    if (!transfers_) return Instant::never();
    const auto stall = stall_limit();
    return std::min({transfers_->outgoing.deadline(stall), transfers_->incoming.deadline(stall),
                     transfers_->room_retry});
}

void Link::on_deadline(Instant now) {
    if (state_ == State::closed || now < next_deadline()) return;
    if (state_ != State::up) {
        const char* missing = dialled_ ? "no WELCOME" : "no HELLO";
        return close(
            now, {ErrorCode::kLinkTimeout,
                  fmt::format("{} within {}", missing, format_duration(limits().hello_deadline)),
                  {}});
    }
    TransferOutput out;
    const auto stall = stall_limit();
    transfers_->incoming.give_up_stalled(now, stall, out);
    transfers_->outgoing.give_up_stalled(now, stall, out);
    take(std::move(out));
    if (transfers_->room_retry <= now || waits_for_room()) retry_grants(now);
}

}  // namespace gossamer::link
