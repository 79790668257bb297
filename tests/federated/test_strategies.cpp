#include <algorithm>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "gossamer/codec/codec.hpp"
#include "gossamer/federated/config.hpp"
#include "protocol/federated/aggregate_job.hpp"
#include "star_world.hpp"

using namespace gossamer;
using namespace gossamer::federated;
using namespace gossamer::federated::testing;

namespace {

class Options : public OptionSource {
public:
    explicit Options(const OptionTable& table) {
        for (const auto& option : table) values_[option.key] = option.fallback;
    }
    const OptionValue& get(std::string_view key) const override {
        return values_.at(std::string(key));
    }

private:
    std::map<std::string, OptionValue> values_;
};

// Runs a strategy on one parameter, round after round.
std::vector<float> walk(const Strategy& strategy, std::vector<float> deltas) {
    auto pool = tensor::BufferPool::create(1 << 20);
    std::vector<float> models;
    float current = 1;
    job::State state;
    for (float delta : deltas) {
        float next = delta;
        auto result =
            strategy.aggregate({models.size() + 1, {&current, 1}, {&next, 1}, {}, 1, state, pool});
        REQUIRE(result);
        state = *result;
        if (state) {  // through the checkpoint and back
            auto again = strategy.load_state(state->save(), 1);
            REQUIRE(again);
            CHECK((*again)->digest() == state->digest());
            state = *again;
        }
        models.push_back(current = next);
    }
    return models;
}

// The middle of the set, per element: needs all deltas.
class Median : public Strategy {
public:
    StrategyTraits traits() const override { return {"median", true}; }
    Result<job::State> aggregate(const Aggregation& in) const override {
        std::vector<float> block(codec::kBlock), column;
        for (std::size_t at = 0; at < in.next.size(); at += codec::kBlock) {
            auto length = std::min(codec::kBlock, in.next.size() - at);
            std::vector<std::vector<float>> rows;
            for (const auto& delta : in.deltas) {
                delta.decode(std::span(block).first(length), at);
                rows.push_back(block);
            }
            for (std::size_t i = 0; i < length; ++i) {
                column.clear();
                for (const auto& row : rows) column.push_back(row[i]);
                std::sort(column.begin(), column.end());
                in.next[at + i] = in.current[at + i] + column[column.size() / 2];
            }
        }
        return job::State{};
    }
};

}  // namespace

TEST_CASE("FedAvg adds the mean delta times the server rate") {
    CHECK(walk(*fed_avg(), {0.5F, -0.25F}) == std::vector<float>{1.5F, 1.25F});
    CHECK(walk(*fed_avg(0.5), {0.5F, -0.25F}) == std::vector<float>{1.25F, 1.125F});
}

TEST_CASE("FedAvgM keeps a velocity over rounds and checkpoints") {
    CHECK(walk(*fed_avg_m(0.5, 1), {1, 1, 0}) == std::vector<float>{2, 3.5F, 4.25F});
    CHECK(walk(*fed_avg_m(0, 1), {1, 1, 0}) == walk(*fed_avg(), {1, 1, 0}));
}

TEST_CASE("state of another size is refused") {
    auto strategy = fed_avg_m();
    CHECK_FALSE(strategy->load_state(Bytes(11), 1));
    CHECK_FALSE(fed_avg()->load_state(Bytes(11), 1));
    CHECK(fed_avg()->load_state({}, 1));
}

TEST_CASE("strategies are found by name, a user's own beside the built-in ones") {
    OptionTable table = federated_options();
    for (const auto& entry : built_in_strategies())
        table.insert(table.end(), entry.options.begin(), entry.options.end());
    Options source(table);
    CHECK(make_strategy("fed_avg_m", source).value()->traits().name == "fed_avg_m");
    auto unknown = make_strategy("fedavg", source);
    REQUIRE_FALSE(unknown);
    CHECK(unknown.error().code == ErrorCode::kAlgorithmUnknown);
    StrategyEntry mine{"median", "the middle", {}, [](const OptionSource&) -> Result<StrategyRef> {
                           return std::make_shared<Median>();
                       }};
    CHECK(make_strategy("median", source, {&mine, 1}).value()->traits().needs_set);
    CHECK(federated_config(source).quorum == 0.5);
}

