// A star of one aggregator and some clients under a virtual clock: a scripted network that delays,
// loses links and kills nodes, and an executor that does the real arithmetic. Every delay is drawn
// from a seeded stream, so a seed is a schedule.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossamer/federated/config.hpp"
#include "protocol/federated/federated_client.hpp"
#include "protocol/federated/round_engine.hpp"

namespace gossamer::federated::testing {

// What a client does in a round: a known function of (client, round, start), no trainer needed.
std::vector<float> trained_by(std::size_t client, std::uint64_t round,
                              std::span<const float> start);

struct WorldOptions {
    std::size_t clients = 3;
    std::size_t parameters = 40;
    std::uint64_t seed = 1;  // of the schedule, not of the run
    job::RunConfig run;
    FederatedConfig config;
    StrategyRef strategy = fed_avg();
    std::string codec = "f32";
    bool has_test_data = true;  // the aggregator
    bool clients_have_test_data = true;
    bool aggregator_finds_test_data = true;  // a user's trainer tells so when it is asked
    std::uint64_t claimed_by_last = 0;  // samples that the last client says it has; 0: as all do
};

class StarWorld {
public:
    explicit StarWorld(WorldOptions options);

    void start();  // everybody, and all links after random delays
    // Runs events until `done`, or nothing is left, or `limit` events have run.
    void run(const std::function<bool()>& done = {}, std::size_t limit = 200'000);
    bool finished() const;

    void kill_aggregator(bool write_in_flight_lands);  // kill -9
    void restart_aggregator();                         // from what is on disk; clients come back
    void cut(std::size_t client);                      // its link; it stays down until connect()
    void connect(std::size_t client);
    void restart_client(std::size_t client);  // kill -9 and start again, without memory
    void declare(std::size_t client, message::MemberState state);
    PeerId id_of(std::size_t client) const { return PeerId::of_number(client + 1); }

    const WorldOptions options;
    tensor::LayoutRef layout;
    Instant now{1'000'000'000};
    std::size_t events_run = 0;
    std::unique_ptr<RoundEngine> engine;
    std::vector<std::unique_ptr<FederatedClient>> clients;

    // What happened.
    std::vector<message::Notice> notices;  // of the aggregator
    std::map<std::size_t, std::vector<message::Notice>> client_notices;
    std::map<std::uint64_t, std::vector<float>> models;      // by round, as checkpointed
    std::map<std::uint64_t, Digest256> identities;           // likewise
    std::map<std::uint64_t, double> scores;                  // likewise
    std::map<std::uint64_t, RoundPlan> plans;                // by round, the newest on disk
    std::map<std::uint64_t, std::vector<PeerId>> accepted;   // by round, of the notices
    std::map<std::size_t, std::set<std::uint64_t>> trained;  // rounds each client really trained
    // Of each of them: the round whose residual it was given (each job leaves its own); 0: none.
    std::map<std::size_t, std::map<std::uint64_t, std::uint64_t>> residual_of;
    std::map<std::size_t, std::vector<float>> final_models;
    std::size_t train_jobs = 0, staged_most = 0, disk_syncs = 0;
    std::map<std::size_t, std::size_t> grants_of;            // uploads, by client
    std::size_t refused_amid = 0, withdrawn_by_clients = 0;  // transfers that were under way
    std::vector<std::string> sent;                           // "commit 3 to 2", by the aggregator

    // Faults: what a client's update becomes; whether the disk takes a checkpoint.
    std::function<void(std::size_t client, std::uint64_t round, std::span<float> update)> tamper;
    std::function<bool(std::uint64_t round)> disk_fails;
    std::function<Duration(std::size_t client, std::uint64_t round)> train_time;
    std::function<bool(std::size_t client, std::uint64_t round)> training_fails;
    // How many transfers are still to be lost half way, on links that stay.
    std::size_t transfers_to_lose = 0;
    std::function<bool(std::size_t client)> loses_uploads;    // likewise, all of them
    std::function<Duration(std::size_t client)> upload_time;  // from grant to arrival

    template <class T>
    std::vector<T> noticed() const {
        std::vector<T> out;
        for (const auto& notice : notices)
            if (auto* n = std::get_if<T>(&notice)) out.push_back(*n);
        return out;
    }

private:
    static constexpr std::size_t kAggregator = SIZE_MAX;
    struct Party {
        job::TurnIds ids;
        std::uint64_t life = 0;  // changes when it is killed
        std::uint64_t link = 0;  // to the aggregator; changes when it goes up or down
        bool linked = false;
        Instant sent_until;  // in order per direction
        Instant heard_until;
        std::uint64_t timer = 0;
    };
    struct Flight {
        std::size_t client;
        bool to_client = false;
        message::Manifest manifest;
        tensor::Payload payload;
        std::uint64_t link;
        bool granted = false;
    };
    struct Disk {
        std::optional<job::Restored> checkpoint;
        std::optional<Bytes> begun;
    };

    void at(Instant when, std::function<void()> what);
    Duration some(Duration least, Duration most);
    Party& party(std::size_t who) { return who == kAggregator ? aggregator_ : parties_[who]; }
    template <class F>
    void turn(std::size_t who, F&& f);
    void carry_out(std::size_t who, job::Turn& turn);
    void send(std::size_t from, const job::Send& send);
    void offer(std::size_t from, const job::Offer& offer);
    void answer(std::size_t receiver, const job::Grant& grant);
    void withdraw(std::size_t from, job::TransferId id);
    void start_job(std::size_t who, job::JobOrder order);
    void try_job(std::size_t who, std::uint64_t life, std::shared_ptr<job::JobOrder> order);
    Result<job::JobDone> compute(std::size_t who, job::Job& job);
    job::CheckpointDone write(std::size_t who, job::CheckpointJob& job);
    void arm(std::size_t who);
    void lose_link(std::size_t client);
    std::unique_ptr<RoundEngine> make_engine() const;
    std::unique_ptr<FederatedClient> make_client() const;

    std::map<std::pair<Instant, std::uint64_t>, std::function<void()>> queue_;
    std::uint64_t next_event_ = 0;
    RngStream random_;
    tensor::PoolRef pool_;
    codec::CodecRef codec_;
    Party aggregator_;
    std::vector<Party> parties_;
    std::map<std::pair<bool, std::uint64_t>, Flight> flights_;  // by (of aggregator?, number)
    std::uint64_t next_client_transfer_ = 1;
    std::map<std::pair<std::size_t, std::uint64_t>, bool> cancelled_;
    Disk disk_;
    std::vector<job::CheckpointJob> writing_;
    std::vector<std::function<void()>> parked_;  // jobs whose input is still a promise
    std::size_t staged_ = 0;
};

template <class F>
void StarWorld::turn(std::size_t who, F&& f) {
    if (who == kAggregator ? !engine : !clients[who]) return;
    job::Turn t(now, WallTime{now.ns}, options.run.seed, party(who).ids);
    f(t);
    carry_out(who, t);
    arm(who);
}

// The model that follows from the accepted updates alone: what every schedule must agree with.
std::vector<float> expected_next(const StarWorld& world, std::uint64_t round);

}  // namespace gossamer::federated::testing
