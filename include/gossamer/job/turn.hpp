// Turn: how a core meets the world.
//
// The contract: a driver tells a core one event and the time; the core changes its own state and
// writes down in the Turn what it wants done; then the driver does it: starts the jobs, sends the
// sends and offers, passes on the grants, opens and closes the links, publishes the notices, and
// re-arms one timer at next_deadline(). A Turn only collects; it calls nobody. A core is never
// called from inside a core's turn.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/base/time.hpp"
#include "gossamer/job/job.hpp"
#include "gossamer/message/message.hpp"
#include "gossamer/message/notice.hpp"
#include "gossamer/message/transfer.hpp"

namespace gossamer::job {

using message::Manifest;
using message::RefuseReason;
using message::TransferId;

// A deadline that comes later than this: the machine slept or stood still, and nobody else is to
// blame for the silence. Drivers call on_resume, cores doubt themselves.
inline constexpr Duration kStall = 250ms;

struct Send {
    PeerId to;
    message::Message message;
    message::Lane lane;
};
struct Offer {
    PeerId to;
    TransferId id;
    Manifest manifest;
    tensor::Payload payload;  // may still be a promise: the driver offers it when it is filled
};
struct Withdrawal {  // of an offer or sending that makes no sense any more
    PeerId to;
    TransferId id;
};
struct Grant {
    PeerId from;
    TransferId id;
    std::optional<RefuseReason> refused;  // empty: granted
};
// A dial by address (the expected peer is empty while nobody knows who is there), or a close.
struct LinkOrder {
    enum class Kind : std::uint8_t { dial, close } kind = Kind::dial;
    std::optional<PeerId> peer;
    std::string address;  // of a dial
    std::string reason;   // for the log
};
struct JobOrder {
    JobId id;
    JobClass priority;
    Job job;
};

// What happened to a link (on_link). One dial ends in exactly one LinkUp or DialFailed.
struct LinkUp {
    Role role = Role::peer;
    std::string address;   // where it was dialled, or where it came from
    bool dialled = false;  // by us
};
struct LinkDown {
    Error error;  // why; kLinkClosed for an orderly close
};
struct DialFailed {
    std::string address;
    Error error;
    bool permanent = false;  // retrying cannot help (authorisation, version)
};
using LinkEvent = std::variant<LinkUp, LinkDown, DialFailed>;

// Numbers that must not repeat within one node's life; owned by the driver.
struct TurnIds {
    std::uint64_t next_job = 1, next_transfer = 1;
};

struct Turn {
    Turn(Instant now, WallTime wall, RunSeed seed, TurnIds& ids)
        : now(now), wall(wall), seed(seed), ids_(&ids) {}
    // An empty one again, which keeps its memory: for drivers that turn millions.
    void renew(Instant at, WallTime at_wall, RunSeed run_seed, TurnIds& ids) {
        now = at, wall = at_wall, seed = run_seed, ids_ = &ids;
        sends.clear(), offers.clear(), withdrawn.clear(), grants.clear();
        links.clear(), jobs.clear(), cancels.clear(), notices.clear();
    }

    Instant now;
    WallTime wall;
    RunSeed seed;

    std::vector<Send> sends;
    std::vector<Offer> offers;
    std::vector<Withdrawal> withdrawn;
    std::vector<Grant> grants;
    std::vector<LinkOrder> links;
    std::vector<JobOrder> jobs;
    std::vector<JobId> cancels;
    std::vector<message::Notice> notices;

    void send(const PeerId& to, message::Message m) {
        auto lane = message::lane_of(m);
        sends.push_back({to, std::move(m), lane});
    }
    TransferId offer(const PeerId& to, Manifest manifest, tensor::Payload payload) {
        TransferId id{ids_->next_transfer++};
        offers.push_back({to, id, std::move(manifest), std::move(payload)});
        return id;
    }
    void withdraw(const PeerId& to, TransferId id) { withdrawn.push_back({to, id}); }
    void grant(const PeerId& from, TransferId id) { grants.push_back({from, id, std::nullopt}); }
    void refuse(const PeerId& from, TransferId id, RefuseReason why) {
        grants.push_back({from, id, why});
    }
    void dial(std::string address, std::optional<PeerId> expected, std::string reason) {
        links.push_back({LinkOrder::Kind::dial, expected, std::move(address), std::move(reason)});
    }
    void close(const PeerId& peer, std::string reason) {
        links.push_back({LinkOrder::Kind::close, peer, {}, std::move(reason)});
    }
    JobId start(Job job, JobClass priority) {
        JobId id{ids_->next_job++};
        jobs.push_back({id, priority, std::move(job)});
        return id;
    }
    void cancel(JobId id) { cancels.push_back(id); }
    void notice(message::Notice n) { notices.push_back(std::move(n)); }

private:
    TurnIds* ids_;
};

}  // namespace gossamer::job
