// What the aggregator writes down, so that a restarted one goes on with the same round: the plan of
// the round under way, who must still hear that it was counted, and how the run stands. The sum of
// a round is not persisted; clients send their bytes again (design §4).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/message/message.hpp"
#include "gossamer/tensor/exact_sum.hpp"

namespace gossamer::federated {

struct Invited {
    PeerId peer;
    float weight = 0;  // its sample count
    bool operator==(const Invited&) const = default;
};
struct RoundPlan {
    std::uint64_t round = 0;
    std::uint32_t attempt = 0;
    Digest256 base;               // identity of the model to start from
    std::vector<Invited> cohort;  // in PeerId order
    std::uint64_t wanted = 0, quorum = 0;
    tensor::ExactScale scale;
    bool operator==(const RoundPlan&) const = default;
};

inline constexpr std::size_t kReasonMost = 1024;

enum class RunStage : std::uint8_t { running = 0, finishing = 1, done = 2 };

// A client whose update is in the model of `round`, its last, and who is not known to have heard
// of it.
struct Counted {
    PeerId peer;
    std::uint64_t round = 0;
    bool operator==(const Counted&) const = default;
};

struct RoundRecord {
    message::RunId run;
    std::string strategy;
    RunSeed seed;
    std::uint64_t completed = 0;
    Digest256 identity;             // of the model of `completed`
    std::vector<Counted> counted;   // who is owed a Commit
    std::uint64_t evaluated = 0;    // the last round whose accuracy the stop rule was told
    Bytes stop;                     // of the stop rule
    std::optional<RoundPlan> plan;  // of round completed + 1
    RunStage stage = RunStage::running;
    std::string reason;  // why the run ends, when it does; at most kReasonMost bytes
    bool reached = true;
    std::vector<PeerId> owed;  // finishing: who has not got the final model yet
    bool operator==(const RoundRecord&) const = default;
};

Bytes save(const RoundRecord& record);
Result<RoundRecord> load_round_record(ByteView saved);  // kCheckpointFormat

}  // namespace gossamer::federated
