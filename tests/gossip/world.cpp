#include "world.hpp"

#include <doctest/doctest.h>

namespace gossamer::gossip::testing {

topology::TopologyConfig graph_of(std::string_view name) {
    topology::TopologyConfig out;
    for (int k = 0; k <= static_cast<int>(topology::GraphKind::edges); ++k)
        if (to_string(static_cast<topology::GraphKind>(k)) == name)
            out.graph.kind = static_cast<topology::GraphKind>(k);
    return out;
}

World::Options options(std::string graph, std::size_t nodes, std::uint64_t rounds) {
    World::Options o;
    o.graph = std::move(graph);
    o.nodes = nodes;
    o.rounds = rounds;
    o.gossip.evaluate_every = 0;
    o.gossip.checkpoint_every = 0;
    o.gossip.final_averaging_steps = 0;
    return o;
}

void add_each_step(World& world, std::size_t nodes) {
    for (std::size_t i = 0; i < nodes; ++i)
        world.of(i).train = [i](std::span<const float> x, std::uint64_t) {
            Values out(x.begin(), x.end());
            for (auto& v : out) v += float(i);
            return Result<Values>(out);
        };
}

World::World(Options options) : options_(std::move(options)) {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("x", {static_cast<std::uint32_t>(options_.parameters)});
    layout_ = layout;
    schedule_ = topology::make_schedule(graph_of(options_.graph),
                                        static_cast<std::uint32_t>(options_.nodes), RunSeed{7})
                    .value();
    for (std::size_t i = 0; i < options_.nodes; ++i) {
        auto node = std::make_unique<Node>();
        node->id = PeerId::of_number(i + 1);
        node->behaviour.train = [](std::span<const float> x, std::uint64_t) -> Result<Values> {
            return Values(x.begin(), x.end());
        };
        nodes_.push_back(std::move(node));
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        nodes_[i]->core = std::make_unique<Gossip>(setup(), nodes_[i]->id, std::nullopt);
}

GossipSetupRef World::setup() const {
    GossipSetup out;
    out.run.name = "test";
    out.run.mode = message::Mode::gossip;
    out.run.rounds = options_.rounds;
    out.run.target_accuracy = options_.target_accuracy;
    out.run.patience = options_.patience;
    out.run.wall_time = options_.wall_time;
    out.run.seed = RunSeed{7};
    out.run.peers = options_.nodes;
    out.config = options_.gossip;
    out.topology = graph_of(options_.graph);
    out.layout = layout_;
    out.codec = codec::find_codec(options_.gossip.codec).value();
    out.algorithm = options_.algorithm;
    return std::make_shared<const GossipSetup>(std::move(out));
}

std::size_t World::place(const PeerId& id) const {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        if (nodes_[i]->id == id) return i;
    return nodes_.size();
}

Values World::model(std::size_t node) const {
    auto v = nodes_[node]->core->model().values();
    return {v.begin(), v.end()};
}

bool World::all_finished() const {
    return std::all_of(nodes_.begin(), nodes_.end(),
                       [](const auto& n) { return !n->core || n->core->finished(); });
}

// ---- time ---------------------------------------------------------------------------------------

bool World::run_until(const std::function<bool()>& done, Duration limit) {
    auto end = now_ + limit;
    while (!done()) {
        auto next = events_.empty() ? Instant::never() : events_.begin()->first.first;
        std::size_t whose = nodes_.size();
        for (std::size_t i = 0; i < nodes_.size(); ++i)
            if (nodes_[i]->core && nodes_[i]->core->next_deadline() < next)
                next = nodes_[i]->core->next_deadline(), whose = i;
        if (next.is_never() || next > end) {
            now_ = end;
            return done();
        }
        now_ = std::max(now_, next);
        if (whose < nodes_.size()) {
            on(whose, [](Gossip& g, job::Turn& t) { g.on_deadline(t); });
        } else {
            auto event = std::move(events_.begin()->second);
            events_.erase(events_.begin());
            event();
        }
    }
    return true;
}

void World::run_for(Duration time) {
    run_until([] { return false; }, time);
}

void World::on(std::size_t node, const std::function<void(Gossip&, job::Turn&)>& event) {
    if (!nodes_[node]->core) return;
    auto turn = turn_of(node);
    event(*nodes_[node]->core, turn);
    carry_out(node, turn);
}

void World::later(std::size_t node, Duration delay,
                  std::function<void(Gossip&, job::Turn&)> event) {
    at(now_ + delay, [this, node, life = nodes_[node]->life, event = std::move(event)] {
        if (nodes_[node]->life == life) on(node, event);
    });
}

Duration World::latency() {
    if (options_.network_seed == 0) return 1ms;
    auto draw = stream(RunSeed{options_.network_seed}, Purpose::scenario, ++draws_);
    return Duration{static_cast<std::int64_t>(1e5 + 2e7 * draw.uniform())};
}

void World::beat() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (!nodes_[i]->core) continue;
        auto progress = nodes_[i]->core->progress();
        for (std::size_t j = 0; j < nodes_.size(); ++j)
            if (j != i && linked(i, j))
                later(j, 1ms, [progress, from = nodes_[i]->id](Gossip& g, job::Turn& t) {
                    g.on_progress(t, from, progress);
                });
    }
    at(now_ + options_.heartbeat, [this] { beat(); });
}

