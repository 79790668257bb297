// What operators, records and invariant checkers see: one value for each thing that happened.
// Cores put them into their Turn; drivers stamp them with wall time and hand them to telemetry.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gossamer/base/time.hpp"
#include "gossamer/message/message.hpp"

namespace gossamer::message {

struct RunStarted {
    std::string run;
    Mode mode{};
    std::uint64_t round = 0;  // where it goes on from
    std::string detail;
};
struct RunEnded {
    std::uint64_t round = 0;
    std::string reason;
    bool reached = true;  // its goal, and not given up
};
// Somebody waits: for what, for whom, since when and until when (design §1.5).
struct Waiting {
    std::string what;
    std::vector<PeerId> whom;
    Instant since, until;
};
struct MemberChanged {
    PeerId peer;
    MemberState from{}, to{};
    std::string reason;  // "no sign of life for 2.1s (limit 1.9s)"
};
struct LinkChanged {
    PeerId peer;  // zero while a dialled address has not shown who it is
    std::string address;
    bool up = false;
    Error error;  // when down or failed
};
struct Trained {  // a local training job ended
    std::uint64_t round = 0;
    double loss = 0;
    std::uint64_t sample_count = 0;
    Duration elapsed{};
};
// A model was evaluated. `where`: "local", "central", "clients" (their mean, weighted by samples).
struct Evaluated {
    std::uint64_t round = 0;
    std::string where;
    double loss = 0, accuracy = 0;
    std::uint64_t sample_count = 0;
};
struct Mixed {  // a gossip step was completed
    std::uint64_t step = 0;
    double distance = 0;  // root mean square difference to the neighbours' models
    std::uint64_t received_bytes = 0;
    std::vector<PeerId> mixed;     // neighbours counted
    std::vector<PeerId> left_out;  // neighbours that missed it; their weight went to self
};
struct RoundFinished {  // a federated round is complete; its checkpoint is on disk, or a Warning
                        // has said why not
    std::uint64_t round = 0;
    double loss = 0;  // mean training loss of the clients, weighted by samples
    std::vector<PeerId> accepted;
    std::uint32_t late = 0, refused = 0;
    std::uint64_t received_bytes = 0;
    Duration elapsed{};
    Digest256 model;
};
struct UpdateRefused {
    PeerId peer;
    std::uint64_t round = 0;
    Error error;
};
struct CheckpointWritten {
    std::uint64_t round = 0;
    std::string path;
};
struct CaughtUp {
    PeerId from;
    std::uint64_t from_round = 0, to_round = 0;
};
struct Resumed {
    Duration asleep{};
};
struct Warning {
    Error error;
};

using Notice = std::variant<RunStarted, RunEnded, Waiting, MemberChanged, LinkChanged, Trained,
                            Evaluated, Mixed, RoundFinished, UpdateRefused, CheckpointWritten,
                            CaughtUp, Resumed, Warning>;

std::string_view name_of(const Notice& notice);  // "round_finished"

}  // namespace gossamer::message
