// Models on their way to neighbours: at most two steps' worth, offered again while it makes sense.
//
//     posted ──link up──> offered ──delivered──> gone
//                            ├─ lost, busy, early ──> waiting (doubling pause) ──> offered
//                            └─ stale, duplicate ───> gone
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gossamer/job/turn.hpp"

namespace gossamer::gossip {

class Outbox {
public:
    // Offers at once when linked, else when the link comes up. A posted model of the same kind,
    // step and receiver that is still here is replaced.
    void post(job::Turn& turn, const PeerId& to, message::Manifest manifest,
              tensor::Payload payload, bool linked);
    void delivered(const PeerId& to, job::TransferId id) { drop(to, id); }
    // Waits `pause` (doubled each time) where trying again can help. False when it cannot, because
    // the receiver holds this peer to be wrong (layout, run, size, base).
    bool refused(const PeerId& to, job::TransferId id, message::RefuseReason reason, Instant now,
                 Duration pause);
    void lost(const PeerId& to, job::TransferId id, Instant now, Duration pause);
    void link_up(job::Turn& turn, const PeerId& to);
    void link_down(const PeerId& to);
    // The receiver has come to `step`: what it found too early may be offered again.
    void receiver_at(job::Turn& turn, const PeerId& to, std::uint64_t step);

    void withdraw_before(job::Turn& turn, std::uint64_t step);  // models of a step, not catch-ups
    void withdraw_to(job::Turn& turn, const PeerId& to);
    void offer_waiting(job::Turn& turn);  // whose pause is over
    Instant next_offer() const;

    // Such an offer is out, and neither taken nor refused yet.
    bool offered(const PeerId& to, message::TransferKind kind, std::uint64_t step) const;
    bool mine(const PeerId& to, job::TransferId id) const { return find(to, id) != nullptr; }
    bool empty() const { return entries_.empty(); }
    std::vector<PeerId> receivers() const;  // sorted, distinct
    void digest_into(ByteWriter& out) const;

private:
    enum class State : std::uint8_t { posted, offered, waiting };
    struct Entry {
        PeerId to;
        job::TransferId id;
        State state = State::posted;
        message::Manifest manifest;
        tensor::Payload payload;
        Instant again = Instant::never();
        std::uint32_t attempts = 0;
    };
    void offer(job::Turn& turn, Entry& entry);
    void pause(Entry& entry, Instant now, Duration pause);
    const Entry* find(const PeerId& to, job::TransferId id) const;
    Entry* find(const PeerId& to, job::TransferId id);
    void drop(const PeerId& to, job::TransferId id);
    template <class Which>
    void withdraw_if(job::Turn& turn, Which which);

    std::vector<Entry> entries_;  // in order of posting
};

}  // namespace gossamer::gossip
