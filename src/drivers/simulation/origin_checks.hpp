// Where what counts came from: a payload that enters a sum, a mixture or a replica must be the very
// one that its sender offered for that round, unaltered, and an update must have been trained from
// the model of that round. Told by identity of handles and a few coordinates, so that it costs
// nothing beside the work itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "drivers/simulation/arithmetic_checks.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::simulation {

class OriginChecks {
public:
    explicit OriginChecks(const Scenario& scenario);
    void on_offer(std::uint32_t place, const job::Offer& offer);
    // The name of the model it starts from; 0 where that is of no interest.
    std::uint64_t name_of(const job::TrainJob& job) const;
    void on_train(std::uint32_t place, std::uint64_t round, std::uint64_t start);

    // What is wrong with it; empty when nothing is. `from`: the place of the sender.
    std::string of_update(std::uint32_t from, const job::AccumulateJob& job, std::uint64_t round,
                          std::span<const float> base);
    std::string of_mixed(std::uint32_t from, const job::MixInput& input, std::uint64_t step) const;
    std::string of_copy(std::uint32_t from, const job::DecodeJob& job) const;

private:
    struct Made {
        message::TransferKind kind{};
        std::uint64_t round = 0;
        const void* payload = nullptr;
        bool is(message::TransferKind kind, std::uint64_t round, const void* payload) const;
    };
    struct Place {
        std::vector<Made> made;  // the last few, oldest first
        std::uint64_t trained_round = 0, trained_from = 0;
    };
    std::uint64_t name_of(std::span<const float> model) const;
    std::string offered(std::uint32_t from, message::TransferKind kind, std::uint64_t round,
                        const void* payload) const;

    const Scenario& scenario_;
    Probe probe_;
    std::vector<Place> places_;
    job::Sum sum_;            // of the round under way; held, so that the next one is another
    std::uint64_t base_ = 0;  // the name of its model; 0: not known
};

}  // namespace gossamer::simulation
