// The gossip core of one peer: train, send, hear, mix, again.
//
// A step s works on model s - 1. When the own part is done the peer waits for the models that its
// in-neighbours sent for the same (roster epoch, step), each as long as its measured lateness
// allows (patience.hpp); then one job mixes all that came, in PeerId order, and the weight of the
// others goes to self. A peer that fell behind takes a neighbour's latest model and goes on there.
//
//   gathering ─roster, first model─> linking ─neighbours linked─> working ⟲ step s = 1 .. T
//     ─step T done─> ending ─the others are there too─> working ⟲ pure averaging, T+1 .. T+A
//     ─> closing (last evaluation, final checkpoint) ─> lingering (serves who is behind) ─> over
//
// T is run.rounds, or earlier when one peer's stop rule fires: it announces a step a little ahead
// in its Progress; whoever is already beyond raises it; all take the highest they hear of.
//
// Events come from `node`, which owns membership and run slots: on_joined once both sides accepted
// the run, on_link(down) when the link goes, on_member for every member it knows of.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/peer_map.hpp"
#include "gossamer/topology/roster.hpp"
#include "protocol/gossip/config.hpp"
#include "protocol/gossip/inbox.hpp"
#include "protocol/gossip/outbox.hpp"
#include "protocol/gossip/patience.hpp"

namespace gossamer::gossip {

enum class Stage : std::uint8_t { gathering, linking, working, ending, closing, lingering, over };

class Gossip {
public:
    Gossip(GossipSetupRef setup, const PeerId& self, std::optional<job::Restored> restored);

    void on_start(job::Turn& turn);
    void on_joined(job::Turn& turn, const PeerId& peer, const message::Join& join);
    void on_progress(job::Turn& turn, const PeerId& peer, const message::Progress& progress);
    void on_member(job::Turn& turn, const PeerId& peer, message::MemberState state);
    void on_link(job::Turn& turn, const PeerId& peer, bool up);
    void on_message(job::Turn& turn, const PeerId& from, const message::Message& message);
    void on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                     message::TransferEvent event);
    // False when the job is not one of this core's.
    bool on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done, Duration elapsed);
    void on_resume(job::Turn& turn, Duration asleep);
    void on_deadline(job::Turn& turn);
    Instant next_deadline() const;
    // Ends the work here and now, whatever the others do; what runs is cancelled, the latest model
    // goes to a checkpoint, the final one when all steps are done, then stopped().
    void on_stop(job::Turn& turn, const std::string& reason);

    message::Progress progress() const;
    bool finished() const { return stage_ == Stage::over; }  // and nothing is owed to anybody
    bool stopped() const { return stopping_ && jobs_.empty(); }
    job::CoreStatus status(Instant now) const;  // round_max counts the final averaging too
    Digest128 digest() const;

    const topology::Roster& roster() const { return *roster_; }
    bool knows_neighbours() const { return schedule_ != nullptr; }  // from then on the same
    std::vector<PeerId> neighbours() const;  // in any step: whom it wants links to
    // Of step progress().round, or what was trained since when that is all it holds.
    const tensor::Model& model() const { return model_.exists() ? model_ : step_.outgoing; }
    void fetch(unsigned which, bool beat) const;  // see node.hpp

