// The two halves of the transfers on one link. Both only keep state and answer with frames and
// events; `Link` owns them, feeds them and sends what they queue.
//
//   sender    offer --------> granted --> chunks within credit --> end --> delivered
//   receiver  offered -> grant (reserves all, or waits for room) -> staged -> checked -> whole
//
// Granted transfers are served in the order of their grants, so the receiver may expect progress of
// the oldest one alone, and a waiting grant never counts against the sender.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "connection/link/limits.hpp"
#include "connection/link/rate.hpp"
#include "connection/link/staging.hpp"
#include "connection/wire/frame.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/running_digest.hpp"

namespace gossamer::link {

using message::TransferId;
using wire::StreamId;

// A thing that happened to a transfer; `incoming` tells whose ids `id` belongs to.
struct TransferNews {
    TransferId id;
    bool incoming = false;
    message::TransferEvent event;
};

// What a half answers with: frames to queue, events to report, in order.
struct TransferOutput {
    std::vector<wire::Body> frames;
    std::vector<TransferNews> news;
};

class OutgoingTransfers {
public:
    OutgoingTransfers(const LinkLimits& limits, StreamId last) : limits_(limits), last_(last) {}

    // REQUIRES payload.filled(). Refused as busy when too many are unfinished.
    void offer(Instant now, TransferId id, message::Manifest manifest, tensor::Payload payload,
               TransferOutput& out);
    void withdraw(TransferId id, TransferOutput& out);
    Status on_grant(Instant now, const wire::Grant& frame);
    Status on_refuse(const wire::Refuse& frame, TransferOutput& out);
    Status on_credit(const wire::Credit& frame);
    Status on_delivered(const wire::Delivered& frame, TransferOutput& out);
    Status on_failed(const wire::TransferFailed& frame, TransferOutput& out);

    // The next chunk or end that credit allows. `over_handles`: no bytes are touched.
    std::optional<wire::Body> next(Instant now, bool over_handles);
    bool empty() const { return transfers_.empty(); }
    StreamId last() const { return last_; }

    Instant deadline(Duration stall) const;
    void give_up_stalled(Instant now, Duration stall, TransferOutput& out);
    void lose_all(const Error& error, TransferOutput& out);

private:
    struct Transfer {
        TransferId id;
        tensor::Payload payload;
        std::uint64_t size = 0, sent = 0, credit = 0;
        bool granted = false, ended = false;
        Instant progress;
        RunningDigest checksum;
    };
    // nullptr when that stream is over; an error when it never was.
    Result<Transfer*> find(StreamId stream);
    void erase(StreamId stream);
    void lose(StreamId stream, Error error, TransferOutput& out);
    void renew_first();

    const LinkLimits& limits_;
    std::map<StreamId, Transfer> transfers_;
    std::vector<StreamId> granted_;  // in the order of their grants
    StreamId last_;                  // stream
    Instant latest_;                 // time last heard of
};

class IncomingTransfers {
public:
    // No pool: links run over handles.
    IncomingTransfers(const LinkLimits& limits, Staging& staging, const tensor::PoolRef& pool,
                      StreamId last)
        : limits_(limits), staging_(staging), pool_(pool), last_(last) {}
    ~IncomingTransfers();
    IncomingTransfers(const IncomingTransfers&) = delete;
    IncomingTransfers& operator=(const IncomingTransfers&) = delete;

    Status on_offer(const wire::Offer& frame, TransferOutput& out);
    Status on_withdraw(const wire::Withdraw& frame, TransferOutput& out);
    Status on_end(const wire::TransferEnd& frame, TransferOutput& out);

    void grant(Instant now, TransferId id, TransferOutput& out);
    // Also one that was granted; its room is free then.
    void refuse(Instant now, TransferId id, message::RefuseReason reason, TransferOutput& out);
    // Grants that wait for room in the staging.
    bool waits_for_room() const { return !waiting_.empty(); }
    void retry_grants(Instant now, TransferOutput& out);

    // Where the next `length` bytes of the stream belong: a span of that length, or an empty one
    // when the transfer was given up and the bytes are to be dropped. Errors: kLinkCredit,
    // kFrameOrder.
    Result<std::span<std::byte>> space_for(StreamId stream, std::uint32_t length);
    // The next `length` bytes are in their place.
    void landed(Instant now, StreamId stream, std::uint32_t length, TransferOutput& out);
    bool empty() const { return transfers_.empty(); }
    StreamId last() const { return last_; }

    Instant deadline(Duration stall) const;
    void give_up_stalled(Instant now, Duration stall, TransferOutput& out);
    void lose_all(const Error& error, TransferOutput& out);

private:
    struct Transfer {
        TransferId id;
        message::Manifest manifest;
        bool granted = false;
        std::uint64_t received = 0, credit = 0;
        tensor::Buffer buffer;
        RunningDigest checksum;
        Instant mark;  // of the last progress worth the name
        std::uint64_t mark_received = 0;
    };
    Result<Transfer*> find(StreamId stream);
    std::optional<StreamId> stream_of(TransferId id) const;
    bool start(Instant now, StreamId stream, TransferOutput& out);
    void erase(StreamId stream);
    void lose(StreamId stream, Error error, TransferOutput& out);

    const LinkLimits& limits_;
    Staging& staging_;
    const tensor::PoolRef& pool_;
    std::map<StreamId, Transfer> transfers_;
    std::vector<StreamId> waiting_, granted_;  // in the order of their grants
    StreamId last_;                            // stream
    Instant latest_;                           // time last heard of
};

struct TransferRates {  // bytes per second; 0: not known yet
    double sending = 0, receiving = 0;
};
// What is known of the transfers of a link when there are none any more.
struct PastTransfers {
    StreamId last_outgoing = 0, last_incoming = 0;
    TransferRates rates;
};

// Those of one link, both ways.
struct Transfers {
    Transfers(const LinkLimits& limits, Staging& staging, const tensor::PoolRef& pool,
              const PastTransfers& past)
        : outgoing(limits, past.last_outgoing),
          incoming(limits, staging, pool, past.last_incoming),
          sending(past.rates.sending),
          receiving(past.rates.receiving) {}
    bool empty() const { return outgoing.empty() && incoming.empty(); }
    TransferRates rates() const {
        return {sending.bytes_per_second(), receiving.bytes_per_second()};
    }
    PastTransfers past() const { return {outgoing.last(), incoming.last(), rates()}; }

    OutgoingTransfers outgoing;
    IncomingTransfers incoming;
    RateMeter sending, receiving;
    Instant room_retry = Instant::never();
};

}  // namespace gossamer::link
