// How long clients usually take for one thing (to receive the model, to train, to upload): a
// smoothed mean and deviation in the manner of RFC 6298, so that patience follows measurement.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

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
    // `number`: what the client is known by here, which it keeps for us; 0 before its first time.
    void update(std::uint32_t& number, const StageTime& time, std::uint64_t samples) {
        if (number == 0) number = ++count_;
        const auto usual = time.usual_most();
        usual_.set(number - 1, usual);
        per_sample_.set(number - 1,
                        seconds(usual) / static_cast<double>(std::max<std::uint64_t>(samples, 1)));
    }
    bool known() const { return count_ > 0; }
    Duration usual() const { return usual_.largest(); }
    double per_sample() const { return per_sample_.largest(); }

private:
    // Set at each measurement, asked for rarely: a heap whose outdated entries are found when they
    // are its largest.
    template <class T>
    class Largest {
    public:
        void set(std::uint32_t number, T value) {
            if (number == now_.size()) now_.emplace_back();
            now_[number] = value;
            heap_.emplace_back(value, number);
            std::push_heap(heap_.begin(), heap_.end());
            if (heap_.size() < kOutdated * now_.size() + kLeast) return;
            heap_.clear();
            for (std::uint32_t i = 0; i < now_.size(); ++i) heap_.emplace_back(now_[i], i);
            std::make_heap(heap_.begin(), heap_.end());
        }
        T largest() const {
            while (now_[heap_.front().second] != heap_.front().first) {
                std::pop_heap(heap_.begin(), heap_.end());
                heap_.pop_back();
            }
            return heap_.front().first;
        }

    private:
        static constexpr std::size_t kOutdated = 2, kLeast = 64;
        std::vector<T> now_;
        mutable std::vector<std::pair<T, std::uint32_t>> heap_;
    };
    std::uint32_t count_ = 0;
    Largest<Duration> usual_;
    Largest<double> per_sample_;
};

}  // namespace gossamer::federated
