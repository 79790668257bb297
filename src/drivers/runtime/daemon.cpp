#include "drivers/runtime/daemon.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>

#include <fmt/format.h>

namespace gossamer::runtime {

namespace {
constexpr Duration kOneSignal = 100ms;
constexpr Duration kMembersEvery = 5s;  // going through all of them is not free
}  // namespace

Daemon::Daemon(DaemonParts parts)
    : parts_(std::move(parts)),
      expiry_(parts_.tls.self().not_before, parts_.tls.self().not_after) {}

Daemon::~Daemon() {
    // Producers end before the loop they post to.
    if (executor_) executor_->stop();
    if (transport_) transport_->stop();
}

Result<bool> Daemon::run() {
    executor_ = std::make_unique<work::Executor>(
        parts_.worker_count, parts_.perform,
        [this](job::JobId id, Result<job::JobDone> result, Duration elapsed) {
            // shared: std::function wants copyable captures
            auto kept = std::make_shared<Result<job::JobDone>>(std::move(result));
            loop_.post([this, id, kept, elapsed] { on_job_done(id, std::move(*kept), elapsed); });
        });
    transport_ = std::make_unique<transport::Transport>(
        parts_.transport, parts_.tls, parts_.codecs, parts_.pool, [this](transport::Event event) {
            auto kept = std::make_shared<transport::Event>(std::move(event));
            loop_.post([this, kept] { on_transport(std::move(*kept)); });
        });
    std::string address;
    if (!parts_.transport.listen_address.empty()) {
        GOSSAMER_TRY(address, transport_->listen(parts_.transport.listen_address));
    }
    if (parts_.on_ready) parts_.on_ready(address);

    turn([&](job::Turn& t) { parts_.node->on_start(t); });
    CoreLoop::Callbacks callbacks;
    callbacks.on_deadline = [this] {
        if (stopping_ && stop_until_ <= boot_time()) return loop_.stop();
        turn([&](job::Turn& t) { parts_.node->on_deadline(t); });
    };
    callbacks.on_resume = [this](Duration asleep) {
        turn([&](job::Turn& t) { parts_.node->on_resume(t, asleep); });
    };
    callbacks.on_signal = [this](int signal) { on_signal(signal); };
    loop_.run(callbacks);
    end_on_signals(signalled_at_.has_value());
    executor_->stop();
    transport_->stop();
    if (parts_.on_traffic) parts_.on_traffic(transport_->stats().traffic);  // the last moments too
    return finished_;
}

void Daemon::turn(const Event& event) {
    job::Turn t(boot_time(), wall_time(), parts_.seed, ids_);
    event(t);
    if (auto warning = expiry_.due(t.wall)) t.notice(message::Warning{*std::move(warning)});
    carry_out(t);
    check_end();
}

void Daemon::carry_out(job::Turn& t) {
    for (const auto& notice : t.notices) parts_.record(t.wall, notice);
    for (auto id : t.cancels) executor_->cancel(id);
    if (!t.jobs.empty()) executor_->start(std::move(t.jobs));
    for (auto& grant : t.grants) {
        if (grant.refused)
            transport_->refuse(grant.from, grant.id, *grant.refused);
        else
            transport_->grant(grant.from, grant.id);
    }
    for (auto& send : t.sends) transport_->send(send.to, std::move(send.message), send.lane);
    for (auto& offer : t.offers) pass_offer(std::move(offer));
    for (const auto& [to, id] : t.withdrawn) {
        std::erase_if(unfilled_, [&, id = id](const job::Offer& offer) { return offer.id == id; });
        transport_->withdraw(id);
    }
    for (auto& link : t.links) {
        if (link.kind == job::LinkOrder::Kind::dial)
            transport_->dial(link.address, link.peer);
        else if (link.peer)
            transport_->close(*link.peer, link.reason);
    }
    auto deadline = parts_.node->next_deadline();
    loop_.arm(stopping_ ? std::min(deadline, stop_until_) : deadline);
}

// An offer whose payload some job still makes waits here until that job is done.
void Daemon::pass_offer(job::Offer offer) {
    if (!offer.payload.filled()) {
        unfilled_.push_back(std::move(offer));
        return;
    }
    offer.manifest.byte_count = offer.payload.bytes().size();
    transport_->offer(offer.to, offer.id, std::move(offer.manifest), std::move(offer.payload));
}

void Daemon::on_transport(transport::Event event) {
    if (auto* refused = std::get_if<transport::IncomingRefused>(&event.what)) {
        if (parts_.on_refused) parts_.on_refused(wall_time(), *refused);
        return;
    }
    turn([&](job::Turn& t) {
        if (auto* m = std::get_if<message::Message>(&event.what))
            parts_.node->on_message(t, event.peer, *m);
        else if (auto* link = std::get_if<job::LinkEvent>(&event.what))
            parts_.node->on_link(t, event.peer, *link);
        else if (auto* transfer = std::get_if<transport::TransferNews>(&event.what))
            parts_.node->on_transfer(t, event.peer, transfer->id, std::move(transfer->event));
        else
            parts_.node->on_sign_of_life(t, event.peer);
    });
}

void Daemon::on_job_done(job::JobId id, Result<job::JobDone> result, Duration elapsed) {
    bool failed = !result;
    turn([&](job::Turn& t) { parts_.node->on_job_done(t, id, std::move(result), elapsed); });
    if (unfilled_.empty()) return;
    auto waiting = std::exchange(unfilled_, {});
    for (auto& offer : waiting) {
        // A failed job's promise will never be filled; the core has heard of the failure.
        if (failed && !offer.payload.filled() && offer.payload.sole()) continue;
        pass_offer(std::move(offer));
    }
}

void Daemon::on_signal(int signal) {
    if (signal == SIGHUP) return;  // nothing is reloaded yet
    // A second one: at once. But whoever signals a process and its group means one.
    const auto now = boot_time();
    if (signalled_at_ && now - *signalled_at_ < kOneSignal) return;
    if (signalled_at_) ::_exit(128 + signal);
    signalled_at_ = now;
    begin_stop(signal == SIGTERM ? "SIGTERM" : "SIGINT");
}

void Daemon::begin_stop(const std::string& reason) {
    if (stopping_) return;
    stopping_ = true;
    stop_until_ = boot_time() + parts_.leave_patience;
    if (parts_.on_members)  // now, since whoever else leaves meanwhile is worth knowing too
        parts_.on_members(wall_time(), parts_.node->status(boot_time()).members);
    turn([&](job::Turn& t) { parts_.node->on_stop(t, reason); });
}

void Daemon::check_end() {
    tell_status();
    if (!finished_ && !stopping_ && parts_.node->finished()) {
        finished_ = true;
        if (parts_.exit_when_finished) begin_stop("the run is over");
    }
    // What was said goes out with the close of the transport, which flushes within its own bound.
    if (stopping_ && parts_.node->stopped()) loop_.stop();
}

// At most five times a second: the line is made anew for it.
void Daemon::tell_status() {
    auto now = boot_time();
    if (now - status_told_ < 200ms) return;
    status_told_ = now;
    if (parts_.on_traffic) parts_.on_traffic(transport_->stats().traffic);
    const bool members = parts_.on_members && now - members_told_ >= kMembersEvery;
    if (!members && !parts_.on_status) return;
    const auto status = parts_.node->status(now);
    if (members) {
        members_told_ = now;
        parts_.on_members(wall_time(), status.members);
    }
    if (!parts_.on_status) return;
    auto line = status_line(status);
    if (line != last_status_) parts_.on_status(last_status_ = line);
}

bool Daemon::ask_status(const std::function<void(const node::NodeStatus&, Traffic)>& use,
                        Duration patience) {
    struct Reply {
        std::mutex mutex;
        std::condition_variable changed;
        bool done = false, abandoned = false;
    };
    auto reply = std::make_shared<Reply>();
    loop_.post([this, reply, &use] {
        std::lock_guard lock(reply->mutex);
        if (reply->abandoned) return;
        use(parts_.node->status(boot_time()), transport_->stats().traffic);
        reply->done = true;
        reply->changed.notify_all();
    });
    std::unique_lock lock(reply->mutex);
    reply->changed.wait_for(lock, patience, [&] { return reply->done; });
    reply->abandoned = true;
    return reply->done;
}

std::string status_line(const node::NodeStatus& status) {
    auto alive = std::ranges::count_if(status.members, [](const node::MemberView& m) {
        return m.record.state == message::MemberState::alive;
    });
    std::string line = fmt::format("round {}", status.round);
    if (status.round_max) line += fmt::format("/{}", status.round_max);
    line += fmt::format(", {} peer{} alive", alive, alive == 1 ? "" : "s");
    if (!status.waiting.empty()) {
        const auto& wait = status.waiting.front();
        line += ", waiting for " + wait.what;
        for (std::size_t i = 0; i < std::min<std::size_t>(3, wait.whom.size()); ++i)
            line += (i ? ", " : " of ") + wait.whom[i].short_string();
        if (wait.whom.size() > 3) line += fmt::format(" and {} more", wait.whom.size() - 3);
    }
    return line;
}

}  // namespace gossamer::runtime
