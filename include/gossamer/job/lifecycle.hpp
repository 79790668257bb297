// What a run is, when it ends, and what its members must agree on. The same in both modes.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/job/job.hpp"
#include "gossamer/message/message.hpp"
#include "gossamer/message/notice.hpp"

namespace gossamer::job {

struct RunConfig {
    std::string name = "run";
    message::Mode mode = message::Mode::federated;
    std::uint64_t rounds = 0;    // steps or rounds; 0 = no limit
    double target_accuracy = 0;  // in (0, 1]; 0 = none
    std::uint64_t patience = 0;  // evaluations without a better accuracy; 0 = none
    Duration wall_time{};        // zero = none
    RunSeed seed;
    std::uint64_t peers = 1;      // how many must be here before it begins
    std::vector<PeerId> roster;   // sorted; empty = whoever the federation's certificates let in
    std::string folder = "runs";  // run folders are made inside
    bool resume = true;           // go on from the last checkpoint when there is one
};
OptionTable run_options();
// Errors: kConfigConflict when nothing would ever end the run, or when the roster is shorter than
// the number of peers to wait for; kConfigType for a roster entry that is no PeerId.
Result<RunConfig> run_config(const OptionSource& source);

// What all members of a run must share, as one digest that Join carries: name, mode, seed and
// layout; in gossip also the number of steps and the roster. Rooms add their own lines.
class SharedSettings {
public:
    SharedSettings(const RunConfig& run, const Digest128& layout);
    void add(std::string_view key, std::string_view value);
    Digest128 digest() const;  // the order of the calls does not matter
    const std::vector<std::string>& lines() const { return lines_; }  // "seed = 42", for the log

private:
    std::vector<std::string> lines_;  // sorted
};

// When a run ends. Told of rounds, evaluations and the time, it answers once there is a reason, and
// from then on always with that one. A value: copy it, save it in the run's record.
class StopRule {
public:
    StopRule() = default;
    explicit StopRule(const RunConfig& run);

    // The run begins, or goes on after a restart: the wall time already used still counts.
    void on_begin(Instant now);
    void on_round(std::uint64_t completed);  // steps or rounds that are complete
    // Of the model of `round`; hand over each model's figures once, in the order of rounds. The
    // loss decides where the accuracy is NaN; where that is NaN too, it counts as no better.
    void on_evaluation(std::uint64_t round, double accuracy, double loss);
    void on_time(Instant now);

    // "20 rounds are complete", "accuracy 0.912 reached the target 0.9"; empty while it goes on.
    const std::optional<std::string>& reason() const { return reason_; }
    Instant deadline() const;  // of the wall time; never() when there is none or it has ended
    std::uint64_t best_round() const { return best_round_; }

    Bytes save(Instant now) const;  // at most 64 bytes; a reason is not saved, it comes again
    // Takes what save() wrote; false, and nothing changed, when it is not that.
    bool load(ByteView saved);

private:
    void end(std::string reason);
    void judge();
    std::uint64_t rounds_ = 0, patience_ = 0;
    double target_ = 0;
    Duration wall_time_{}, used_before_{};
    Instant begun_ = Instant::never();
    double best_ = -std::numeric_limits<double>::infinity();  // accuracy, or the loss below zero
    std::uint64_t best_round_ = 0, without_better_ = 0;
    std::optional<std::string> reason_;
};

// What the last checkpoint of a run gave back when the program started; a core takes it instead of
// a fresh start. The record is the newest one on disk, also when it was written without a model
// after the checkpoint that holds the model.
struct Restored {
    std::uint64_t round = 0;  // of the model
    tensor::Model model;
    Digest256 identity;
    Bytes record;
    std::vector<std::pair<std::string, Bytes>> states;  // by name, as they were saved
};

// What a core does now; a node adds its members and shows it to the operator.
struct CoreStatus {
    message::Phase phase{};
    std::uint64_t round = 0, round_max = 0;  // completed, and where it ends (0 = open)
    double loss = 0, accuracy = 0;           // NaN until known
    std::vector<message::Waiting> waiting;
};

}  // namespace gossamer::job
