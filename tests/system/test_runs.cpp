#include <signal.h>

#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "fleet.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

void start_all(cli::World& world) {
    for (auto& daemon : world.daemons) {
        auto started = world.start(daemon);
        REQUIRE_MESSAGE(started, (started ? "" : started.error().to_string()));
    }
}

nlohmann::json summary_of(const cli::Daemon& daemon) {
    auto model = cli::final_model(daemon);
    if (model.empty()) return {};
    auto path = std::filesystem::path(model).parent_path() / "summary.json";
    return nlohmann::json::parse(text_of(path.string()), nullptr, false);
}

}  // namespace

TEST_CASE("gossip: four peers reach the target accuracy and leave everything a run should leave") {
    auto world = make_world(
        "gossip", "gossip", 4,
        {{"run.rounds", "60"}, {"topology.graph", "\"ring\""}, {"gossip.local_steps", "5"}});
    start_all(world);
    REQUIRE(all_end_well(world, 60s));
    for (auto& peer : world.daemons) {
        auto summary = summary_of(peer);
        CAPTURE(peer.name);
        CAPTURE(summary.dump());
        REQUIRE(summary.is_object());
        CHECK(summary.value("accuracy", 0.0) > 0.9);
        auto folder = std::filesystem::path(cli::final_model(peer)).parent_path();
        for (auto name : {"config.toml", "metrics.jsonl", "history.sqlite", "log", "summary.json"})
            CHECK(std::filesystem::exists(folder / name));
    }
}

TEST_CASE("federated: three clients reach the target accuracy, and all end with the same model") {
    auto world = make_world("federated", "federated", 3, {{"run.rounds", "20"}});
    start_all(world);
    REQUIRE(all_end_well(world, 60s));
    auto summary = summary_of(*world.aggregator());
    CAPTURE(summary.dump());
    CHECK(summary.value("accuracy", 0.0) > 0.9);
    const auto model = tensors_of(cli::final_model(*world.aggregator()));
    CHECK(model.size() > 300);
    for (auto& daemon : world.daemons) CHECK((tensors_of(cli::final_model(daemon)) == model));
}

TEST_CASE("gossip: a peer killed with -9 is held for dead, comes back, and catches up") {
    auto world = make_world("gossip-kill", "gossip", 4,
                            {{"run.rounds", "400"},
                             {"topology.graph", "\"complete\""},
                             {"model.name", "\"mlp-200-200\""},
                             {"gossip.local_steps", "30"}});
    start_all(world);
    auto& victim = world.daemons[2];
    auto& other = world.daemons[0];
    REQUIRE_MESSAGE(eventually(world, 30s, [&] { return other.report.round >= 5; }), log_of(other));
    victim.process.signal(SIGKILL);
    REQUIRE(victim.process.wait(5s));
    auto state_of_victim = [&] {
        for (const auto& [id, state] : other.report.members)
            if (id == victim.id) return state;
        return std::string();
    };
    CHECK(eventually(world, 20s, [&] { return state_of_victim() == "dead"; }));
    auto at_death = other.report.round;
    CHECK(eventually(world, 20s, [&] { return other.report.round >= at_death + 5; }));
    REQUIRE(world.start(victim));
    CHECK(eventually(world, 20s, [&] { return state_of_victim() == "alive"; }));
    CHECK_MESSAGE(eventually(world, 20s,
                             [&] {
                                 return victim.report.round > 0 &&
                                        victim.report.round + 3 >= other.report.round;
                             }),
                  log_of(victim));
    world.stop_all();
    for (auto& daemon : world.daemons) CHECK(daemon.process.exit_code() == 0);
}

TEST_CASE("federated: kill -9 of the aggregator in mid-round changes no bit of the final model") {
    auto world = make_world("federated-kill", "federated", 3,
                            {{"run.rounds", "12"},
                             {"model.name", "\"mlp-200-200\""},
                             {"federated.quorum", "1.0"},
                             {"federated.local_epochs", "8"},
                             {"run.seed", "11"}});
    auto& aggregator = *world.aggregator();
    start_all(world);
    REQUIRE(all_end_well(world, 90s));
    auto undisturbed = text_of(cli::final_model(aggregator));
    REQUIRE_FALSE(undisturbed.empty());

    // The same members, from nothing, with three crashes.
    for (auto& daemon : world.daemons) {
        std::filesystem::remove_all(daemon.folder + "/runs");
        daemon.report = {};
    }
    start_all(world);
    for (std::uint64_t crash_after : {2, 5, 9}) {
        CAPTURE(crash_after);
        REQUIRE_MESSAGE(
            eventually(world, 40s, [&] { return aggregator.report.round >= crash_after; }),
            log_of(aggregator));
        aggregator.process.signal(SIGKILL);
        REQUIRE(aggregator.process.wait(5s));
        aggregator.report = {};
        REQUIRE(world.start(aggregator));
    }
    REQUIRE(all_end_well(world, 90s));
    CHECK(text_of(cli::final_model(aggregator)) == undisturbed);
    // The model is a function of the seed: only the log tells that nobody began anew.
    const auto log = log_of(aggregator);
    std::size_t resumed = 0;
    for (auto at = log.find("going on from the checkpoint"); at != log.npos;
         at = log.find("going on from the checkpoint", at + 1))
        ++resumed;
    CHECK_MESSAGE(resumed == 3, log);
}

TEST_CASE("a daemon leaves cleanly on SIGTERM, and the others hear that it left") {
    auto world = make_world("leave", "gossip", 3,
                            {{"run.rounds", "100000"}, {"topology.graph", "\"complete\""}});
    start_all(world);
    auto& leaver = world.daemons[1];
    auto& other = world.daemons[0];
    REQUIRE(eventually(world, 30s, [&] { return other.report.round >= 3; }));
    leaver.process.signal(SIGTERM);
    CHECK(leaver.process.wait(5s) == 0);
    CHECK(eventually(world, 10s, [&] {
        for (const auto& [id, state] : other.report.members)
            if (id == leaver.id) return state == "left";
        return false;
    }));
    world.stop_all();
    for (auto& daemon : world.daemons) CHECK(daemon.process.exit_code() == 0);
}