// ---- nodes and links ----------------------------------------------------------------------------

void World::start() {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        on(i, [](Gossip& g, job::Turn& t) { g.on_start(t); });
    for (std::size_t i = 0; i < nodes_.size(); ++i)
        for (std::size_t j = i + 1; j < nodes_.size(); ++j) join(i, j);
    beat();
}

void World::join(std::size_t a, std::size_t b) {
    links_.insert({std::min(a, b), std::max(a, b)});
    for (auto [to, from] : {std::pair{a, b}, std::pair{b, a}}) {
        if (!nodes_[from]->core) continue;
        message::Join join;
        auto progress = nodes_[from]->core->progress();
        join.run = progress.run;
        join.round = progress.round;
        join.phase = progress.phase;
        later(to, 1ms, [join, id = nodes_[from]->id](Gossip& g, job::Turn& t) {
            g.on_member(t, id, message::MemberState::alive);
            g.on_link(t, id, true);
            g.on_joined(t, id, join);
        });
    }
}

void World::drop_link(std::size_t a, std::size_t b) {
    if (links_.erase({std::min(a, b), std::max(a, b)}) == 0) return;
    for (auto it = transfers_.begin(); it != transfers_.end();) {
        auto t = it->second;
        bool here = (t.from == a && t.to == b) || (t.from == b && t.to == a);
        it = here ? transfers_.erase(it) : std::next(it);
        if (!here) continue;
        Error error{ErrorCode::kLinkClosed, "cut", {}};
        later(t.from, Duration{}, [=, to = nodes_[t.to]->id](Gossip& g, job::Turn& turn) {
            g.on_transfer(turn, to, t.id, message::TransferLost{error, false});
        });
        later(t.to, Duration{}, [=, from = nodes_[t.from]->id](Gossip& g, job::Turn& turn) {
            g.on_transfer(turn, from, t.id, message::TransferLost{error, true});
        });
    }
}

void World::cut(std::size_t a, std::size_t b) {
    drop_link(a, b);
    for (auto [to, from] : {std::pair{a, b}, std::pair{b, a}})
        later(to, Duration{},
              [id = nodes_[from]->id](Gossip& g, job::Turn& t) { g.on_link(t, id, false); });
}

// The process is gone at once; the others notice after the time of failure detection.
void World::kill(std::size_t node) {
    nodes_[node]->core.reset();
    ++nodes_[node]->life;
    for (std::size_t j = 0; j < nodes_.size(); ++j) {
        if (j == node || !linked(node, j)) continue;
        drop_link(node, j);
        later(j, options_.detection, [id = nodes_[node]->id](Gossip& g, job::Turn& t) {
            g.on_link(t, id, false);
            g.on_member(t, id, message::MemberState::dead);
        });
    }
}

void World::restart(std::size_t node) {
    std::optional<job::Restored> restored;
    if (checkpoint_of && checkpoint_node == node) restored = checkpoint_of;
    nodes_[node]->core = std::make_unique<Gossip>(setup(), nodes_[node]->id, std::move(restored));
    nodes_[node]->ids = {};
    on(node, [](Gossip& g, job::Turn& t) { g.on_start(t); });
    for (std::size_t j = 0; j < nodes_.size(); ++j)
        if (j != node && nodes_[j]->core) join(node, j);
}