TEST_CASE("the selection is random, seeded, and of the size asked for") {
    std::vector<Candidate> candidates;
    for (std::uint64_t n = 1; n <= 10; ++n) candidates.push_back({PeerId::of_number(n), n});
    Selection selection{1, {3}, 0, candidates, 0.3, 1, 1.5};
    auto cohort = select_at_random(selection);
    CHECK(cohort.wanted == 3);
    CHECK(cohort.peers.size() == 5);
    CHECK(select_at_random(selection).peers == cohort.peers);
    std::set<PeerId> seen;
    for (selection.round = 1; selection.round <= 40; ++selection.round)
        for (const auto& peer : select_at_random(selection).peers) seen.insert(peer);
    CHECK(seen.size() == 10);
    selection.round = 1, selection.attempt = 1;
    CHECK(select_at_random(selection).peers != cohort.peers);
    selection.clients_min = 20;
    CHECK(select_at_random(selection).peers.size() == 10);
    selection = {1, {3}, 0, candidates, 0, 1, 1};
    CHECK(select_at_random(selection).wanted == 1);
}

TEST_CASE("a rule that needs the whole set gets it, or is refused before the round") {
    WorldOptions o;
    o.clients = 3;
    o.run.rounds = 2, o.run.peers = 3;
    o.strategy = std::make_shared<Median>();
    {
        StarWorld world(o);
        world.start();
        world.run();
        REQUIRE(world.finished());
        const auto& before = world.models.at(1);
        std::vector<float> column;
        for (std::size_t k = 0; k < 3; ++k)
            column.push_back(trained_by(k, 2, before)[5] - before[5]);
        std::sort(column.begin(), column.end());
        CHECK(world.models.at(2)[5] == before[5] + column[1]);
    }
    o.config.set_memory_bytes = 3 * 160 - 1;
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.engine->finished());
    CHECK(world.train_jobs == 0);
    auto ended = world.noticed<message::RunEnded>();
    REQUIRE(ended.size() == 1);
    CHECK_FALSE(ended[0].reached);
    CHECK(ended[0].reason.find("federated.set_memory") != std::string::npos);
}

TEST_CASE("a strategy that makes a model that is not finite ends the run at the last good one") {
    class Broken : public Strategy {
    public:
        StrategyTraits traits() const override { return {"broken"}; }
        Result<job::State> aggregate(const Aggregation& in) const override {
            for (std::size_t i = 0; i < in.next.size(); ++i) in.next[i] += in.current[i];
            if (in.round == 2) in.next[3] /= 0.0F;
            return job::State{};
        }
    };
    WorldOptions o;
    o.run.rounds = 3, o.run.peers = 3;
    o.strategy = std::make_shared<Broken>();
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.accepted.size() == 1);
    CHECK_FALSE(world.noticed<message::RunEnded>().at(0).reached);
    CHECK(world.models.rbegin()->first == 1);
    CHECK(world.final_models.empty());  // the next start goes on from there
}

TEST_CASE("a run that ends with more words than its record holds can be started again") {
    class Talkative : public Strategy {
    public:
        StrategyTraits traits() const override { return {"talkative"}; }
        Result<job::State> aggregate(const Aggregation&) const override {
            return fail(ErrorCode::kInternal, std::string(5000, 'x'));
        }
    };
    WorldOptions o;
    o.run.rounds = 3, o.run.peers = 3;
    o.strategy = std::make_shared<Talkative>();
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    CHECK(world.noticed<message::RunEnded>().at(0).reason.size() == kReasonMost);
    world.kill_aggregator(true);
    world.restart_aggregator();  // it requires that the record is whole
}

TEST_CASE("updates may travel in half precision") {
    WorldOptions o;
    o.run.rounds = 2, o.run.peers = 3;
    o.codec = "f16";
    StarWorld world(o);
    world.start();
    world.run();
    REQUIRE(world.finished());
    for (std::size_t i = 0; i < 40; ++i)
        CHECK(world.models.at(1)[i] == doctest::Approx(expected_next(world, 1)[i]).epsilon(0.001));
    CHECK(world.noticed<message::RoundFinished>()[0].received_bytes == 3 * 80);
}
