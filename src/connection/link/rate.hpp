// Bytes per second while there was something to move: an average over the last second or so of
// activity. Pauses do not count as slowness.
#pragma once

#include <algorithm>
#include <cstdint>

#include "gossamer/base/time.hpp"

namespace gossamer::link {

class RateMeter {
public:
    explicit RateMeter(double rate = 0) : rate_(rate) {}
    void begin(Instant now) {  // something waits to be moved
        if (!active_) active_ = true, since_ = now;
    }
    void moved(Instant now, std::uint64_t bytes) {
        if (!active_) return;
        bytes_ += bytes;
        const auto elapsed = now - since_;
        if (elapsed < 5ms) return;
        const double sample = static_cast<double>(bytes_) / seconds(elapsed);
        const double weight = std::min(1.0, 0.1 + seconds(elapsed));
        rate_ = rate_ == 0 ? sample : rate_ + weight * (sample - rate_);
        since_ = now;
        bytes_ = 0;
    }
    void end() { active_ = false, bytes_ = 0; }        // nothing waits any more
    double bytes_per_second() const { return rate_; }  // 0 = not known yet

private:
    bool active_ = false;
    Instant since_;
    std::uint64_t bytes_ = 0;
    double rate_;
};

}  // namespace gossamer::link
