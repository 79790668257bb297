// Strategy: the server's rule in federated learning: which clients train, what they are told, and
// how their deltas become the next model.
//
// The round engine does all the rest: it asks select() when a round is planned, configure() once a
// client, and runs aggregate() as a job, off the core's thread, when the round's updates are in.
// A strategy is immutable and may be used from any thread; what it remembers between rounds is a
// job::State that it returns and gets back, that every checkpoint keeps, and that load_state()
// reads again. The same inputs must give the same bits: no clock, no randomness but
// gossamer::stream, no libm in what reaches the model (portable_log, portable_exp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/codec/codec.hpp"
#include "gossamer/job/job.hpp"
#include "gossamer/tensor/buffer.hpp"

namespace gossamer::federated {

struct Candidate {  // a peer that is here and has data
    PeerId peer;
    std::uint64_t sample_count = 0;
};
struct Selection {
    std::uint64_t round = 0;
    RunSeed seed;
    std::uint32_t attempt = 0;              // 0, then 1, 2 ... when a round had to be repeated
    std::span<const Candidate> candidates;  // in PeerId order, at least one
    double fraction = 1;                    // federated.fraction
    std::uint64_t clients_min = 1;          // federated.clients_min
    double over_provision = 1;              // federated.over_provision
};
struct Cohort {
    std::vector<PeerId> peers;  // invited: distinct candidates, any order, at least one
    std::size_t wanted = 0;     // the round is complete with so many; 1 .. peers.size()
};
// max(clients_min, ceil(fraction · candidates)) are wanted, over_provision times as many invited,
// drawn by stream(seed, Purpose::selection, round, attempt).
Cohort select_at_random(const Selection& selection);

struct ClientSettings {                               // what a client is told with RoundStart
    std::uint32_t local_epochs = 1, local_steps = 0;  // steps win when not 0
    double proximal_mu = 0;  // adds (mu/2)·‖w − w_global‖² to the client's loss (FedProx)
};

// One accepted delta, for rules that need the set. Still encoded: decode it block by block.
struct AcceptedDelta {
    PeerId peer;
    double weight = 0;  // its sample count
    ByteView encoded;
    const codec::Codec* codec = nullptr;
    std::size_t parameter_count = 0;

    // out = the values [first, first + out.size()). REQUIRES first a multiple of codec::kBlock.
    void decode(std::span<float> out, std::size_t first) const {
        codec->decode(out, encoded, parameter_count, first);
    }
};
struct Aggregation {
    std::uint64_t round = 0;
    std::span<const float> current;  // the model all deltas start from
    // In: the mean delta, weighted by samples. Out: the next model.
    std::span<float> next;
    std::span<const AcceptedDelta> deltas;  // in PeerId order; empty unless traits().needs_set
    std::size_t accepted_count = 0;
    job::State state;  // null in the first round
    tensor::PoolRef pool;
};

struct StrategyTraits {
    std::string_view name;
    // aggregate() reads the single deltas. Costs the memory of the whole cohort: the round is
    // refused before it starts when federated.set_memory cannot hold it.
    bool needs_set = false;
};

class Strategy {
public:
    virtual ~Strategy() = default;
    virtual StrategyTraits traits() const = 0;

    virtual Cohort select(const Selection& selection) const { return select_at_random(selection); }
    virtual ClientSettings configure(const PeerId&, std::uint64_t /*round*/,
                                     const ClientSettings& defaults) const {
        return defaults;
    }
    // Makes the next model in place; returns the state for the next round. An error, or an element
    // that is not finite, ends the run with the model as it was.
    virtual Result<job::State> aggregate(const Aggregation& in) const = 0;

    // Reads what the state's save() wrote. Errors: kCheckpointFormat.
    virtual Result<job::State> load_state(ByteView saved, std::size_t parameter_count) const;
};
using StrategyRef = std::shared_ptr<const Strategy>;

// State made of vectors as long as the model: momentum, second moments.
class VectorState : public job::StateValue {
public:
    explicit VectorState(std::vector<tensor::Buffer> vectors) : vectors_(std::move(vectors)) {}
    std::span<const float> operator[](std::size_t k) const { return vectors_[k].floats(); }
    std::size_t size() const { return vectors_.size(); }
    Bytes save() const override;

    // Errors: kCheckpointFormat when it is not `vector_count` vectors of that length.
    static Result<job::State> load(ByteView saved, std::size_t vector_count,
                                   std::size_t parameter_count);
    // The vectors of a state, or zeros when there is none yet. REQUIRES a VectorState, or null.
    static std::vector<tensor::Buffer> copy_or_zeros(const job::State& state,
                                                     std::size_t vector_count,
                                                     std::size_t parameter_count,
                                                     const tensor::PoolRef& pool);

private:
    std::vector<tensor::Buffer> vectors_;
};

// How a strategy is named, configured and made. A program lists its own beside the built-in ones.
struct StrategyEntry {
    std::string name;     // federated.strategy = "..."
    std::string summary;  // one line, for `config show` and errors
    OptionTable options;  // keys "federated.<name>.<option>"
    std::function<Result<StrategyRef>(const OptionSource&)> make;
};
std::vector<StrategyEntry> built_in_strategies();
// kAlgorithmUnknown, listing the names. `more` comes after the built-in ones.
Result<StrategyRef> make_strategy(std::string_view name, const OptionSource& options,
                                  std::span<const StrategyEntry> more = {});

// FedAvg (McMahan et al., AISTATS 2017, arXiv:1602.05629): x' = x + server_rate · mean delta.
StrategyRef fed_avg(double server_rate = 1);
// FedAvgM (Hsu et al., arXiv:1909.06335):
// v' = momentum · v + mean delta; x' = x + server_rate · v'.
StrategyRef fed_avg_m(double momentum = 0.9, double server_rate = 1);

}  // namespace gossamer::federated
