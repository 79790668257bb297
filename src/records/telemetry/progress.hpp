// Where a run is, in one line: round, loss, accuracy, peers alive, bytes, time left.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "gossamer/message/notice.hpp"

namespace gossamer::telemetry {

// Follows a run through its notices and counters. A value; no clock of its own.
class RunProgress {
public:
    static constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

    // `round_max` 0 = the run has no fixed number of rounds.
    RunProgress(std::string run, std::uint64_t round_max, WallTime start)
        : run_(std::move(run)), round_max_(round_max), start_(start) {}

    void take(const message::Notice& notice, WallTime wall);
    void on_traffic(std::uint64_t sent_bytes, std::uint64_t received_bytes) {
        sent_bytes_ = sent_bytes, received_bytes_ = received_bytes;
    }
    // "demo  round 12/50  loss 0.412  accuracy 0.851  peers 7/8  sent 12.1 MB  18s left"
    std::string line(WallTime now) const;
    std::optional<Duration> time_left(WallTime now) const;  // at the pace so far

    std::uint64_t round() const { return round_; }
    double loss() const { return loss_; }  // in training
    // Of the last evaluation; while there was none of our own, of the clients' mean.
    double accuracy() const { return accuracy_; }
    double test_loss() const { return test_loss_; }
    bool evaluates_itself() const { return own_accuracy_; }
    double best_accuracy() const { return best_accuracy_; }
    // Members other than this one, by what is believed of them.
    std::size_t count_of(message::MemberState state) const {
        return member_counts_[static_cast<std::size_t>(state)];
    }

private:
    void on_round(std::uint64_t round, WallTime wall);
    std::string run_;
    std::uint64_t round_max_ = 0, round_ = 0;
    WallTime start_;
    struct Mark {  // the first round seen, to measure the pace from
        std::uint64_t round;
        WallTime wall;
    };
    std::optional<Mark> first_;
    double loss_ = kUnknown, test_loss_ = kUnknown;
    double accuracy_ = kUnknown, best_accuracy_ = kUnknown;
    bool own_accuracy_ = false, federated_ = false;
    std::uint64_t evaluated_ = 0;  // round of the accuracy
    std::map<PeerId, message::MemberState> members_;
    std::array<std::size_t, 4> member_counts_{};  // by state
    std::uint64_t sent_bytes_ = 0, received_bytes_ = 0;
    std::string waiting_;
};

}  // namespace gossamer::telemetry
