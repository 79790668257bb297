#include <fmt/core.h>

#include <algorithm>

#include "connection/link/transfers.hpp"

namespace gossamer::link {

void OutgoingTransfers::offer(Instant now, TransferId id, message::Manifest manifest,
                              tensor::Payload payload, TransferOutput& out) {
    using message::RefuseReason;
    const auto refuse = [&](RefuseReason reason) {
        out.news.push_back({id, false, message::TransferRefused{reason}});
    };
    if (manifest.byte_count == 0 || payload.size_bytes() != manifest.byte_count)
        return refuse(RefuseReason::size);
    if (transfers_.size() >= limits_.offers_max) return refuse(RefuseReason::busy);
    auto& t = transfers_[++last_];
    t.id = id;
    t.payload = std::move(payload);
    t.size = manifest.byte_count;
    t.progress = latest_ = now;
    out.frames.push_back(wire::Offer{last_, id, std::move(manifest)});
}

void OutgoingTransfers::withdraw(TransferId id, TransferOutput& out) {
    for (const auto& [stream, t] : transfers_)
        if (t.id == id) {
            out.frames.push_back(wire::Withdraw{stream});
            erase(stream);
            return;
        }
}

Result<OutgoingTransfers::Transfer*> OutgoingTransfers::find(StreamId stream) {
    if (stream == 0 || stream > last_)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} was never offered", stream));
    auto it = transfers_.find(stream);
    return it == transfers_.end() ? nullptr : &it->second;
}

void OutgoingTransfers::erase(StreamId stream) {
    transfers_.erase(stream);
    std::erase(granted_, stream);
    renew_first();
}

// The first that is not wholly sent is the one that must move; its time begins when its turn does.
void OutgoingTransfers::renew_first() {
    for (auto stream : granted_)
        if (auto& t = transfers_.at(stream); !t.ended) {
            t.progress = std::max(t.progress, latest_);
            return;
        }
}

void OutgoingTransfers::lose(StreamId stream, Error error, TransferOutput& out) {
    out.news.push_back({transfers_.at(stream).id, false, message::TransferLost{std::move(error)}});
    erase(stream);
}

Status OutgoingTransfers::on_grant(Instant now, const wire::Grant& frame) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (!t) return {};
    if (t->granted)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} granted twice", frame.stream));
    t->granted = true;
    t->credit = std::min(frame.credit, t->size);
    t->progress = latest_ = now;
    granted_.push_back(frame.stream);
    return {};
}

Status OutgoingTransfers::on_refuse(const wire::Refuse& frame, TransferOutput& out) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (!t) return {};
    out.news.push_back({t->id, false, message::TransferRefused{frame.reason}});
    erase(frame.stream);
    return {};
}

Status OutgoingTransfers::on_credit(const wire::Credit& frame) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (!t) return {};
    if (!t->granted)
        return fail(ErrorCode::kFrameOrder, fmt::format("credit before grant, {}", frame.stream));
    t->credit = std::min(std::max(t->credit, frame.limit), t->size);
    return {};
}

Status OutgoingTransfers::on_delivered(const wire::Delivered& frame, TransferOutput& out) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (!t) return {};
    if (!t->ended)
        return fail(ErrorCode::kFrameOrder, fmt::format("stream {} is not sent", frame.stream));
    out.news.push_back({t->id, false, message::TransferDelivered{}});
    erase(frame.stream);
    return {};
}

Status OutgoingTransfers::on_failed(const wire::TransferFailed& frame, TransferOutput& out) {
    GOSSAMER_TRY(auto* t, find(frame.stream));
    if (t) lose(frame.stream, Error{frame.code, "the receiver says: " + frame.what, {}}, out);
    return {};
}

std::optional<wire::Body> OutgoingTransfers::next(Instant now, bool over_handles) {
    for (auto stream : granted_) {
        auto& t = transfers_.at(stream);
        if (t.ended) continue;
        if (t.sent == t.size) {
            t.ended = true;
            t.progress = latest_ = now;
            renew_first();
            if (over_handles) return wire::TransferEnd{stream, {}, t.payload};
            return wire::TransferEnd{stream, t.checksum.digest(), {}};
        }
        if (t.sent >= t.credit) continue;
        const auto length = std::min<std::uint64_t>(limits_.chunk_bytes, t.credit - t.sent);
        wire::Chunk chunk{stream, t.sent, static_cast<std::uint32_t>(length), t.payload};
        if (!over_handles) t.checksum.add(t.payload.bytes().subspan(t.sent, length));
        t.sent += length;
        t.progress = latest_ = now;
        return chunk;
    }
    return std::nullopt;
}

// Only what the receiver has granted is waited for: those already sent for its answer, and the
// first that is not, which is served before all others, for credit and for the socket.
Instant OutgoingTransfers::deadline(Duration stall) const {
    Instant earliest = Instant::never();
    for (auto stream : granted_) {
        const auto& t = transfers_.at(stream);
        earliest = std::min(earliest, t.progress + stall);
        if (!t.ended) break;
    }
    return earliest;
}

void OutgoingTransfers::give_up_stalled(Instant now, Duration stall, TransferOutput& out) {
    auto streams = granted_;
    for (auto stream : streams) {
        const auto& t = transfers_.at(stream);
        const bool last = !t.ended;
        if (t.progress + stall <= now) {
            const auto what =
                fmt::format("{} of {} bytes sent, then nothing for {}", t.sent, t.size,
                            fmt::format("{:.1f}s", seconds(now - t.progress)));
            out.frames.push_back(wire::Withdraw{stream});
            latest_ = now;
            lose(stream, Error{ErrorCode::kTransferStalled, what, {}}, out);
        }
        if (last) break;
    }
}

void OutgoingTransfers::lose_all(const Error& error, TransferOutput& out) {
    while (!transfers_.empty()) lose(transfers_.begin()->first, error, out);
}

}  // namespace gossamer::link
