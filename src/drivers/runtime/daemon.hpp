// A daemon: one node in real time. The driver behind Turn that ships.
//
// One core thread (the caller of run()) owns the node and does, for each event: one call into the
// node with a fresh Turn, then what the Turn says, then re-arm the one timer. I/O threads belong to
// the transport, workers to the executor; both only post events here.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection/transport/transport.hpp"
#include "drivers/runtime/core_loop.hpp"
#include "drivers/runtime/expiry_warning.hpp"
#include "drivers/work/executor.hpp"
#include "gossamer/node/node.hpp"

namespace gossamer::runtime {

using transport::Traffic;  // of all links together, TLS and all

struct DaemonParts {
    std::unique_ptr<node::Node> node;
    RunSeed seed;
    work::Perform perform;
    unsigned worker_count = 1;
    transport::TransportConfig transport;
    security::TlsContext tls;
    std::vector<std::uint8_t> codecs;  // that this node can decode
    tensor::PoolRef pool;
    // Called on the core thread; hands the notice on to records and log. Never blocks.
    std::function<void(WallTime, const message::Notice&)> record;
    // A stranger's connection that came to nothing; also on the core thread.
    std::function<void(WallTime, const transport::IncomingRefused&)> on_refused;
    // The bytes of all links so far; up to five times a second.
    std::function<void(Traffic)> on_traffic;
    // Whom the node knows, and how they are; every five seconds or so, and before it leaves.
    std::function<void(WallTime, const std::vector<node::MemberView>&)> on_members;
    // One human line whenever it may have changed: for systemd.
    std::function<void(const std::string&)> on_status;
    std::function<void(const std::string& address)> on_ready;
    bool exit_when_finished = true;
    Duration leave_patience = 2s;  // how long a clean leave may take
};

class Daemon {
public:
    explicit Daemon(DaemonParts parts);
    ~Daemon();

    // Listens, starts the node, turns it until it stops or finishes. The result says how it went:
    // true when the run finished, false when it was told to stop.
    Result<bool> run();

    // From another thread: the node's status as of now, or empty when the daemon is about to end.
    bool ask_status(const std::function<void(const node::NodeStatus&, Traffic)>& use,
                    Duration patience);

private:
    using Event = std::function<void(job::Turn&)>;

    void turn(const Event& event);
    void carry_out(job::Turn& turn);
    void pass_offer(job::Offer offer);
    void on_transport(transport::Event event);
    void on_job_done(job::JobId id, Result<job::JobDone> result, Duration elapsed);
    void on_signal(int signal);
    void begin_stop(const std::string& reason);
    void check_end();
    void tell_status();

    DaemonParts parts_;
    ExpiryWarning expiry_;
    CoreLoop loop_;
    job::TurnIds ids_;
    std::unique_ptr<transport::Transport> transport_;
    std::unique_ptr<work::Executor> executor_;
    std::vector<job::Offer> unfilled_;  // offers whose payload is still a promise
    bool stopping_ = false, finished_ = false;
    std::optional<Instant> signalled_at_;
    Instant stop_until_ = Instant::never();
    std::string last_status_;
    Instant status_told_, members_told_;
};

std::string status_line(const node::NodeStatus& status);  // "round 12/50, 7 peers, waiting for 1"

}  // namespace gossamer::runtime
