#include "protocol/membership/detector.hpp"

#include <algorithm>

namespace gossamer::membership {

void Estimate::add(Duration sample) {
    if (!known_) {
        known_ = true;
        mean_ = sample;
        deviation_ = sample / 2;
        return;
    }
    const Duration error = sample - mean_;
    mean_ += error / 8;
    deviation_ += (std::max(error, -error) - deviation_) / 4;
}

void Detector::on_heartbeat(Instant now) {
    on_sign_of_life(now);
    if (beat_seen_) gap_.add(now - last_beat_);
    beat_seen_ = true;
    last_beat_ = now;
}

void Detector::on_sent(std::uint64_t sequence, Instant now, bool busy) {
    sent_[sequence % sent_.size()] = {sequence, now, busy};
}

void Detector::on_answer(std::uint64_t sequence, Instant now, bool busy) {
    Sent& sent = sent_[sequence % sent_.size()];
    if (sent.sequence != sequence || sent.busy || busy) return;
    sent.busy = true;  // one sample each
    round_trip_.add(now - sent.at);
}

Duration Detector::limit(const Timings& t) const {
    if (!gap_.known()) return t.limit_cap;
    return std::clamp(2 * gap_.mean() + 6 * gap_.deviation(), t.limit_floor, t.limit_cap);
}

}  // namespace gossamer::membership
