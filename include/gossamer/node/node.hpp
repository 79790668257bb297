// Node: what a driver turns, be it the one of a daemon or the one of the simulator.
//
// Call one function per event, with a fresh Turn, from one thread; then carry out the Turn (see
// job/turn.hpp) and arm one timer at next_deadline(). After a suspension or a stall of more than
// job::kStall call on_resume before any deadline.
#pragma once

#include <string>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::node {

// One member as `gossamer members` shows it.
struct MemberView {
    message::MemberRecord record;
    bool linked = false;
    bool hearsay = false;   // known by what others say alone
    Duration round_trip{};  // zero when not measured
    Duration silent_for{};  // since the last sign of life
    message::Progress progress;
    std::string reason;  // of its present state
};
// What the node does now, for `gossamer status`.
struct NodeStatus {
    message::Mode mode{};
    message::Phase phase{};
    std::uint64_t round = 0, round_max = 0;
    double loss = 0, accuracy = 0;  // NaN until known
    std::vector<message::Waiting> waiting;
    std::vector<MemberView> members;
};

class Node {
public:
    virtual ~Node() = default;

    virtual void on_start(job::Turn&) = 0;
    virtual void on_message(job::Turn&, const PeerId& from, const message::Message&) = 0;
    virtual void on_link(job::Turn&, const PeerId& peer, const job::LinkEvent&) = 0;
    virtual void on_transfer(job::Turn&, const PeerId& peer, job::TransferId,
                             message::TransferEvent) = 0;
    // Bytes came from the peer, though no message for a while: it is alive.
    virtual void on_sign_of_life(job::Turn&, const PeerId& peer) = 0;
    virtual void on_job_done(job::Turn&, job::JobId, Result<job::JobDone>, Duration elapsed) = 0;
    virtual void on_resume(job::Turn&, Duration asleep) = 0;
    virtual void on_deadline(job::Turn&) = 0;
    virtual Instant next_deadline() const = 0;

    // Leave cleanly: say so to all, stop asking for work. Done when stopped() is true.
    virtual void on_stop(job::Turn&, const std::string& reason) = 0;
    virtual bool stopped() const = 0;
    // The run is over and nothing is owed to anybody: the daemon may exit by itself.
    virtual bool finished() const = 0;
    virtual NodeStatus status(Instant now) const = 0;
    // For replay and comparison: nodes that were told the same have the same. It covers members,
    // links and slots, how far the core is and what it waits for, and the digests of optimiser and
    // algorithm state. Models are not gone through, and what is kept for people alone (reasons,
    // accuracies) is left out.
    virtual Digest128 digest() const = 0;

    // Hints to the processor, for drivers that turn thousands: an event from `peer` comes soon, or
    // one that concerns all (null); `beat`: a heartbeat most likely, which touches little. What is
    // to be touched is found by what was fetched before: call it with 0, 1 and so on below
    // kFetches, some hundred nanoseconds apart.
    static constexpr unsigned kFetches = 2;
    virtual void fetch(unsigned /*which*/, const PeerId* /*peer*/, bool /*beat*/) const {}
};

}  // namespace gossamer::node
