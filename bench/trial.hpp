// One trial of real daemons on this host: made, started, watched until its rounds are done, and
// asked what they took.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/world.hpp"

namespace gossamer::bench {

// Prints the JSON line that bench.py reads.
struct Figure {
    std::string name, unit;
    double value = 0, limit = 0, ratio = 0, goal = 1;
};
void print(const Figure& figure);

double median(std::vector<double> values);

struct TrialPlan {
    std::string name, mode = "federated";
    unsigned peer_count = 8;
    std::size_t parameter_count = 256;
    unsigned round_count = 10;  // 0: it waits for one peer more than there are
    cli::Options options;
};

class Trial {
public:
    // Exits with a message when anything fails: a benchmark has nothing to go on with.
    explicit Trial(const TrialPlan& plan);
    ~Trial();
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    // Until the aggregator has done so many rounds.
    void reach(unsigned round);
    // Until all daemons have done their rounds.
    void run();
    // Until `count` members are alive in the eyes of each.
    void wait_for_members(std::size_t count);
    void stop();

    // Seconds between two events of this name in a daemon's records. After stop().
    std::vector<double> periods(const cli::Daemon& daemon, const std::string& event) const;
    cli::World& world() { return *world_; }
    const std::string& folder() const { return folder_; }

private:
    [[noreturn]] void abandon(const std::string& why);  // leaves no daemon behind
    void watch(double patience_seconds, const std::function<bool()>& done);
    TrialPlan plan_;
    std::string folder_;
    std::optional<cli::World> world_;
};

}  // namespace gossamer::bench
