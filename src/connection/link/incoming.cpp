#include <fmt/core.h>

#include <algorithm>

#include "connection/link/transfers.hpp"

namespace gossamer::link {

IncomingTransfers::~IncomingTransfers() {
    for (const auto& [stream, t] : transfers_)
        if (t.granted) staging_.release(t.manifest.byte_count);
}

Status IncomingTransfers::on_offer(const wire::Offer& frame, TransferOutput& out) {
    if (frame.stream <= last_)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} offered again", frame.stream));
    if (transfers_.size() >= limits_.offers_max)
        return fail(ErrorCode::kLinkFlood, fmt::format("{} unfinished offers", transfers_.size()));
    if (stream_of(frame.id))
        return fail(ErrorCode::kFrameOrder,
                    fmt::format("transfer {} offered twice", frame.id.value));
    last_ = frame.stream;
    if (frame.manifest.byte_count == 0) {
        out.frames.push_back(wire::Refuse{frame.stream, message::RefuseReason::size});
        return {};
    }
    auto& t = transfers_[frame.stream];
    t.id = frame.id;
    t.manifest = frame.manifest;
    out.news.push_back({t.id, true, message::TransferOffered{t.manifest}});
    return {};
}

Status IncomingTransfers::on_withdraw(const wire::Withdraw& frame, TransferOutput& out) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (t) lose(frame.stream, Error{ErrorCode::kCancelled, "withdrawn by its sender", {}}, out);
    return {};
}

Result<IncomingTransfers::Transfer*> IncomingTransfers::find(StreamId stream) {
    if (stream == 0 || stream > last_)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} was never offered", stream));
    auto it = transfers_.find(stream);
    return it == transfers_.end() ? nullptr : &it->second;
}

std::optional<StreamId> IncomingTransfers::stream_of(TransferId id) const {
    for (const auto& [stream, t] : transfers_)
        if (t.id == id) return stream;
    return std::nullopt;
}

void IncomingTransfers::erase(StreamId stream) {
    auto it = transfers_.find(stream);
    if (it->second.granted) staging_.release(it->second.manifest.byte_count);
    transfers_.erase(it);
    std::erase(waiting_, stream);
    const bool was_first = !granted_.empty() && granted_.front() == stream;
    std::erase(granted_, stream);
    if (!was_first || granted_.empty()) return;
    auto& next = transfers_.at(granted_.front());  // its turn, and its time, begin now
    next.mark = latest_;
    next.mark_received = next.received;
}

void IncomingTransfers::lose(StreamId stream, Error error, TransferOutput& out) {
    out.news.push_back(
        {transfers_.at(stream).id, true, message::TransferLost{std::move(error), true}});
    erase(stream);
}

void IncomingTransfers::grant(Instant now, TransferId id, TransferOutput& out) {
    const auto stream = stream_of(id);
    if (!stream) return;  // withdrawn or lost while the core decided
    const auto& t = transfers_.at(*stream);
    if (t.granted || std::find(waiting_.begin(), waiting_.end(), *stream) != waiting_.end()) return;
    if (t.manifest.byte_count > staging_.bytes_max()) {
        out.frames.push_back(wire::Refuse{*stream, message::RefuseReason::busy});
        const auto what = fmt::format("{} bytes, the staging holds {}", t.manifest.byte_count,
                                      staging_.bytes_max());
        return lose(*stream, Error{ErrorCode::kTransferTooLarge, what, {}}, out);
    }
    if (!waiting_.empty() || !start(now, *stream, out)) waiting_.push_back(*stream);
}

bool IncomingTransfers::start(Instant now, StreamId stream, TransferOutput& out) {
    auto& t = transfers_.at(stream);
    if (!staging_.reserve(t.manifest.byte_count)) return false;
    t.granted = true;
    if (pool_) t.buffer = pool_->take(t.manifest.byte_count);
    t.credit = std::min(limits_.credit_window_bytes, t.manifest.byte_count);
    t.mark = latest_ = now;
    granted_.push_back(stream);
    out.frames.push_back(wire::Grant{stream, t.credit});
    return true;
}

