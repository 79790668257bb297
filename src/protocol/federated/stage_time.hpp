// How long a client usually takes for one thing (to receive the model, to train, to upload): a
// smoothed mean and deviation in the manner of RFC 6298, so that patience follows measurement.
#pragma once

#include <algorithm>

#include "gossamer/base/time.hpp"

namespace gossamer::federated {

class StageTime {
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

}  // namespace gossamer::federated
