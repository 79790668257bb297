// How long clients usually take for one thing (to receive the model, to train, to upload): a
// smoothed mean and deviation in the manner of RFC 6298, so that patience follows measurement.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>

#include "gossamer/base/time.hpp"

namespace gossamer::federated {

class StageTime {  // of one client
public:
    void measured(Duration d) {
        if (!known()) {
            mean_ = std::max(d, Duration{1}), deviation_ = d / 2;
            return;
        }
        auto off = d > mean_ ? d - mean_ : mean_ - d;
        deviation_ += (off - deviation_) / 4;
        mean_ = std::max(mean_ + (d - mean_) / 8, Duration{1});
    }
    bool known() const { return mean_ > Duration{}; }
    Duration usual_most() const { return mean_ + 4 * deviation_; }

private:
    Duration mean_{}, deviation_{};
};

// The slowest of all clients known, for those who are not: absolutely, and per sample, counting
// each with the samples that it had when it was last measured.
class SlowestTimes {
public:
    struct Entry {  // what one client contributes; it keeps this for us
        Duration usual{};
        double per_sample = 0;  // seconds
    };
    void update(Entry& entry, const StageTime& time, std::uint64_t samples) {
        if (entry.usual > Duration{}) {
            usual_.erase(usual_.find(entry.usual));
            per_sample_.erase(per_sample_.find(entry.per_sample));
        }
        entry.usual = time.usual_most();
        entry.per_sample =
            seconds(entry.usual) / static_cast<double>(std::max<std::uint64_t>(samples, 1));
        usual_.insert(entry.usual);
        per_sample_.insert(entry.per_sample);
    }
    bool known() const { return !usual_.empty(); }
    Duration usual() const { return *usual_.rbegin(); }
    double per_sample() const { return *per_sample_.rbegin(); }

private:
    std::multiset<Duration> usual_;
    std::multiset<double> per_sample_;
};

}  // namespace gossamer::federated
