// How long to wait for a neighbour, learned from how late it usually is.
//
// Lateness is the time from being ready oneself (own training done) to the arrival of a neighbour's
// model; it is negative for one that is ahead. A neighbour gets mean + k · deviation of its own
// lateness (Jacobson's estimator, SIGCOMM 1988), within bounds that move with the own step time:
//
//     allowance = clamp(mean + k·dev, floor + step, cap + 4·step)
//
// halved, down to the floor, for each step in a row in which it gave no sign at all.
//
// A neighbour not yet measured gets the cap: it may have begun later.
#pragma once

#include <cstdint>
#include <string_view>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/peer_map.hpp"
#include "gossamer/base/time.hpp"

namespace gossamer::gossip {

struct PatienceBounds {
    Duration floor{}, cap{};
    double deviations = 4;
};
// "local": one machine; "lan"; "wan".
PatienceBounds patience_bounds(std::string_view profile);

class Patience {
public:
    explicit Patience(PatienceBounds bounds) : bounds_(bounds) {}

    void step_took(Duration training);
    void arrived(const PeerId& peer, Duration lateness);  // in time, or later and refused
    void missed(const PeerId& peer);                      // its allowance ran out
    void forget(const PeerId& peer) { of_.erase(peer); }  // it went; what was measured is void

    Duration floor() const;
    Duration cap() const;
    Duration allowance(const PeerId& peer) const;
    void digest_into(ByteWriter& out) const;
    void fetch_way() const { of_.fetch_way(); }

private:
    struct Estimate {
        double mean = 0, deviation = 0;  // ns
        bool measured = false;
        std::uint32_t missed_in_row = 0;
    };
    PatienceBounds bounds_;
    double step_ns_ = 0;  // smoothed
    PeerMap<Estimate> of_;
};

}  // namespace gossamer::gossip
