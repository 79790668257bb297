// The aggregator's core: rounds of federated learning, pushed, exactly once, in bounded memory.
//
// A round in 12 lines. A plan (cohort, weights, scale) is made and written to disk. Each client of
// it gets RoundStart and the global model; when it offers its update, the engine grants at most
// `federated.staging` uploads at a time; an arrived update is added to the exact sum by an urgent
// job and dropped. When all have answered, or the wanted number has, or those who did not were
// given up (dead, too slow by what was measured: each with its reason), the strategy's job makes
// the next model. While its identity is computed and its checkpoint written, together with the plan
// of the next round, the model already travels to the next cohort. Once the checkpoint is on disk:
// Commit to the accepted and RoundStart of the next round. The evaluation of model r runs while
// round r + 1 trains, and is waited for before r + 1 is aggregated: so when the run stops does not
// depend on who was faster.
//
// Contract: tell it everything about links and transfers of peers with the role `peer`, on_joined
// after both sides accepted the run, and all jobs it started. A value: copy it to replay.
#pragma once

#include <array>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossamer/base/boxed.hpp"
#include "gossamer/base/peer_map.hpp"
#include "gossamer/federated/config.hpp"
#include "gossamer/federated/strategy.hpp"
#include "gossamer/job/lifecycle.hpp"
#include "gossamer/job/turn.hpp"
#include "protocol/federated/round_record.hpp"
#include "protocol/federated/slots.hpp"
#include "protocol/federated/stage_time.hpp"

namespace gossamer::federated {

struct EngineSetup {
    job::RunConfig run;
    FederatedConfig config;
    StrategyRef strategy;
    codec::CodecRef codec;  // of updates
    tensor::LayoutRef layout;
    bool has_test_data = false;  // the aggregator can evaluate by itself
};

// A client that claims more than so many times the samples of the round's median takes no part.
inline constexpr float kWeightRatioMax = 1 << 20;

class RoundEngine {
public:
    explicit RoundEngine(EngineSetup setup);
    // Before on_start: go on from a checkpoint. kCheckpointFormat when it is of another run,
    // strategy, seed or layout; the engine is then as fresh.
    Status restore(job::Restored restored);

    void on_start(job::Turn& turn);
    void on_joined(job::Turn& turn, const PeerId& peer, const message::Join& join);
    void on_progress(job::Turn& turn, const PeerId& peer, const message::Progress& progress);
    void on_member(job::Turn& turn, const PeerId& peer, message::MemberState state);
    void on_link(job::Turn& turn, const PeerId& peer, bool up);
    void on_message(job::Turn& turn, const PeerId& from, const message::Message& message);
    void on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                     message::TransferEvent event);
    // False: not a job of this core.
    bool on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done, Duration elapsed);
    void on_resume(job::Turn& turn, Duration asleep);
    void on_deadline(job::Turn& turn);
    Instant next_deadline() const;

    message::Progress progress() const;
    bool finished() const { return phase_ == Phase::finished && !checkpoint_job_; }
    job::CoreStatus status(Instant now) const;
    Digest128 digest() const;
    const tensor::Model& model() const { return model_; }  // of progress().round
    const Digest256& identity() const { return identity_; }

