// The client's core: trains when the aggregator says so, and hands in each update exactly once.
//
// RoundStart and the global model come on two lanes, in either order; when both are here the client
// evaluates (if asked), trains, encodes the delta and offers it. It keeps the encoded bytes until
// Commit, RoundClosed or a later round: asked again for the same (run, round, base), it offers the
// same bytes without training. Optimiser state and residual advance only on Commit, and go back to
// those before it when its round is asked for again. Training goes on while the link is down.
//
// Contract: tell it only what concerns the aggregator's link, on_joined after both sides accepted
// the run, and all jobs it started. A value: copy it to replay.
#pragma once

#include <memory>
#include <optional>
#include <set>

#include "gossamer/base/boxed.hpp"
#include "gossamer/federated/config.hpp"
#include "gossamer/job/lifecycle.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::federated {

// The same for all clients of a run; those of one process share it.
struct ClientSetup {
    job::RunConfig run;
    FederatedConfig config;  // keep_optimizer
    tensor::LayoutRef layout;
};
using ClientSetupRef = std::shared_ptr<const ClientSetup>;

class FederatedClient {
public:
    explicit FederatedClient(ClientSetupRef setup);

    void on_start(job::Turn& turn);
    void on_joined(job::Turn& turn, const PeerId& aggregator, const message::Join& join);
    void on_progress(job::Turn&, const PeerId&, const message::Progress&) {}
    void on_member(job::Turn&, const PeerId&, message::MemberState) {}
    void on_link(job::Turn& turn, const PeerId& peer, bool up);
    void on_message(job::Turn& turn, const PeerId& from, const message::Message& message);
    void on_transfer(job::Turn& turn, const PeerId& peer, job::TransferId id,
                     message::TransferEvent event);
    // False: not a job of this core.
    bool on_job_done(job::Turn& turn, job::JobId id, Result<job::JobDone> done, Duration elapsed);
    void on_resume(job::Turn&, Duration) {}
    void on_deadline(job::Turn&) {}
    Instant next_deadline() const { return Instant::never(); }  // the aggregator has the deadlines

    message::Progress progress() const;
    bool finished() const { return phase_ == message::Phase::finished; }
    job::CoreStatus status(Instant now) const;
    Digest128 digest() const;

private:
    struct Copy {                 // of the global model
        std::uint64_t round = 0;  // that starts from it
        Digest256 identity;       // zero until RoundStart tells
        tensor::Model model;
    };
    struct Work {  // on a round
        std::uint64_t round = 0;
        Digest256 base;
        std::optional<job::JobId> evaluate, train;
        tensor::Payload payload;
        std::uint64_t sample_count = 0, byte_count = 0;
        double loss = 0;
        job::State optimizer, residual;
        std::uint8_t codec = 0;
    };
    enum class Handed : std::uint8_t { no, offered, delivered };
    struct Update {  // finished and not yet committed
        std::uint64_t round = 0;
        Digest256 base;
        tensor::Payload payload;
        message::Manifest manifest;
        job::State optimizer, residual;
        Handed handed = Handed::no;
        job::TransferId offer;
    };

    void on_round_start(job::Turn& turn, const message::RoundStart& start);
    void on_commit(const message::Commit& commit);
    void on_closed(job::Turn& turn, const message::RoundClosed& closed);
    void on_finished(job::Turn& turn, const message::RunFinished& finished);
    void on_offered(job::Turn& turn, job::TransferId id, const message::Manifest& manifest);
    void on_handed(job::Turn& turn, const message::TransferEvent& event);
    void try_work(job::Turn& turn);
    void start_training(job::Turn& turn);
    void on_evaluated(job::Turn& turn, const Result<job::JobDone>& done);
    void on_trained(job::Turn& turn, const Result<job::JobDone>& done, Duration elapsed);
    void try_complete(job::Turn& turn);
    void give_up(job::Turn& turn, const Error& error);
    void hand_in(job::Turn& turn);
    void drop_work(job::Turn& turn);
    void drop_update(job::Turn& turn);

    struct Jobs {
        std::optional<job::JobId> decode, final;
        std::set<job::JobId> abandoned;  // still to be answered, of no interest
        bool none() const { return !decode && !final && abandoned.empty(); }
    };
    void abandon(job::JobId id) { jobs_.made().abandoned.insert(id); }
    bool take(std::optional<job::JobId> Jobs::*mine, job::JobId id);
    struct KeptState {
        std::uint64_t round = 0;  // whose update left it
        job::State optimizer, residual;
        bool exists() const { return optimizer || residual; }
    };
    struct Kept {
        KeptState now;  // as of the last Commit
        // Of the one before it, as an aggregator may go back a round; absent after it did.
        std::optional<KeptState> before;
    };
    void go_back_to(job::Turn& turn, std::uint64_t round);

    ClientSetupRef setup_;
    message::RunId run_;
    message::Phase phase_ = message::Phase::waiting;
    bool given_up_ = false;  // the run, in an earlier life of its aggregator
    std::uint64_t completed_ = 0;
    Instant since_;             // of the present wait
    Boxed<PeerId> aggregator_;  // while it is linked and joined
    // Most clients wait for most rounds to pass, and hold none of these meanwhile.
    Boxed<message::RoundStart> order_;
    // It came over this link. Another life of the aggregator may mean another model by that round.
    bool order_stands_ = false;
    Boxed<Copy> copy_;
    Boxed<job::TransferId> incoming_;
    Boxed<Work> work_;
    Boxed<Update> update_;
    Boxed<Jobs> jobs_;
    Boxed<Kept> kept_;
    Boxed<message::EvaluationReport> report_;  // the last one, in case it is asked again
    Boxed<job::EvaluateDone> evaluated_;       // the last figures that are known
};

}  // namespace gossamer::federated
