// Jobs: everything heavy a core asks for. Inputs and outputs are handles; a core never looks into
// them. The output handle exists, as a promise, from the moment the job is asked for, so a core can
// start the consumer at once; the executor then runs the chain back to back on one core of the
// machine while the data is in cache (design §3).
//
// A job is answered once, by on_job_done with the Done struct of its kind, or an Error (kCancelled
// when it was cancelled or its input never came). Jobs take their inputs by value: a handle that
// the core no longer holds elsewhere may be written in place.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/message/transfer.hpp"
#include "gossamer/tensor/exact_sum.hpp"
#include "gossamer/tensor/handle.hpp"
#include "gossamer/tensor/state.hpp"
#include "gossamer/tensor/sum.hpp"

namespace gossamer::job {

struct JobId {
    std::uint64_t value = 0;
    auto operator<=>(const JobId&) const = default;
};

// The order in which the executor serves them, named with each order: it depends on who waits more
// than on the kind of job. A long train job yields between batches.
enum class JobClass : std::uint8_t {
    urgent = 0,  // what came from others waits in memory: decode, accumulate, mix, combine
    normal = 1,  // the step or round waits: first model, encode, aggregate, identify, a client's or
                 // a gossip peer's evaluation, a round's checkpoint
    train = 2,
    background = 3,  // nobody waits: the aggregator's evaluation, checkpoints of gossip
};

// State that travels through jobs unseen: of an optimiser, a codec, a strategy. Null = fresh.
using StateValue = tensor::StateValue;
using State = tensor::State;

// State as a checkpoint gave it back; whoever it belongs to reads it from save().
class SavedState final : public StateValue {
public:
    explicit SavedState(Bytes bytes) : bytes_(std::move(bytes)) {}
    Bytes save() const override { return bytes_; }

private:
    Bytes bytes_;
};

// ---- learning -----------------------------------------------------------------------------------

struct InitialModelJob {  // the run's first model, from the run's seed
    tensor::Model out;
};
struct InitialModelDone {};

// What leaves a train job: `out`, or the encoded weights - start, as EncodeJob would make them of
// both. Whoever wants no more than those asks for them here, so that a trainer on a graphics card
// compresses before the bus.
enum class TrainedAs : std::uint8_t { weights = 0, encoded = 1 };
struct TrainJob {
    tensor::Model start;
    std::uint64_t round = 0;              // names the random streams and the schedule's place
    std::uint32_t epochs = 0, steps = 0;  // steps win when not 0
    double proximal_mu = 0;
    State state;        // of the optimiser
    tensor::Model out;  // the trained weights
    TrainedAs product = TrainedAs::weights;
    std::uint8_t codec = 0;  // of what is encoded, and
    State residual;          // its error feedback
    tensor::Payload encoded;
};
struct TrainDone {  // loss and weights are finite: else the job fails with kModelNotFinite
    std::uint64_t sample_count = 0;  // in the local training set: the update's weight
    std::uint64_t step_count = 0;
    double loss = 0;  // mean over the samples seen
    State state;
    std::uint64_t byte_count = 0;  // of what was encoded, and
    State residual;                // what that left unsent
};

enum class EvaluationSet : std::uint8_t { test = 0, train = 1 };
struct EvaluateJob {
    tensor::Model model;
    EvaluationSet set = EvaluationSet::test;
};
struct EvaluateDone {
    double loss = 0, accuracy = 0;
    std::uint64_t sample_count = 0;
};

// ---- compression --------------------------------------------------------------------------------

struct EncodeJob {  // encode(model - base), or encode(model) without a base
    tensor::Model model, base;
    std::uint8_t codec = 0;
    std::uint64_t round = 0;  // names the draws of stochastic rounding
    State state;              // residual of error feedback
    tensor::Payload out;
};
struct EncodeDone {
    std::uint64_t byte_count = 0;
    State state;
};
struct DecodeJob {  // base + decode(payload), or decode(payload) without a base; refuses NaN
    tensor::Payload payload;
    tensor::Model base;
    std::uint8_t codec = 0;
    PeerId from;
    tensor::Model out;
};
struct DecodeDone {};

// ---- gossip -------------------------------------------------------------------------------------

struct MixInput {
    PeerId from;
    tensor::Payload payload;
    std::uint8_t codec = 0;
    double weight = 0;
};
// out = self_weight · self + Σ weight · decode(payload), in PeerId order with self at its place, in
// double, rounded once. An input with a non-finite element is left out whole, by name, and its
// weight goes to self.
struct MixJob {
    tensor::Model self;
    PeerId self_id;
    double self_weight = 1;
    std::vector<MixInput> inputs;
    tensor::Model out;
};
struct MixDone {
    double distance = 0;  // root mean square of x_j - x_self over neighbours and parameters
    std::vector<std::pair<PeerId, Error>> refused;
};

// ---- federated ----------------------------------------------------------------------------------

// The running exact sum of a round; executors add to it and read it.
using Sum = tensor::Sum;

// sum += weight · decode(update). Refuses an update whole (kUpdateNotFinite, kUpdateTooLarge,
// kUpdateSize); then the sum is untouched.
struct AccumulateJob {
    Sum sum;
    tensor::ExactScale scale;
    PeerId from;
    tensor::Payload update;
    std::uint8_t codec = 0;
    float weight = 0;
};
struct AccumulateDone {};

// ---- a strategy's or a user's own arithmetic ----------------------------------------------------

// What a compute function may use: its inputs, fresh buffers, and nothing else.
struct ComputeInput {
    std::vector<tensor::Model> models;
    std::vector<tensor::Payload> payloads;
    Sum sum;
    State state;
    tensor::PoolRef pool;  // set by the executor
};
struct ComputeOutput {
    std::vector<tensor::Buffer> models;  // fill the job's out_models, in order
    State state;
    Bytes result;  // small, for the core
};
// A pure function (state, inputs) -> (state', outputs), run as a job.
struct ComputeJob {
    std::string name;  // for logs and traces
    std::function<Result<ComputeOutput>(ComputeInput&)> run;
    ComputeInput input;
    std::vector<tensor::Model> out_models;
    bool finite = false;  // a NaN or infinite element in an out model fails the job
};
struct ComputeDone {
    State state;
    Bytes result;
};

// ---- identity and disk --------------------------------------------------------------------------

struct IdentifyJob {  // BLAKE2b-256 tree of an announced model
    tensor::Model model;
};
struct IdentifyDone {
    Digest256 identity;
};
struct SignJob {  // with the peer's own key, which no core ever sees
    Bytes text;
};
struct SignDone {
    Bytes signature;
};
struct VerifyJob {
    Bytes text, signature, public_key;
};
struct VerifyDone {
    bool valid = false;
};

struct NamedState {
    std::string name;
    State state;
};
// Atomically: temporary file, sync, rename, sync of the folder, commit record.
struct CheckpointJob {
    std::uint64_t round = 0;
    tensor::Model model;  // may be absent: then the record alone (a round about to be distributed)
    Digest256 identity;
    Bytes record;  // the core's own state, opaque to the disk
    std::vector<NamedState> states;
    double score = 0;     // higher is better; the best is kept; NaN: not known, never the best
    bool final_ = false;  // write final.safetensors too
};
struct CheckpointDone {
    std::string path;
};

using Job = std::variant<InitialModelJob, TrainJob, EvaluateJob, EncodeJob, DecodeJob, MixJob,
                         AccumulateJob, ComputeJob, IdentifyJob, SignJob, VerifyJob, CheckpointJob>;
using JobDone =
    std::variant<InitialModelDone, TrainDone, EvaluateDone, EncodeDone, DecodeDone, MixDone,
                 AccumulateDone, ComputeDone, IdentifyDone, SignDone, VerifyDone, CheckpointDone>;

std::string_view name_of(const Job& job);  // "train"

}  // namespace gossamer::job
