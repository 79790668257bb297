// How long one member may be silent before it is suspected, learned from its own link.
//
// Its heartbeats come at intervals with some jitter; both are estimated as TCP estimates its round
// trip (RFC 6298: a mean and a mean deviation, exponentially weighted), here of the gaps between
// arrivals, in the spirit of NFD-E (Chen, Toueg and Aguilera, "On the Quality of Service of Failure
// Detectors", 2002). The limit is two gaps and six deviations within the bounds of the profile, so
// that one late beat accuses nobody. Any byte heard is a sign of life; only heartbeats teach.
#pragma once

#include <array>
#include <cstdint>

#include "gossamer/base/time.hpp"
#include "gossamer/message/message.hpp"
#include "protocol/membership/config.hpp"

namespace gossamer::membership {

// Mean and mean deviation, exponentially weighted; the first sample sets both.
class Estimate {
public:
    void add(Duration sample);
    bool known() const { return mean_ > Duration{}; }
    Duration mean() const { return mean_; }
    Duration deviation() const { return deviation_; }

private:
    Duration mean_{}, deviation_{};
};

class Detector {
public:
    void reset(Instant now) {
        const auto sent = sent_count_;  // numbers are not given twice
        *this = Detector{};
        heard_ = now, sent_count_ = sent;
    }
    void on_sign_of_life(Instant now) { heard_ = std::max(heard_, now); }
    // One of theirs came. What it says of ours gives a round trip, unless bulk was on the link at
    // either moment (`busy`: now), or kRemembered others of ours went out meanwhile.
    void on_heartbeat(Instant now, const message::Heartbeat& heartbeat, bool busy = false);
    // Ours goes out: gives it its number, and the echo of theirs.
    void on_sent(Instant now, message::Heartbeat& heartbeat);

    Instant heard() const { return heard_; }
    Duration limit(const Timings& t) const;  // of silence
    Instant suspect_at(const Timings& t) const { return heard_ + limit(t); }
    const Estimate& round_trip() const { return round_trip_; }

    static constexpr std::size_t kRemembered = 4;

private:
    static constexpr std::array<Instant, kRemembered> kNone{Instant::never(), Instant::never(),
                                                            Instant::never(), Instant::never()};
    Instant heard_{}, last_beat_ = Instant::never();
    Estimate gap_, round_trip_;
    std::array<Instant, kRemembered> sent_ = kNone;  // never: of no use
    std::uint64_t sent_count_ = 0;
    std::uint64_t echo_ = 0;  // the number of their last one, unless that was busy
};

}  // namespace gossamer::membership
