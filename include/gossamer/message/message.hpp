// What peers say to each other, as plain structs. `wire` turns them into bytes and back, with
// limits on every list and text; cores only ever see values that passed them.
//
// A run is one training job in a federation. A *step* counts gossip steps, a *round* federated
// ones; both are u64 and called `round` where a message serves both.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/error.hpp"
#include "gossamer/base/peer_id.hpp"
#include "gossamer/message/addresses.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::message {

// Lanes of a link, most urgent first. Bulk carries chunks of transfers and nothing else.
enum class Lane : std::uint8_t { control = 0, round = 1, bulk = 2 };

// Names a run within its federation: XXH3-64 of the run's name.
struct RunId {
    std::uint64_t value = 0;
    auto operator<=>(const RunId&) const = default;
};
RunId run_id(std::string_view run_name);

enum class Phase : std::uint8_t { waiting = 0, training = 1, finishing = 2, finished = 3 };

// How far the sender is. Rides on heartbeats, and travels on its own when it changes.
struct Progress {
    RunId run;
    std::uint64_t round = 0;  // completed steps or rounds
    Phase phase = Phase::waiting;
    std::uint64_t stop = 0;    // gossip: the step at which the run ends, once known; else 0
    std::uint64_t roster = 0;  // gossip: of Roster{epoch, ids}, its digest's low half; 0 = none yet
    bool operator==(const Progress&) const = default;
};

// ---- membership ---------------------------------------------------------------------------------

enum class MemberState : std::uint8_t { alive = 0, suspect = 1, dead = 2, left = 3 };
std::string_view to_string(MemberState state);

// Of one member, in its record: what goes beyond them is refused. An address is "host:port" with a
// host name of at most 255 bytes.
inline constexpr std::size_t kAddressesMax = 8, kAddressBytesMax = 262;

// What the sender believes about one member. A higher incarnation wins; at the same incarnation
// the worse state wins. Only the member itself raises its incarnation: (boot epoch << 20) +
// counter, the boot epoch persisted before use, so that a restarted peer is never held to be its
// dead self.
struct MemberRecord {
    PeerId id;
    Role role = Role::peer;
    MemberState state = MemberState::alive;
    std::uint64_t incarnation = 0;
    Addresses addresses;  // host:port it can be dialled at; empty = only dials out
    bool operator==(const MemberRecord&) const = default;
};
// No less than the record takes of a frame.
std::size_t wire_bytes_most(const MemberRecord& record);
// News of one heartbeat weigh no more by that measure, or the whole of it would be too large to go
// out: members choose their addresses, so a count of records bounds nothing.
inline constexpr std::size_t kNewsBytesMax = 48 * 1024;

struct Heartbeat {
    std::uint64_t sequence = 0;
    std::uint64_t incarnation = 0;
    bool busy = false;  // bulk was on this link: do not use the round trip for deadlines
    // The last heartbeat that came from the receiver, and how long ago; 0: none, or a busy one.
    // What is left of the time since it was sent is the round trip (as by LSR and DLSR, RFC 3550
    // 6.4.1), so that no heartbeat needs an answer of its own.
    std::uint64_t echo = 0;
    std::uint64_t echo_age_ns = 0;
    Progress progress;
    std::vector<MemberRecord> news;
    bool operator==(const Heartbeat&) const = default;
};
struct Leave {  // the sender goes, on purpose
    std::uint64_t incarnation = 0;
    std::string reason;
    bool operator==(const Leave&) const = default;
};

// ---- the run slot -------------------------------------------------------------------------------

enum class Mode : std::uint8_t { gossip = 0, federated = 1 };

// Sent by both sides of a new link. The receiver compares layout and shared settings with its own.
struct Join {
    RunId run;
    std::string run_name;
    Mode mode = Mode::gossip;
    std::vector<tensor::TensorSpec> tensors;  // offsets are derived, not sent
    Digest128 settings;                       // of the options all members must share
    std::uint64_t sample_count = 0;           // of the sender's training data
    std::uint64_t round = 0;                  // completed so far
    Phase phase = Phase::waiting;
    bool operator==(const Join&) const = default;
};
// Accepted, or refused with a code that ends retries where retrying cannot help.
struct JoinReply {
    RunId run;
    bool accepted = false;
    ErrorCode code{};  // when refused
    std::string what;  // when refused: for the other side's log, with the differing tensors
    bool operator==(const JoinReply&) const = default;
};

// ---- gossip -------------------------------------------------------------------------------------

// "I am behind: send me your model", answered by an offer of kind catch_up.
struct ModelRequest {
    RunId run;
    std::uint64_t round = 0;  // what the sender has
    bool operator==(const ModelRequest&) const = default;
};

// ---- federated ----------------------------------------------------------------------------------

// The round begins for the receiver; the model follows as a transfer of kind global_model with the
// same round. Sent again, unchanged, after a crash of the aggregator: then a client that still has
// its update of (run, round, base) sends the same bytes again.
struct RoundStart {
    RunId run;
    std::uint64_t round = 0;  // the round to train; the model comes from round - 1
    Digest256 base;           // identity of the model to start from
    bool train = true;        // false: evaluate only
    bool evaluate = false;    // evaluate `base` on local data and report
    std::uint32_t local_epochs = 0, local_steps = 0;  // steps win when not 0
    double proximal_mu = 0;
    std::uint8_t codec = 0;        // of the update
    std::int64_t patience_ns = 0;  // what the aggregator will wait from now, for the log
    bool operator==(const RoundStart&) const = default;
};
// The update is staged and verified. Promises nothing.
struct UpdateReceived {
    RunId run;
    std::uint64_t round = 0;
    bool operator==(const UpdateReceived&) const = default;
};
// The receiver's update is in the model of the round, and the round's checkpoint on disk: state may
// advance. (Where the disk took no checkpoint the run goes on all the same, and the aggregator says
// so aloud; should it crash then, it asks for the round again, and clients go back to what they
// had.) Told again to whoever may have missed it.
struct Commit {
    RunId run;
    std::uint64_t round = 0;
    bool operator==(const Commit&) const = default;
};
// The round ended without the receiver's update: forget it. From a client: its training failed, it
// will not hand in an update of this round.
struct RoundClosed {
    RunId run;
    std::uint64_t round = 0;
    ErrorCode code{};
    std::string what;
    bool operator==(const RoundClosed&) const = default;
};
struct EvaluationReport {
    RunId run;
    std::uint64_t round = 0;  // of the model evaluated
    double loss = 0, accuracy = 0;
    std::uint64_t sample_count = 0;
    bool operator==(const EvaluationReport&) const = default;
};
struct RunFinished {
    RunId run;
    std::uint64_t round = 0;
    Digest256 model;  // identity of the final model
    std::string reason;
    bool reached = true;  // its end; false: given up, such as for want of a quorum
    bool operator==(const RunFinished&) const = default;
};

using Message = std::variant<Heartbeat, Leave, Join, JoinReply, Progress, ModelRequest, RoundStart,
                             UpdateReceived, Commit, RoundClosed, EvaluationReport, RunFinished>;

// The lane a message travels on: membership on control, all else on round.
Lane lane_of(const Message& message);
std::string_view name_of(const Message& message);  // "round_start"

}  // namespace gossamer::message
