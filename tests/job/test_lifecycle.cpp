#include "gossamer/job/lifecycle.hpp"

#include <cmath>
#include <limits>
#include <map>

#include <doctest/doctest.h>

using namespace gossamer;
using namespace gossamer::job;

namespace {

// The defaults of a table, with some values replaced.
class Options : public OptionSource {
public:
    explicit Options(const OptionTable& table) {
        for (const auto& option : table) values_[option.key] = option.fallback;
    }
    Options& set(const std::string& key, OptionValue value) {
        REQUIRE(values_.count(key) == 1);
        values_[key] = std::move(value);
        return *this;
    }
    const OptionValue& get(std::string_view key) const override {
        return values_.at(std::string(key));
    }

private:
    std::map<std::string, OptionValue> values_;
};

RunConfig base() {
    RunConfig run;
    run.rounds = 0;
    return run;
}

}  // namespace

TEST_CASE("the defaults make a federated run of 20 rounds") {
    auto run = run_config(Options(run_options()));
    REQUIRE(run);
    CHECK(run->mode == message::Mode::federated);
    CHECK(run->rounds == 20);
    CHECK(run->resume);
}

TEST_CASE("a run that nothing would end is refused") {
    auto options = Options(run_options()).set("run.rounds", std::int64_t{0});
    auto run = run_config(options);
    REQUIRE_FALSE(run);
    CHECK(run.error().code == ErrorCode::kConfigConflict);
    CHECK(run_config(options.set("run.wall_time", Duration(5s))));
    CHECK_FALSE(run_config(options.set("run.mode", std::string("gossip"))));
}

TEST_CASE("a roster is parsed, sorted, and must be long enough") {
    auto a = PeerId::of_number(1), b = PeerId::of_number(2);
    auto options = Options(run_options())
                       .set("run.roster",
                            std::vector<std::string>{b.to_string(), a.to_string(), b.to_string()});
    auto run = run_config(options);
    REQUIRE(run);
    CHECK(run->roster == std::vector{a, b});
    CHECK(run_config(options.set("run.peers", std::int64_t{3})).error().code ==
          ErrorCode::kConfigConflict);
    CHECK(run_config(Options(run_options()).set("run.roster", std::vector<std::string>{"3f"}))
              .error()
              .code == ErrorCode::kConfigType);
}

TEST_CASE("members agree exactly when all shared settings are equal") {
    auto digest = [](RunConfig run, Digest128 layout, const char* extra = "") {
        SharedSettings shared(run, layout);
        if (*extra) shared.add("gossip.topology", extra);
        return shared.digest();
    };
    auto run = base();
    auto here = digest(run, {1, 2});
    CHECK(digest(run, {1, 2}) == here);
    CHECK(digest(run, {1, 3}) != here);
    CHECK(digest(run, {1, 2}, "ring") != digest(run, {1, 2}, "torus"));
    auto other = run;
    other.seed.value = 7;
    CHECK(digest(other, {1, 2}) != here);
    other = run, other.folder = "elsewhere", other.rounds = 5;
    CHECK(digest(other, {1, 2}) == here);  // federated: the aggregator alone decides when it ends
    other.mode = run.mode = message::Mode::gossip;
    CHECK(digest(other, {1, 2}) != digest(run, {1, 2}));
}

TEST_CASE("the order in which settings are added does not matter") {
    SharedSettings one(base(), {}), two(base(), {});
    one.add("a", "1"), one.add("b", "2");
    two.add("b", "2"), two.add("a", "1");
    CHECK(one.digest() == two.digest());
}

TEST_CASE("a run stops after its rounds") {
    auto run = base();
    run.rounds = 3;
    StopRule rule(run);
    rule.on_round(2);
    CHECK_FALSE(rule.reason());
    rule.on_round(3);
    REQUIRE(rule.reason());
    CHECK(*rule.reason() == "3 rounds are complete");
}

TEST_CASE("a run stops at its target accuracy and keeps its first reason") {
    auto run = base();
    run.target_accuracy = 0.9;
    run.rounds = 5;
    StopRule rule(run);
    rule.on_evaluation(1, 0.899, 1);
    CHECK_FALSE(rule.reason());
    rule.on_evaluation(2, 0.9, 1);
    REQUIRE(rule.reason());
    auto first = *rule.reason();
    rule.on_round(5);
    CHECK(*rule.reason() == first);
}

TEST_CASE("patience counts evaluations since the best one, also over a restart") {
    auto run = base();
    run.patience = 3;
    StopRule rule(run);
    for (double accuracy : {0.5, 0.4, 0.6, 0.6, std::nan("")})
        rule.on_evaluation(1, accuracy, std::nan(""));
    CHECK_FALSE(rule.reason());
    StopRule again(run);
    REQUIRE(again.load(rule.save({})));
    again.on_evaluation(6, 0.59, 1);
    REQUIRE(again.reason());
    CHECK(*again.reason() == "no better accuracy than 0.6 of round 1 in 3 evaluations");
}

TEST_CASE("where nothing is right or wrong patience looks at the loss") {
    auto run = base();
    run.patience = 2;
    run.target_accuracy = 0.5;
    StopRule rule(run);
    const double none = std::nan("");
    for (std::uint64_t round = 1; round <= 20; ++round)
        rule.on_evaluation(round, none, 18.0 / static_cast<double>(round));
    CHECK_FALSE(rule.reason());
    StopRule again(run);
    REQUIRE(again.load(rule.save({})));
    again.on_evaluation(21, none, 1);
    CHECK_FALSE(again.reason());
    again.on_evaluation(22, none, none);
    REQUIRE(again.reason());
    CHECK(*again.reason() == "no better loss than 0.9 of round 20 in 2 evaluations");
}

TEST_CASE("wall time counts over restarts") {
    auto run = base();
    run.wall_time = 10s;
    StopRule rule(run);
    CHECK(rule.deadline().is_never());
    rule.on_begin({5'000'000'000});
    CHECK(rule.deadline() == Instant{15'000'000'000});
    StopRule again(run);
    REQUIRE(again.load(rule.save({9'000'000'000})));
    again.on_begin({100'000'000'000});
    CHECK(again.deadline() == Instant{106'000'000'000});
    again.on_time({105'999'999'999});
    CHECK_FALSE(again.reason());
    again.on_time({106'000'000'000});
    REQUIRE(again.reason());
    CHECK(again.deadline().is_never());
}

TEST_CASE("a saved rule that is cut short is not taken") {
    auto run = base();
    run.patience = 3;
    StopRule rule(run);
    auto bytes = rule.save({});
    bytes.pop_back();
    CHECK_FALSE(rule.load(bytes));
}
