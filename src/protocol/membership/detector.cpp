#include "protocol/membership/detector.hpp"

#include <algorithm>
#include <utility>

namespace gossamer::membership {

void Estimate::add(Duration sample) {
    if (!known()) {
        mean_ = std::max(sample, Duration{1});
        deviation_ = sample / 2;
        return;
    }
    const Duration error = sample - mean_;
    mean_ = std::max(mean_ + error / 8, Duration{1});
    deviation_ += (std::max(error, -error) - deviation_) / 4;
}

void Detector::on_heartbeat(Instant now) {
    on_sign_of_life(now);
    if (!last_beat_.is_never()) gap_.add(now - last_beat_);
    last_beat_ = now;
}

std::uint64_t Detector::on_sent(Instant now, bool busy) {
    const auto sequence = ++sent_count_;
    sent_[sequence % kRemembered] = busy ? Instant::never() : now;
    return sequence;
}

void Detector::on_answer(std::uint64_t sequence, Instant now, bool busy) {
    if (busy || sequence > sent_count_ || sequence + kRemembered <= sent_count_) return;
    const auto at = std::exchange(sent_[sequence % kRemembered], Instant::never());
    if (!at.is_never()) round_trip_.add(now - at);  // one sample each
}

Duration Detector::limit(const Timings& t) const {
    if (!gap_.known()) return t.limit_cap;
    return std::clamp(2 * gap_.mean() + 6 * gap_.deviation(), t.limit_floor, t.limit_cap);
}

}  // namespace gossamer::membership
