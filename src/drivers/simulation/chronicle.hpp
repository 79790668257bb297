// What a simulation remembers for its records, its report and its progress line: one row a round,
// curves with their spread over peers, and who did what when.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <span>
#include <vector>

#include "drivers/simulation/consensus.hpp"
#include "drivers/simulation/scenario.hpp"
#include "drivers/simulation/world.hpp"

namespace gossamer::simulation {

// Of the peers' values at one round.
struct Spread {
    std::size_t count = 0;
    double sum = 0, least = 0, most = 0;
    std::vector<float> values;  // one a peer, in order of arrival, while there is room
    void add(double x, bool keep = false) {
        if (keep) values.push_back(static_cast<float>(x));
        least = count ? std::min(least, x) : x;
        most = count ? std::max(most, x) : x;
        sum += x;
        ++count;
    }
    double mean() const { return sum / static_cast<double>(count); }
};

struct Row {
    Instant at;  // of the latest news of it
    Spread accuracy, loss, train_loss, distance;
    Spread client_accuracy, client_train_loss;  // of federated runs, where clients report them
    std::uint64_t bytes = 0;                    // sent by all, so far
    std::uint32_t accepted = 0, late = 0, refused = 0, left_out = 0;
};
// What a place does; a job that does not train (mix, encode, evaluate) is work too.
enum class Doing : std::uint8_t { train, work, send };
struct Busy {
    Instant from, until;
    Doing doing{};
};
struct MemberEvent {
    Instant at;
    PlaceIndex seen_by = 0;
    PeerId peer;
    message::MemberState to{};
    std::string reason;
};
struct StateEvent {
    Instant at;
    PlaceIndex place = 0;
    PlaceState state{};
};

// Of one code: all say much the same, each with its round and peer.
struct Warnings {
    std::uint64_t count = 0;
    std::string first;
};

class Chronicle final : public Observer {
public:
    static constexpr std::size_t kTimelinePlaces = 64, kBusyMax = 4'096, kEventsMax = 5'000,
                                 kFailuresMax = 10;
    static constexpr std::size_t kValuesMax = 1'000'000;  // of all rows

    explicit Chronicle(const Scenario& scenario);
    void attach(const World& world) { world_ = &world; }

    bool follows(PlaceIndex place) const override { return place < busy_.size(); }
    // Whether it wants a sample of the place's model with this notice; and that, on any thread.
    bool wants_sample(const message::Notice& notice) const;
    std::vector<float> sample(const tensor::Model& model) const { return consensus_.sample(model); }
    void on_notice(Instant now, PlaceIndex place, const message::Notice& notice,
                   const Moment& moment) override;
    void on_busy(PlaceIndex place, Instant from, Instant until, bool training) override;
    void on_send(PlaceIndex place, Instant from, Instant until) override;
    void on_state(Instant now, PlaceIndex place, PlaceState state) override;
    void on_fault(Instant now, const Fault& fault, bool begins) override;

    // Handed every notice too, for what else wants to see them.
    std::function<void(Instant, PlaceIndex, const message::Notice&)> also;

    const std::map<std::uint64_t, Row>& rows() const { return rows_; }
    ConsensusMeter& consensus() { return consensus_; }
    // Of the first places, in the order in which each began.
    const std::vector<std::vector<Busy>>& busy() const { return busy_; }
    Instant busy_until() const { return busy_until_; }  // from here on it is not whole; or never
    const std::vector<MemberEvent>& members() const { return members_; }
    // Without the first start of those that the timeline does not show.
    const std::vector<StateEvent>& states() const { return states_; }
    bool states_cut() const { return states_cut_; }
    const std::vector<std::pair<Instant, std::string>>& faults() const { return faults_; }
    const std::vector<double>& accuracy_of_peers() const { return accuracy_; }  // last; NaN
    // Of gossip: rows below it change no more, but by who was away then. By what has happened in
    // the world alone, so that who writes them as they settle writes the same in every run.
    std::uint64_t settled() const { return settled_; }
    std::uint64_t round() const { return round_; }  // the last one known to be complete
    double accuracy() const;                        // the latest; NaN
    double loss() const;
    std::uint64_t client_updates() const { return updates_; }
    const std::string& end_reason() const { return end_reason_; }
    // What the aggregator said last of the end, or all peers that finished; false: nobody did.
    bool reached() const;
    // Of all evaluations that a stop rule would count; below 0: there was none.
    double best_accuracy() const { return best_accuracy_; }
    const std::string& model() const { return model_; }
    const std::map<ErrorCode, Warnings>& warnings() const { return warnings_; }
    // Whose own work failed, the first ones: "peer 3, round 7, seed 1: ..."; and how often.
    const std::vector<std::string>& failures() const { return failures_; }
    std::uint64_t failure_count() const { return failure_count_; }

private:
    Row& row(std::uint64_t round, Instant now);
    void add(Spread& spread, double value);
    void busy(PlaceIndex place, const Busy& what);
    void count(PlaceIndex place, bool there, std::uint64_t step);
    const Scenario& scenario_;
    const World* world_ = nullptr;
    std::map<std::uint64_t, Row> rows_;
    std::vector<std::vector<Busy>> busy_;
    Instant busy_until_ = Instant::never();
    std::size_t values_kept_ = 0;
    std::vector<bool> started_;
    bool states_cut_ = false;
    ConsensusMeter consensus_;
    std::vector<MemberEvent> members_;
    std::vector<StateEvent> states_;
    std::vector<std::pair<Instant, std::string>> faults_;
    std::vector<double> accuracy_;
    std::uint64_t round_ = 0, updates_ = 0, settled_ = 0;
    std::vector<std::uint64_t> steps_;                // by peer: the last it mixed
    std::vector<bool> there_;                         // by peer
    std::map<std::uint64_t, std::uint32_t> at_step_;  // how many of those that are there
    std::string end_reason_, model_;
    enum class Said : std::uint8_t { nothing, missed, reached };
    std::vector<Said> said_;  // by place: how the run ended for it, in this life
    double best_accuracy_ = -1;
    std::map<ErrorCode, Warnings> warnings_;
    std::vector<std::string> failures_;
    std::uint64_t failure_count_ = 0;
};

}  // namespace gossamer::simulation
