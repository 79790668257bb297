// Gossip cores on a virtual clock, over a network that does what the test says, with jobs done by
// small real arithmetic. A node's turn is carried out at once; everything else is an event.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "gossamer/codec/accumulate.hpp"
#include "protocol/gossip/gossip.hpp"

namespace gossamer::gossip::testing {

using Values = std::vector<float>;

struct Behaviour {  // of one node; all but `train` may stay empty
    // start -> trained, of step `round`
    std::function<Result<Values>(std::span<const float> start, std::uint64_t round)> train;
    std::function<Duration(std::uint64_t round)> train_time;
    std::function<Result<double>(std::span<const float> model)> accuracy;
    Duration evaluate_time{}, checkpoint_time{};
};

class World {
public:
    struct Options {
        std::size_t nodes = 4, parameters = 3;
        std::string graph = "ring";
        GossipConfig gossip;
        std::uint64_t rounds = 10;
        double target_accuracy = 0;
        std::uint64_t patience = 0;
        Duration wall_time{};
        AlgorithmRef algorithm = d_psgd();
        Duration heartbeat = 100ms, detection = 500ms;
        std::uint64_t network_seed = 0;  // 0: every message takes 1 ms
        float genesis = 0;
    };
    explicit World(Options options);

    // Before run(): what nodes do.
    Behaviour& of(std::size_t node) { return nodes_[node]->behaviour; }
    void start();  // all nodes, with links between all
    // Runs until the condition holds, nothing is left to do, or the virtual time is over.
    bool run_until(const std::function<bool()>& done, Duration limit = 24h);
    bool run_to_end() {
        return run_until([&] { return all_finished(); });
    }
    bool all_finished() const;
    void run_for(Duration time);

    void kill(std::size_t node);
    void restart(std::size_t node);  // without a checkpoint unless `checkpoint_of` kept one
    void cut(std::size_t a, std::size_t b);
    void join(std::size_t a, std::size_t b);

    // True: the message or offer never gets there.
    std::function<bool(std::size_t from, std::size_t to, const message::Manifest&)> lose_offer;

    Gossip& core(std::size_t node) { return *nodes_[node]->core; }
    Values model(std::size_t node) const;
    Instant now() const { return now_; }
    PeerId id(std::size_t node) const { return nodes_[node]->id; }
    std::size_t place(const PeerId& id) const;
    job::TurnIds& ids(std::size_t node) { return nodes_[node]->ids; }
    const topology::Schedule& schedule() const { return schedule_; }

    struct Told {
        Instant at;
        std::size_t node;
        message::Notice notice;
    };
    std::vector<Told> notices;
    template <class N>
    std::vector<std::pair<Told, N>> told(std::optional<std::size_t> node = {}) const {
        std::vector<std::pair<Told, N>> out;
        for (const auto& t : notices)
            if (auto* n = std::get_if<N>(&t.notice); n && (!node || t.node == *node))
                out.push_back({t, *n});
        return out;
    }
    std::optional<job::Restored> checkpoint_of;  // the last checkpoint written by any node
    std::size_t checkpoint_node = 0;
    std::vector<job::CheckpointJob> finals;
    std::map<std::size_t, std::vector<double>> scores;  // of a node's checkpoints, in order
    std::vector<std::string> hidden;  // trace of refused offers: "3 refuses 1: stale"

    // One event on one node; for tests that play the other side themselves.
    job::Turn turn_of(std::size_t node) {
        return job::Turn(now_, WallTime{}, RunSeed{7}, nodes_[node]->ids);
    }
    void carry_out(std::size_t node, job::Turn& turn);

private:
    struct Transfer {
        std::size_t from, to;
        job::TransferId id;
        message::Manifest manifest;
        tensor::Payload payload;
    };
    struct Node {
        PeerId id;
        Behaviour behaviour;
        std::unique_ptr<Gossip> core;
        job::TurnIds ids;
        std::uint64_t life = 0;  // raised by kill
        std::set<std::uint64_t> cancelled;
    };
    using Event = std::function<void()>;
    GossipSetupRef setup() const;
    void at(Instant when, Event event) { events_.emplace(std::pair{when, ++count_}, event); }
    void on(std::size_t node, const std::function<void(Gossip&, job::Turn&)>& event);
    void later(std::size_t node, Duration delay, std::function<void(Gossip&, job::Turn&)> event);
    Duration latency();
    bool linked(std::size_t a, std::size_t b) const {
        return links_.contains({std::min(a, b), std::max(a, b)});
    }
    void offer(std::size_t from, job::Offer& offer);
    void answer(std::size_t from, const job::Grant& grant);
    void drop_link(std::size_t a, std::size_t b);
    void beat();
    void start_job(std::size_t node, job::JobOrder order);
    Result<job::JobDone> perform(std::size_t node, job::Job& job);
    tensor::Buffer filled(std::span<const float> values);

    Options options_;
    tensor::LayoutRef layout_;
    tensor::PoolRef pool_ = tensor::BufferPool::create(1 << 20);
    topology::Schedule schedule_;
    std::vector<std::unique_ptr<Node>> nodes_;
    std::set<std::pair<std::size_t, std::size_t>> links_;
    std::map<std::pair<std::size_t, std::uint64_t>, Transfer> transfers_;  // (sender, id)
    std::map<std::pair<Instant, std::uint64_t>, Event> events_;
    std::uint64_t count_ = 0, draws_ = 0;
    Instant now_{1'000'000'000};
};

topology::TopologyConfig graph_of(std::string_view name);
// No evaluation, no checkpoints, no averaging at the end.
World::Options options(std::string graph, std::size_t nodes, std::uint64_t rounds);
// Node i adds i to each parameter in every step.
void add_each_step(World& world, std::size_t nodes);

}  // namespace gossamer::gossip::testing
