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

void Detector::on_heartbeat(Instant now, const message::Heartbeat& beat, bool busy) {
    on_sign_of_life(now);
    if (!last_beat_.is_never()) gap_.add(now - last_beat_);
    last_beat_ = now;
    echo_ = beat.busy ? 0 : beat.sequence;
    if (beat.echo == 0 || beat.echo > sent_count_ || beat.echo + kRemembered <= sent_count_) return;
    const auto sent = std::exchange(sent_[beat.echo % kRemembered], Instant::never());  // once each
    if (sent.is_never() || busy || beat.busy) return;
    const auto took = now - sent;
    // Whoever says that it held it for longer than we waited is wrong or lies.
    if (beat.echo_age_ns < static_cast<std::uint64_t>(took.count()))
        round_trip_.add(took - Duration{static_cast<std::int64_t>(beat.echo_age_ns)});
}

void Detector::on_sent(Instant now, message::Heartbeat& beat) {
    beat.sequence = ++sent_count_;
    sent_[beat.sequence % kRemembered] = beat.busy ? Instant::never() : now;
    beat.echo = std::exchange(echo_, 0);
    if (beat.echo) beat.echo_age_ns = static_cast<std::uint64_t>((now - last_beat_).count());
}

Duration Detector::limit(const Timings& t) const {
    if (!gap_.known()) return t.limit_cap;
    return std::clamp(2 * gap_.mean() + 6 * gap_.deviation(), t.limit_floor, t.limit_cap);
}

}  // namespace gossamer::membership