private:
    enum class Phase : std::uint8_t {
        initial,      // the first model is made, identified, written
        waiting,      // for enough peers
        persisting,   // the plan goes to disk
        collecting,   // clients train, updates come in
        aggregating,  // the strategy's job runs
        sealing,      // identity and checkpoint of the new model
        finishing,    // the final model goes to all
        finished,
    };
    enum Kind : std::uint8_t { kReceive, kWork, kUpload };  // what takes a client time
    struct Time {
        StageTime own;
        std::uint32_t number = 0;  // in slowest_
    };
    struct Copy {  // our copy of the global model with a client
        std::uint64_t round = 0;
        job::TransferId id;
        bool sending = false, there = false;  // there: all of it
    };
    struct Client {
        std::uint64_t sample_count = 0;
        message::MemberState state = message::MemberState::alive;
        bool here = false;                 // linked and joined
        bool counts = false;               // it may train: among trainable_
        Boxed<std::array<Time, 3>> times;  // by kind; once any was measured
        Boxed<Copy> copy;                  // since it was first sent one over this link
    };
    // When to ... Expired ones are handled in this order.
    enum class Timer : std::uint8_t {
        wall_time,  // ... end the run because its time is used up
        peers,      // ... give up waiting for enough peers
        limit,      // ... give up the client that is slow
        count_
    };

    // round_engine.cpp
    void advance(job::Turn& turn);  // after every event: what can go on now
    bool may_train(const PeerId& peer, const Client& client) const;
    void changed(const PeerId& peer, Client& client);  // who is here, or what it has
    std::vector<Candidate> candidates() const;
    void re_arm();
    RoundRecord record(Instant now) const;
    Duration limit_of(const Client& client, Kind kind) const;
    void measured(Client& client, Kind kind, Duration d);
    void start_checkpoint(job::Turn& turn, bool with_model, bool final_model);
    void start_evaluation(job::Turn& turn, const tensor::Model& model, std::uint64_t round);
    // round_collect.cpp
    void start_client(job::Turn& turn, const PeerId& peer, Slot& slot);
    void send_copy(job::Turn& turn, const PeerId& peer, Client& client);
    void copy_delivered(job::Turn& turn, const PeerId& peer);
    void lose_link(job::Turn& turn, const PeerId& peer, Slot& slot);
    // False when its limits began anew too often: it is excluded.
    bool may_return(job::Turn& turn, const PeerId& peer, Slot& slot);
    void refuse_offer(job::Turn& turn, const PeerId& peer, const Slot& slot, job::RefuseReason why);
    void on_offered(job::Turn& turn, const PeerId& peer, job::TransferId id,
                    const message::Manifest& manifest);
    std::optional<job::RefuseReason> unfit(job::Turn& turn, const PeerId& peer, Slot& slot,
                                           const message::Manifest& manifest);
    void on_arrived(job::Turn& turn, const PeerId& peer, job::TransferId id,
                    tensor::Payload payload);
    void on_upload_lost(job::Turn& turn, const PeerId& peer, job::TransferId id,
                        const Error& error);
    void on_copy_lost(job::Turn& turn, const PeerId& peer, job::TransferId id, const Error& error);
    void on_gave_up(job::Turn& turn, const PeerId& from, const message::RoundClosed& closed);
    void on_copy_refused(job::Turn& turn, const PeerId& peer, job::RefuseReason why);
    void on_added(job::Turn& turn, const PeerId& peer, const Result<job::JobDone>& done);
    void grant_more(job::Turn& turn);
    void bar(job::Turn& turn, const PeerId& peer, Slot& slot, Error error);
    void exclude(job::Turn& turn, const PeerId& peer, Slot& slot, ErrorCode code, std::string why);
    void give_up_slow(job::Turn& turn);
    // round_close.cpp
    void try_begin(job::Turn& turn);
    void leave_out_heavy(job::Turn& turn, std::vector<Invited>& cohort);
    Result<RoundPlan> make_plan(job::Turn& turn, std::uint32_t attempt);
    std::size_t peers_needed() const;
    void distribute(job::Turn& turn);
    void try_close(job::Turn& turn);
    void refuse_queue(job::Turn& turn, job::RefuseReason why);
    void aggregate(job::Turn& turn);
    void repeat_round(job::Turn& turn);
    void on_aggregated(job::Turn& turn, Result<job::JobDone> done);
    void on_identified(job::Turn& turn, const Digest256& identity);
    void on_checkpoint(job::Turn& turn, const Result<job::JobDone>& done);
    void on_evaluated(job::Turn& turn, const Result<job::JobDone>& done);
    void commit(job::Turn& turn);
    void wait_for_peers(job::Turn& turn);
    // round_finish.cpp
    void finish(job::Turn& turn, const std::string& reason, bool reached,
                std::optional<Error> error = {});
    void serve_final(job::Turn& turn, const PeerId& peer);
    void try_finish(job::Turn& turn);
    void on_report(job::Turn& turn, const PeerId& from, const message::EvaluationReport& report);
    void publish_reports(job::Turn& turn, std::uint64_t round);

    EngineSetup setup_;
    message::RunId run_;
    Digest128 layout_digest_;
    job::StopRule stop_;
    bool own_test_data_;  // else the clients' reports tell how good the model is
    Phase phase_ = Phase::initial;
    std::array<Instant, static_cast<std::size_t>(Timer::count_)> timers_;
    PeerMap<Client> clients_;
    std::size_t trainable_ = 0;
    std::set<PeerId> heavy_;               // told to weigh too much
    std::array<SlowestTimes, 3> slowest_;  // by kind

    tensor::Model model_, next_;
    Digest256 identity_;
    job::State state_;  // of the strategy
    std::uint64_t completed_ = 0;
    std::vector<PeerId> accepted_;                 // into model_, until the round is committed
    std::map<PeerId, std::uint64_t> uncommitted_;  // as Counted
    bool restored_ = false;

    std::optional<RoundPlan> plan_;
    Slots slots_;                // of the round under way; in finishing: who gets the final model
    std::vector<PeerId> queue_;  // asking, in order of arrival
    job::Sum sum_;
    std::map<job::JobId, PeerId> adding_;
    std::map<PeerId, message::EvaluationReport> reports_;
    std::uint32_t late_ = 0, refused_ = 0, failures_ = 0;
    std::uint64_t received_bytes_ = 0;
    double round_loss_ = std::numeric_limits<double>::quiet_NaN();  // until a round was aggregated
    Instant round_begun_, waiting_since_;
    std::optional<std::size_t> told_;  // how many peers were here in the last Waiting notice

    std::optional<job::JobId> initial_job_, identify_job_, checkpoint_job_, aggregate_job_,
        evaluate_job_;
    std::uint64_t evaluating_ = 0, evaluated_ = 0;  // rounds
    double loss_, accuracy_;                        // last known, NaN before
    std::set<job::JobId> abandoned_;                // still to be answered, of no interest

    RunStage run_stage_ = RunStage::running;
    bool final_begun_ = false, final_written_ = false;  // the checkpoint with final.safetensors
    bool reached_ = true;
    std::string reason_;
};

}  // namespace gossamer::federated