// ---- carrying out a turn ------------------------------------------------------------------------

void World::carry_out(std::size_t node, job::Turn& turn) {
    for (auto& notice : turn.notices) notices.push_back({now_, node, std::move(notice)});
    for (auto id : turn.cancels) nodes_[node]->cancelled.insert(id.value);
    for (auto& order : turn.jobs) start_job(node, std::move(order));
    for (auto& send : turn.sends) {
        auto to = place(send.to);
        if (to == nodes_.size() || !linked(node, to)) continue;
        later(to, latency(), [m = send.message, from = nodes_[node]->id](Gossip& g, job::Turn& t) {
            g.on_message(t, from, m);
        });
    }
    for (const auto& withdrawal : turn.withdrawn) {
        const auto id = withdrawal.id;
        auto it = transfers_.find({node, id.value});
        if (it == transfers_.end()) continue;
        later(it->second.to, latency(), [id, from = nodes_[node]->id](Gossip& g, job::Turn& t) {
            g.on_transfer(t, from, id, message::TransferLost{{}, true});
        });
        transfers_.erase(it);
    }
    for (auto& o : turn.offers) offer(node, o);
    for (auto& g : turn.grants) answer(node, g);
}

void World::offer(std::size_t from, job::Offer& offer) {
    auto to = place(offer.to);
    if (to == nodes_.size() || !linked(from, to)) return;
    if (lose_offer && lose_offer(from, to, offer.manifest)) return;
    transfers_[{from, offer.id.value}] = {from, to, offer.id, offer.manifest, offer.payload};
    later(to, latency(), [this, from, id = offer.id](Gossip& g, job::Turn& t) {
        auto it = transfers_.find({from, id.value});
        if (it == transfers_.end()) return;
        g.on_transfer(t, nodes_[from]->id, id, message::TransferOffered{it->second.manifest});
    });
}

void World::answer(std::size_t node, const job::Grant& grant) {
    auto from = place(grant.from);
    if (from == nodes_.size()) return;
    auto it = transfers_.find({from, grant.id.value});
    if (it == transfers_.end()) return;
    if (grant.refused) {
        hidden.push_back(std::to_string(node) + " refuses " + std::to_string(from) + ": " +
                         std::string(to_string(*grant.refused)));
        later(
            from, latency(),
            [to = nodes_[node]->id, id = grant.id, why = *grant.refused](Gossip& g, job::Turn& t) {
                g.on_transfer(t, to, id, message::TransferRefused{why});
            });
        transfers_.erase(it);
        return;
    }
    auto whole = latency();
    later(node, whole, [this, from, id = grant.id](Gossip& g, job::Turn& t) {
        auto found = transfers_.find({from, id.value});
        if (found == transfers_.end()) return;
        auto transfer = found->second;
        transfers_.erase(found);
        g.on_transfer(t, nodes_[from]->id, id,
                      message::TransferArrived{transfer.manifest, transfer.payload});
        later(from, 1ms, [to = nodes_[transfer.to]->id, id](Gossip& sender, job::Turn& turn) {
            sender.on_transfer(turn, to, id, message::TransferDelivered{});
        });
    });
}

// ---- jobs ---------------------------------------------------------------------------------------

void World::start_job(std::size_t node, job::JobOrder order) {
    const auto& of = nodes_[node]->behaviour;
    Duration takes{};
    if (auto* train = std::get_if<job::TrainJob>(&order.job))
        takes = of.train_time ? of.train_time(train->round) : 10ms;
    if (std::holds_alternative<job::EvaluateJob>(order.job)) takes = of.evaluate_time;
    if (std::holds_alternative<job::CheckpointJob>(order.job)) takes = of.checkpoint_time;
    auto job = std::make_shared<job::Job>(std::move(order.job));
    later(node, takes, [this, node, job, takes, id = order.id](Gossip& g, job::Turn& t) {
        auto done = nodes_[node]->cancelled.contains(id.value)
                        ? Result<job::JobDone>(fail(ErrorCode::kCancelled, "cancelled"))
                        : perform(node, *job);
        CHECK(g.on_job_done(t, id, std::move(done), takes));
    });
}

