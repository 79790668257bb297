// The arithmetic of a run, worked out again in double in a few coordinates: mixtures of gossip, and
// the sums of federated rounds.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/simulation/scenario.hpp"
#include "gossamer/job/job.hpp"
#include "gossamer/message/notice.hpp"

namespace gossamer::simulation {

using AfterJob = std::function<void(const job::Job&, bool done)>;

// A few coordinates of a vector, spread over it; those of an encoded one can be read alone.
class Probe {
public:
    explicit Probe(std::size_t count);
    std::vector<double> of(std::span<const float> values) const;
    std::vector<double> of(const tensor::Model& model) const;
    std::optional<std::vector<double>> of(const codec::Codec& codec, ByteView encoded) const;
    template <class F>
    void each(F&& at) const {  // at(index into what of() gives, coordinate)
        std::size_t i = 0;
        for (auto first : firsts_)
            for (std::size_t k = 0; k < width_; ++k) at(i++, first + k);
    }

private:
    std::size_t count_, width_ = 0;
    std::vector<std::size_t> firsts_;  // multiples of codec::kBlock
};

// How far one encoded value may lie from the original, relative to the largest; empty when unknown.
std::optional<double> codec_error(std::string_view name);

class MixChecks {
public:
    explicit MixChecks(const Scenario& scenario);
    AfterJob before(std::uint32_t place, const job::MixJob& job);
    // What is wrong with the step that ended; empty when nothing is.
    std::string on_mixed(const message::Mixed& notice, const std::shared_ptr<void>& taken);
    // What the place mixed last, when it says so; for on_mixed().
    std::shared_ptr<void> take(std::uint32_t place) {
        return place < mixes_.size() ? std::exchange(mixes_[place], nullptr) : nullptr;
    }
    // A life ended: steps near the present may be mixed from two versions of one model.
    void on_life(std::uint32_t place);

private:
    struct Mix {
        bool done = false;
        double weight_sum = 0;
        std::vector<double> own, low, high, mean, out;
    };
    struct Step {
        std::size_t mixed = 0;
        bool spoilt = false;
        double largest = 0;
        std::vector<double> before, after;
    };
    std::string wrong_in(const Mix& mix) const;
    std::string add_to_step(const message::Mixed& notice, const Mix& mix);

    const Scenario& scenario_;
    Probe probe_;
    std::optional<double> error_;              // of the codec
    bool mean_kept_ = false;                   // promised by algorithm, graph and weights
    std::vector<std::shared_ptr<Mix>> mixes_;  // under way, by place
    std::map<std::uint64_t, Step> steps_;
    std::uint64_t newest_ = 0, spoilt_until_ = 0;
};

class SumChecks {
public:
    explicit SumChecks(const Scenario& scenario);
    // `base`: the aggregator's model, of the round under way; may be empty.
    AfterJob before(const job::AccumulateJob& job, std::uint64_t round, std::span<const float> base,
                    std::optional<std::uint32_t> client);
    std::string wrong();  // found before a sum; then forgotten
    std::string on_finished(const message::RoundFinished& notice, std::span<const float> model);
    void on_life();

private:
    struct Term {
        double weight = 0;
        bool done = false;
        std::vector<double> delta;
    };
    std::string wrong_delta(const Term& term, std::uint32_t client, std::uint64_t round) const;

    const Scenario& scenario_;
    Probe probe_;
    std::optional<double> error_;
    bool plain_mean_ = false;  // next = base + mean
    std::uint32_t steps_ = 1;  // of local training
    job::Sum sum_;             // held, so that the next one is another
    std::vector<double> base_;
    std::map<PeerId, std::shared_ptr<Term>> terms_;
    std::string wrong_;
};

}  // namespace gossamer::simulation