private:
    enum class Timer : std::uint8_t {
        links,     // When to begin without neighbours that have no link.
        step,      // When to give up the next neighbour of this step.
        speak,     // When to say aloud whom this step, or the start, waits for.
        offers,    // When to offer again what was lost or refused.
        catch_up,  // When to ask another peer for its model.
        ending,    // When to stop waiting for peers that have not reached the end.
        wall,      // When the wall time of the run is used up.
        linger,    // When to stop serving after the end.
        count
    };
    enum class Work : std::uint8_t {
        genesis,
        train,
        prepare,
        encode,
        mix,
        combine,
        adopt,
        evaluate,
        checkpoint,
        abandoned
    };
    struct Peer {
        bool linked = false;  // and joined: offers can go there
        message::MemberState state = message::MemberState::alive;
        message::Progress progress;
        bool rejoining = false;  // known to be far behind; not waited for until it is near
        bool warned = false;
        bool asked = false;  // for our model while there was none of a whole step
    };
    struct Step {
        std::uint64_t number = 0;
        bool averaging = false;  // beyond the end: no training
        std::vector<Edge> in;    // PeerId order
        std::vector<PeerId> out;
        double self_weight = 1;
        tensor::Model trained, outgoing, mixed, next;
        std::vector<tensor::Model> kept;
        tensor::Payload encoded;  // of outgoing
        std::uint64_t sample_count = 0;
        double loss = 0;
        Instant ready = Instant::never();  // ready: waits for nothing but neighbours
        bool mixing = false;
        std::vector<Received> heard;
        std::vector<PeerId> left_out;
        double distance = 0;
        std::uint64_t received_bytes = 0;
        StepView view(const PeerId& self) const { return {number, self, self_weight, in, out}; }
    };
    struct CatchUp {
        PeerId asked;
        std::set<PeerId> tried;
        std::optional<job::TransferId> transfer;
        std::uint64_t round = 0;  // of the model coming
        tensor::Model model;      // being decoded
        Instant since;
    };

    // beginning.cpp: who takes part, and the first links
    void try_gather(job::Turn& turn);
    bool find_members(job::Turn& turn);
    bool wait_for_members(job::Turn& turn, std::size_t here, std::vector<PeerId> missing);
    bool take_roster(job::Turn& turn);
    void try_link(job::Turn& turn);
    void begin_run(job::Turn& turn);
    void go_on(job::Turn& turn);  // the next step, or what comes after the last
    void give_up(job::Turn& turn, Error error);

    // gossip.cpp: events, timers, bookkeeping
    void settle(job::Turn& turn);  // after each event: takes every step that needs no more news
    void fire(job::Turn& turn, Timer timer);
    void announce(job::Turn& turn);
    job::JobId start(job::Turn& turn, Work work, job::Job job, job::JobClass priority);
    void abandon(job::Turn& turn, std::initializer_list<Work> works);
    bool running(Work work) const;
    Instant& timer(Timer t) { return timers_[static_cast<std::size_t>(t)]; }
    Instant timer_at(Timer t) const { return timers_[static_cast<std::size_t>(t)]; }
    // Says it unless it was the last that was said.
    void wait_aloud(job::Turn& turn, std::string_view what, std::vector<PeerId> whom, Instant since,
                    Instant until);

    // step.cpp: one step
    void begin_step(job::Turn& turn);
    void on_trained(job::Turn& turn, Result<job::JobDone> done, Duration elapsed);
    void on_prepared(job::Turn& turn, Result<job::JobDone> done);
    void on_encoded(job::Turn& turn, Result<job::JobDone> done);
    void own_part_done(job::Turn& turn);
    void went_well(Work work) { failing_.erase(work); }
    void went_wrong(job::Turn& turn, Work work, Error error, const char* instead);
    void send_outgoing(job::Turn& turn);
    void post_outgoing(job::Turn& turn, std::uint64_t byte_count);
    void try_mix(job::Turn& turn);
    Instant waited_for(const PeerId& peer) const;
    template <class F>
    void each_awaited(Instant now, F&& f) const;  // f(peer, until when)
    std::vector<PeerId> awaited(Instant now) const;
    Instant next_given_up(Instant now) const;  // of the awaited; never: there are none
    void start_mix(job::Turn& turn);
    void on_mixed(job::Turn& turn, Result<job::JobDone> done);
    void combine(job::Turn& turn);
    void on_combined(job::Turn& turn, Result<job::JobDone> done);
    void finish_step(job::Turn& turn, tensor::Model next);
    void finish_alone(job::Turn& turn);

    // exchange.cpp: transfers, requests, catching up
    std::optional<message::RefuseReason> objection(const PeerId& from,
                                                   const message::Manifest& manifest) const;
    void on_offered(job::Turn& turn, const PeerId& from, job::TransferId id,
                    const message::Manifest& manifest);
    void on_arrived(job::Turn& turn, const PeerId& from, job::TransferId id,
                    message::TransferArrived arrived);
    void serve(job::Turn& turn, const PeerId& to, std::uint64_t has);
    void serve_asked(job::Turn& turn);
    bool left_behind_by(const PeerId& peer) const;
    void notice_lead(job::Turn& turn, const PeerId& peer);  // is it too far ahead of us?
    void begin_catch_up(job::Turn& turn);
    void ask_for_model(job::Turn& turn);
    void on_adopted(job::Turn& turn, Result<job::JobDone> done);
    message::Manifest manifest(message::TransferKind kind, std::uint64_t round) const;

    // ending.cpp: evaluation, checkpoints, the end
    std::uint64_t last_step() const { return stop_ ? stop_ : setup_->run.rounds; }
    std::uint64_t step_max() const {  // nobody can lawfully be further
        return setup_->run.rounds + setup_->config.final_averaging_steps;
    }
    void after_step(job::Turn& turn);
    void evaluate(job::Turn& turn, bool last);
    void on_evaluated(job::Turn& turn, job::JobId id, Result<job::JobDone> done);
    void checkpoint(job::Turn& turn, bool last);
    void on_checkpoint(job::Turn& turn, job::JobId id, Result<job::JobDone> done);
    void check_rule(job::Turn& turn);
    void hear_stop(job::Turn& turn, const PeerId& from, std::uint64_t step);
    void try_average(job::Turn& turn);
    void start_averaging(job::Turn& turn);
    void close(job::Turn& turn);
    void try_leave(job::Turn& turn);
    void leave(job::Turn& turn);
    std::vector<PeerId> behind(std::uint64_t step) const;
    Bytes record(Instant now) const;
    void restore(job::Turn& turn);

    GossipSetupRef setup_;
    // What every heartbeat asks for lies together: that is all most events touch.
    std::array<Instant, static_cast<std::size_t>(Timer::count)> timers_;
    Stage stage_ = Stage::gathering;
    bool averaging_ = false, stopping_ = false, reached_ = true;
    message::RunId run_;
    std::uint64_t done_ = 0;           // completed steps
    std::uint64_t stop_ = 0;           // the last step of training, once earlier than run.rounds
    std::uint64_t roster_digest_ = 0;  // the last of them: see fetch()

    PeerId self_;
    Boxed<job::Restored> restored_;  // until the start
    Contract contract_;
    std::shared_ptr<const topology::Roster> roster_;
    std::shared_ptr<const topology::Schedule> schedule_;
    std::uint32_t place_ = 0;
    PeerMap<Peer> peers_;  // all other members known

    // After done_ steps; also what a peer that is behind is given. Where the contract does without
    // the start of a step, it is absent from the end of training until the step is done.
    tensor::Model model_;
    job::State optimiser_, state_;
    std::vector<tensor::Model> kept_;
    Step step_;
    std::map<job::JobId, Work> jobs_;
    Inbox inbox_;
    Outbox outbox_;
    Patience patience_;
    std::map<std::uint64_t, Instant> ready_at_;  // of the last steps, to measure who came too late
    std::optional<CatchUp> catch_up_;
    Instant no_catch_up_before_;  // nobody could help; try again then

    job::StopRule rule_;
    std::string reason_;
    std::uint64_t averaging_end_ = 0;
    std::map<job::JobId, std::uint64_t> evaluations_, checkpoints_;  // of which step's model
    bool evaluation_failed_ = false;
    std::set<Work> failing_;  // since its last success: told once a streak
    std::optional<double> accuracy_, loss_;
    Instant since_;  // of the present wait
    Instant quiet_until_;
    message::Progress announced_;  // what all were told last
    std::string told_;             // what the last Waiting notice said,
    std::vector<PeerId> told_of_;  // and of whom
};

}  // namespace gossamer::gossip