tensor::Buffer World::filled(std::span<const float> values) {
    auto buffer = pool_->take_floats(values.size());
    std::copy(values.begin(), values.end(), buffer.floats().begin());
    return buffer;
}

Result<job::JobDone> World::perform(std::size_t node, job::Job& job) {
    auto& behaviour = nodes_[node]->behaviour;
    const auto count = layout_->parameter_count();
    if (auto* j = std::get_if<job::InitialModelJob>(&job)) {
        j->out.fill(filled(Values(count, options_.genesis)));
        return job::InitialModelDone{};
    }
    if (auto* j = std::get_if<job::TrainJob>(&job)) {
        auto trained = behaviour.train(j->start.values(), j->round);
        if (!trained) return fail(std::move(trained).error());
        j->out.fill(filled(*trained));
        return job::TrainDone{1, 1, 0.5, nullptr};
    }
    if (auto* j = std::get_if<job::EvaluateJob>(&job)) {
        if (!behaviour.accuracy) return job::EvaluateDone{0, 0, 1};
        auto accuracy = behaviour.accuracy(j->model.values());
        if (!accuracy) return fail(std::move(accuracy).error());
        return job::EvaluateDone{0, *accuracy, 1};
    }
    if (auto* j = std::get_if<job::EncodeJob>(&job)) {
        auto bytes = codec::encode_all(*codec::find_codec(j->codec).value(), j->model.values());
        if (!bytes) return fail(std::move(bytes).error());
        auto buffer = pool_->take(bytes->size());
        std::copy(bytes->begin(), bytes->end(), buffer.bytes().begin());
        j->out.fill(std::move(buffer));
        return job::EncodeDone{bytes->size(), nullptr};
    }
    if (auto* j = std::get_if<job::DecodeJob>(&job)) {
        auto codec = codec::find_codec(j->codec).value();
        GOSSAMER_CHECK(codec::check_values(*codec, j->payload.bytes(), count,
                                           std::numeric_limits<double>::max()));
        auto values = codec::decode_all(*codec, j->payload.bytes(), count);
        if (!values) return fail(std::move(values).error());
        j->out.fill(filled(*values));
        return job::DecodeDone{};
    }
    if (auto* j = std::get_if<job::MixJob>(&job)) {
        job::MixDone done;
        std::vector<double> sum(count);
        double self_weight = j->self_weight;
        std::map<PeerId, std::pair<Values, double>> parts;  // PeerId order
        for (const auto& input : j->inputs) {
            auto codec = codec::find_codec(input.codec).value();
            auto good = codec::check_values(*codec, input.payload.bytes(), count,
                                            std::numeric_limits<double>::max());
            if (!good) {
                self_weight += input.weight;
                done.refused.emplace_back(input.from, good.error());
                continue;
            }
            parts[input.from] = {*codec::decode_all(*codec, input.payload.bytes(), count),
                                 input.weight};
        }
        auto self = j->self.values();
        parts[j->self_id] = {Values(self.begin(), self.end()), self_weight};
        for (const auto& [id, part] : parts)
            for (std::size_t i = 0; i < count; ++i) sum[i] += part.second * part.first[i];
        Values out(count);
        for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(sum[i]);
        j->out.fill(filled(out));
        return done;
    }
    if (auto* j = std::get_if<job::ComputeJob>(&job)) {
        j->input.pool = pool_;
        auto out = j->run(j->input);
        if (!out) return fail(std::move(out).error());
        REQUIRE(out->models.size() == j->out_models.size());
        for (std::size_t i = 0; i < out->models.size(); ++i)
            j->out_models[i].fill(std::move(out->models[i]));
        return job::ComputeDone{out->state, out->result};
    }
    if (auto* j = std::get_if<job::CheckpointJob>(&job)) {
        checkpoint_of = job::Restored{j->round, j->model, {}, j->record, {}};
        for (const auto& s : j->states) checkpoint_of->states.emplace_back(s.name, s.state->save());
        checkpoint_node = node;
        scores[node].push_back(j->score);
        if (j->final_) finals.push_back(*j);
        return job::CheckpointDone{"checkpoint"};
    }
    return fail(ErrorCode::kInternal, "no such job in gossip");
}

}  // namespace gossamer::gossip::testing
