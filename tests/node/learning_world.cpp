#include "node/learning_world.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace gossamer::testing {

namespace {

constexpr std::uint32_t kParameters = 12;

float target(std::size_t place, std::size_t i) {
    return static_cast<float>((place * 7 + i * 3) % 11) / 5;
}

// Minimises |x - target|²/2 by plain descent; its accuracy falls with the distance to the best.
class Puller final : public training::Trainer {
public:
    Puller(std::size_t place, std::size_t peers, tensor::LayoutRef layout)
        : place_(place), peers_(peers), layout_(std::move(layout)) {}

    const tensor::LayoutRef& layout() const override { return layout_; }
    std::uint64_t sample_count() const override { return 100; }
    void initialise(std::span<float> x, RunSeed seed) const override {
        auto rng = stream(seed, Purpose::model_init);
        for (float& v : x) v = static_cast<float>(rng.uniform());
    }
    Result<training::TrainProduct> train(training::TrainRequest request,
                                         tensor::BufferPool& pool) override {
        training::TrainProduct product;
        const auto start = request.start.values();
        product.weights = pool.take(start.size_bytes());
        auto out = product.weights.floats();
        for (std::size_t i = 0; i < out.size(); ++i) {
            const float pull = target(place_, i) - start[i];
            out[i] = start[i] + 0.2F * pull;
            product.loss += 0.5 * static_cast<double>(pull) * static_cast<double>(pull);
        }
        product.sample_count = 100;
        product.step_count = 1;
        return product;
    }
    Result<training::Evaluation> evaluate(std::span<const float> x, training::EvaluationSet,
                                          const training::Pause&) override {
        double loss = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            double mean = 0;
            for (std::size_t k = 0; k < peers_; ++k)
                mean += static_cast<double>(target(k, i)) / static_cast<double>(peers_);
            loss += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
        }
        return training::Evaluation{loss, 1 / (1 + loss), 100};
    }

private:
    std::size_t place_, peers_;
    tensor::LayoutRef layout_;
};

Duration cost_of(const job::Job& job, Duration step) {
    if (const auto* train = std::get_if<job::TrainJob>(&job))
        return train->product == job::TrainedAs::encoded ? step + 500us : step;
    if (std::holds_alternative<job::CheckpointJob>(job)) return 4ms;
    return 500us;
}

}  // namespace

LearningWorld::LearningWorld(LearningOptions o)
    : options(std::move(o)),
      world(options.seed, options.network),
      pool_(tensor::BufferPool::create(64 << 20)) {
    const std::size_t count = options.peers + (options.aggregator ? 1 : 0);
    for (std::size_t i = 0; i < count; ++i) {
        tensor::Layout layout;
        const auto odd = options.odd_layout.find(i);
        layout.add("dense.weight", {odd == options.odd_layout.end() ? kParameters : odd->second});
        layouts_[i] = std::make_shared<tensor::Layout>(layout);
        work::Tools tools;
        tools.trainer = std::make_shared<Puller>(i, options.peers, layouts_[i]);
        tools.codecs = std::make_shared<codec::CodecTable>();
        tools.pool = pool_;
        tools.seed = RunSeed{options.seed};
        tools.self = PeerId::of_number(i + 1);
        tools.checkpoint = [this, i](const job::CheckpointJob& job) { return keep(i, job); };
        perform_[i] = work::make_perform(std::move(tools));
        const bool aggregates = options.aggregator && i == aggregator();
        world.add(PeerId::of_number(i + 1), aggregates ? Role::aggregator : Role::peer,
                  "h" + std::to_string(i) + ":1",
                  [this, i](std::uint64_t boot_epoch) { return make(i, boot_epoch); });
    }
    world.set_workers(
        {[this](std::size_t, const job::Job& job) { return cost_of(job, options.step_cost); },
         [this](std::size_t place, job::Job& job) {
             return perform_.at(place)(job, [] { return true; });
         }});
}