void IncomingTransfers::refuse(Instant now, TransferId id, message::RefuseReason reason,
                               TransferOutput& out) {
    const auto stream = stream_of(id);
    if (!stream) return;
    if (transfers_.at(*stream).granted) {  // the core changed its mind
        latest_ = now;
        out.frames.push_back(wire::TransferFailed{*stream, ErrorCode::kTransferRefused,
                                                  std::string(message::to_string(reason))});
    } else {
        out.frames.push_back(wire::Refuse{*stream, reason});
    }
    erase(*stream);
}

void IncomingTransfers::retry_grants(Instant now, TransferOutput& out) {
    while (!waiting_.empty() && start(now, waiting_.front(), out)) waiting_.erase(waiting_.begin());
}

Result<std::span<std::byte>> IncomingTransfers::space_for(StreamId stream, std::uint32_t length) {
    GOSSAMER_TRY(auto* t, find(stream));
    if (!t) return std::span<std::byte>{};
    if (length > t->credit - t->received)
        return fail(ErrorCode::kLinkCredit,
                    fmt::format("{} bytes beyond the {} granted of stream {}",
                                t->received + length - t->credit, t->credit, stream));
    if (!pool_) return std::span<std::byte>{};
    return t->buffer.bytes().subspan(t->received, length);
}

void IncomingTransfers::landed(Instant now, StreamId stream, std::uint32_t length,
                               TransferOutput& out) {
    auto it = transfers_.find(stream);
    if (it == transfers_.end()) return;
    auto& t = it->second;
    GOSSAMER_ASSERT(length <= t.credit - t.received, "space_for was asked first");
    if (pool_) t.checksum.add(std::as_const(t.buffer).bytes().subspan(t.received, length));
    t.received += length;
    latest_ = now;
    const auto fresh = static_cast<double>(t.received - t.mark_received);
    if (t.received == t.manifest.byte_count ||
        fresh >= limits_.least_rate * seconds(now - t.mark)) {
        t.mark = now;
        t.mark_received = t.received;
    }
    const auto window = limits_.credit_window_bytes, size = t.manifest.byte_count;
    if (t.credit < size && t.credit - t.received <= window / 2) {
        t.credit = std::min(t.received + window, size);
        out.frames.push_back(wire::Credit{stream, t.credit});
    }
}

Status IncomingTransfers::on_end(const wire::TransferEnd& frame, TransferOutput& out) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (!t) return {};
    const auto size = t->manifest.byte_count;
    if (!t->granted || t->received != size)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} ends after {} of {} bytes",
                                                        frame.stream, t->received, size));
    // Over handles bytes are made and checked only where a world alters them on their way.
    auto found = frame.checksum;
    if (pool_)
        found = t->checksum.digest();
    else if (frame.checksum != Digest128{})
        found = digest128(frame.handle.bytes());
    if (found != frame.checksum) {
        const auto what = fmt::format("{} bytes, {} here, {} there", size, found.to_string(),
                                      frame.checksum.to_string());
        out.frames.push_back(
            wire::TransferFailed{frame.stream, ErrorCode::kTransferChecksum, what});
        lose(frame.stream, Error{ErrorCode::kTransferChecksum, what, {}}, out);
        return {};
    }
    auto payload = pool_ ? tensor::Payload::of(std::move(t->buffer)) : frame.handle;
    out.frames.push_back(wire::Delivered{frame.stream});
    out.news.push_back(
        {t->id, true, message::TransferArrived{std::move(t->manifest), std::move(payload)}});
    erase(frame.stream);
    return {};
}

Instant IncomingTransfers::deadline(Duration stall) const {
    return granted_.empty() ? Instant::never() : transfers_.at(granted_.front()).mark + stall;
}

void IncomingTransfers::give_up_stalled(Instant now, Duration stall, TransferOutput& out) {
    if (deadline(stall) > now) return;
    const auto stream = granted_.front();
    const auto& t = transfers_.at(stream);
    const auto what = fmt::format("{} of {} bytes came, then too little for {:.1f}s", t.received,
                                  t.manifest.byte_count, seconds(now - t.mark));
    out.frames.push_back(wire::TransferFailed{stream, ErrorCode::kTransferStalled, what});
    latest_ = now;
    lose(stream, Error{ErrorCode::kTransferStalled, what, {}}, out);
}

void IncomingTransfers::lose_all(const Error& error, TransferOutput& out) {
    while (!transfers_.empty()) lose(transfers_.begin()->first, error, out);
}

}  // namespace gossamer::link
