// A gossip algorithm: what a peer sends in a step, how it weighs what it hears, and what it makes
// of the mixture. The frame around it trains, sends, waits, mixes, evaluates and recovers.
//
// One step, for every peer alike:
//
//  start ─train> trained ─prepare?> outgoing ─send, hear> mixed ─combine?> next
//
// The mixture is Σ weight · model over the own outgoing model and those heard, in PeerId order, in
// double, rounded once. An algorithm is immutable and shared; its state is a value. It decides in
// small const functions and does its arithmetic in pure ones that run as jobs, so a step with the
// same inputs gives the same bits everywhere. Steps are numbered from 1: step s makes model s.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/options.hpp"
#include "gossamer/job/job.hpp"

namespace gossamer::gossip {

using message::kPayloadBytesMax;

// What is sent. `start` is known before training, so sending and training overlap.
enum class Sends : std::uint8_t { trained, start, prepared };

// What an algorithm promises and what it costs, for the operator, the checks and the tests.
struct Contract {
    std::string name;
    Sends sends = Sends::trained;
    unsigned kept_models = 0;  // model copies beyond the current one
    // Whether combine() reads the model that the step began with. One that does not is let go once
    // training is done, so that a peer holds one copy while it waits for its neighbours.
    bool needs_start = true;
    // The mean of all models moves by the local steps alone, when no message is lost and the
    // weights are doubly stochastic. Checked on steps without loss.
    bool preserves_mean = true;
};

struct Edge {
    PeerId peer;
    double weight = 0;  // multiple of 2^-24
};

// The step as one peer sees it.
struct StepView {
    std::uint64_t step = 0;  // from 1
    PeerId self;
    double self_weight = 1;       // 1 - Σ of the in-edges' weights
    std::span<const Edge> in;     // whom it hears, in PeerId order
    std::span<const PeerId> out;  // to whom it sends
};

// What came from one neighbour for this step.
struct Received {
    PeerId from;
    std::uint64_t sample_count = 0;  // in its local training set
    double loss = 0;                 // of its local training
    Bytes payload;                   // from its payload(); at most kPayloadBytesMax, never trusted
};

// How much each counts: `heard` in the order of the Received; with self they sum to 1.
struct MixWeights {
    double self = 1;
    std::vector<double> heard;
};

// A pure function (models, state) -> (models', state'), run as a job. See the hooks for its inputs.
struct Arithmetic {
    std::string name;  // for logs and traces
    std::function<Result<job::ComputeOutput>(job::ComputeInput&)> run;
};

class Algorithm {
public:
    virtual ~Algorithm() = default;

    virtual Contract contract() const = 0;

    // State of a new run; and from what save() of it gave, after a restart. A peer that catches up
    // from a neighbour's model starts with fresh state. Kept models start absent each time.
    virtual job::State fresh_state() const { return nullptr; }
    virtual Result<job::State> load_state(ByteView) const { return fresh_state(); }

    // Travels with the model to every out-neighbour; at most kPayloadBytesMax.
    virtual Bytes payload(const StepView&, const job::State&) const { return {}; }

    // The weights of this step. By default those of the topology, the weight of a neighbour that
    // was not heard going to self. `heard` is in PeerId order and may lack some of view.in.
    virtual MixWeights weights(const StepView& view, std::span<const Received> heard,
                               const job::State&) const;

    // The model to send and to mix, REQUIRED when the contract says Sends::prepared.
    // in:  models {start, trained, kept...}; kept ones are missing in the first step
    // out: models {outgoing}
    virtual std::optional<Arithmetic> prepare(const StepView&) const { return std::nullopt; }

    // The next model out of the mixture; without it the mixture is the next model.
    // in:  models {start, trained, mixed, kept...}; kept ones are missing in the first step, and
    //      start and trained do not exist when the contract does without the start
    // out: models {next, kept'...}, exactly 1 + kept_models, and the state of the next step
    virtual std::optional<Arithmetic> combine(const StepView&,
                                              std::span<const Received> heard) const;
};
using AlgorithmRef = std::shared_ptr<const Algorithm>;

// How an algorithm is named, configured and made. A program lists its own beside the built-in ones.
struct AlgorithmEntry {
    std::string name;     // gossip.algorithm = "..."
    std::string summary;  // one line, for `config show` and errors
    OptionTable options;  // keys "gossip.<name>.<option>"
    std::function<Result<AlgorithmRef>(const OptionSource&)> make;
};
std::vector<AlgorithmEntry> built_in_algorithms();
// kAlgorithmUnknown, listing the names. `more` comes after the built-in ones.
Result<AlgorithmRef> make_algorithm(std::string_view name, const OptionSource& options,
                                    std::span<const AlgorithmEntry> more = {});

// D-PSGD (Lian et al., NeurIPS 2017, arXiv:1705.09056) with H local steps.
AlgorithmRef d_psgd();      // step, then average: x' = W·(x - η·g)   ("adapt then combine")
AlgorithmRef d_psgd_awc();  // average and step:   x' = W·x - η·g     ("adapt with combine")

}  // namespace gossamer::gossip