std::unique_ptr<node::Node> LearningWorld::make(std::size_t place, std::uint64_t boot_epoch) {
    node::NodeSetup setup;
    const bool aggregates = options.aggregator && place == aggregator();
    setup.self = {PeerId::of_number(place + 1),
                  aggregates ? Role::aggregator : Role::peer,
                  message::MemberState::alive,
                  0,
                  {"h" + std::to_string(place) + ":1"}};
    setup.boot_epoch = boot_epoch;
    membership::MembershipConfig membership{.profile = membership::Profile::local};
    for (std::size_t i : {std::size_t{0}, aggregator()})
        membership.seeds.push_back({"h" + std::to_string(i) + ":1", std::nullopt});
    if (!options.aggregator) membership.seeds.pop_back();
    if (options.by_book) membership.seeds.clear();
    for (std::size_t i = 0; options.by_book && i < options.peers; ++i)
        setup.known.push_back({.id = PeerId::of_number(i + 1),
                               .state = message::MemberState::dead,
                               .addresses = {"h" + std::to_string(i) + ":1"}});
    setup.membership = std::make_shared<const membership::MembershipConfig>(membership);
    job::RunConfig run;
    run.name = options.odd_run.contains(place) ? options.odd_run.at(place) : "test";
    run.mode = options.aggregator ? message::Mode::federated : message::Mode::gossip;
    run.rounds = options.rounds;
    run.seed = RunSeed{options.seed};
    run.peers = options.wait_for != 0 ? options.wait_for : options.peers;
    const auto layout = layouts_.at(place);
    setup.sample_count = 100;

    topology::TopologyConfig graph;
    graph.graph.kind = options.graph;
    gossip::GossipConfig gossip_config;
    if (options.odd_codec.contains(place)) gossip_config.codec = options.odd_codec.at(place);
    job::SharedSettings shared(run, layout->digest());
    if (!options.aggregator) gossip::add_shared(shared, gossip_config, graph);
    setup.run = std::make_shared<const node::RunIdentity>(
        node::RunIdentity{run.name, run.mode, layout, shared.digest(), shared.lines()});

    std::optional<job::Restored> restored;
    if (auto found = disk_.find(place); found != disk_.end()) restored = found->second;
    if (!options.aggregator) {
        gossip::GossipSetup core{run,
                                 gossip_config,
                                 graph,
                                 layout,
                                 codec::find_codec(gossip_config.codec).value(),
                                 gossip::d_psgd(),
                                 {},
                                 {}};
        return node::make_gossip_peer(
            setup, std::make_shared<const gossip::GossipSetup>(std::move(core)), restored);
    }
    federated::FederatedConfig config;
    config.quorum = 1;
    if (!aggregates)
        return node::make_federated_peer(setup, std::make_shared<const federated::ClientSetup>(
                                                    federated::ClientSetup{run, config, layout}));
    federated::EngineSetup engine{
        run, config, federated::fed_avg(), codec::find_codec(config.codec).value(), layout, true};
    auto made = node::make_aggregator(setup, std::move(engine), restored);
    REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().to_string()));
    return *std::move(made);
}

Result<std::string> LearningWorld::keep(std::size_t place, const job::CheckpointJob& job) {
    job::Restored& kept = disk_[place];
    kept.record = job.record;
    if (job.model.exists()) {
        kept.round = job.round;
        kept.model = job.model;
        kept.identity = job.identity;
        kept.states.clear();
        for (const auto& state : job.states)
            kept.states.emplace_back(state.name, state.state ? state.state->save() : Bytes{});
    }
    if (job.final_) finals_[place] = true;
    return "checkpoint";
}

void LearningWorld::start_all() {
    for (std::size_t i = 0; i < world.size(); ++i) world.start(i);
}

bool LearningWorld::run_to_end(Duration at_most) {
    return world.run_while(
        [this] {
            for (std::size_t i = 0; i < world.size(); ++i)
                if (world.running(i) && !world.node(i).finished()) return true;
            return false;
        },
        at_most);
}

std::vector<float> LearningWorld::kept_model(std::size_t place) const {
    const auto values = disk_.at(place).model.values();
    return {values.begin(), values.end()};
}

std::vector<float> LearningWorld::best() const {
    std::vector<float> mean(kParameters);
    for (std::size_t i = 0; i < mean.size(); ++i) {
        double sum = 0;
        for (std::size_t k = 0; k < options.peers; ++k) sum += static_cast<double>(target(k, i));
        mean[i] = static_cast<float>(sum / static_cast<double>(options.peers));
    }
    return mean;
}

std::vector<Error> LearningWorld::warnings(std::size_t place) const {
    std::vector<Error> errors;
    for (const auto& [at, warning] : noted<message::Warning>(place))
        errors.push_back(warning.error);
    return errors;
}

}  // namespace gossamer::testing
