// Daemons that share a folder, or come back: each finds its own records, and its federation.
#include <signal.h>

#include <filesystem>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "fleet.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

namespace fs = std::filesystem;

std::string writer_of(const std::string& run) {
    auto json = nlohmann::json::parse(text_of(run + "/summary.json"), nullptr, false);
    return json.is_object() ? json.value("peer", "") : "";
}

// Every line of a run's log says who wrote it.
bool all_lines_by(const std::string& run, const PeerId& who) {
    std::istringstream log(text_of(run + "/log"));
    std::size_t count = 0;
    for (std::string line; std::getline(log, line); ++count)
        if (line.find(" me=" + who.short_string()) == line.npos) return false;
    return count > 1;
}

std::string state_of(const cli::Daemon& asked, const cli::Daemon& about) {
    for (const auto& [id, state] : asked.report.members)
        if (id == about.id) return state;
    return {};
}

void leave(cli::Daemon& daemon) {
    daemon.process.signal(SIGTERM);
    REQUIRE_MESSAGE(daemon.process.wait(10s) == 0, log_of(daemon));
    daemon.report = {};
}

}  // namespace

TEST_CASE("daemons that share a run folder write into folders of their own, also after a crash") {
    auto world = make_world("shared-folder", "federated", 1, {{"run.rounds", "1000000"}});
    const auto runs = world.folder + "/runs", first = runs + "/demo-1", second = runs + "/demo-2";
    for (auto& daemon : world.daemons) daemon.options["run.folder"] = cli::toml_text(runs);
    auto &aggregator = world.daemons[0], &peer = world.daemons[1];
    REQUIRE(world.start(aggregator));
    REQUIRE(eventually(world, 20s, [&] { return aggregator.report.fresh; }));
    const auto configuration = text_of(first + "/config.toml");
    REQUIRE_FALSE(configuration.empty());
    REQUIRE(world.start(peer));
    REQUIRE_MESSAGE(eventually(world, 30s, [&] { return aggregator.report.round >= 3; }),
                    log_of(peer));
    CHECK(text_of(first + "/config.toml") == configuration);
    CHECK(log_of(peer).find(first + " is passed over") != std::string::npos);

    // Its folder is not the newest one, and is found all the same.
    aggregator.process.signal(SIGKILL);
    REQUIRE(aggregator.process.wait(5s));
    const auto reached = aggregator.report.round;
    aggregator.report = {};
    REQUIRE(world.start(aggregator));
    CHECK_MESSAGE(eventually(world, 30s, [&] { return aggregator.report.round > reached; }),
                  log_of(aggregator));
    CHECK(log_of(aggregator).find("going on from the checkpoint") != std::string::npos);
    world.stop_all();
    CHECK(writer_of(first) == aggregator.id.to_string());
    CHECK(writer_of(second) == peer.id.to_string());
    CHECK(all_lines_by(first, aggregator.id));
    CHECK(all_lines_by(second, peer.id));
    CHECK_FALSE(fs::exists(runs + "/demo-3"));
}

TEST_CASE("a peer that comes back while its only seed is down finds the members it knew") {
    auto world = make_world("book", "gossip", 3,
                            {{"run.rounds", "1000000"}, {"topology.graph", "\"complete\""}});
    auto &seed = world.daemons[0], &other = world.daemons[1], &back = world.daemons[2];
    seed.options["membership.seeds"] = "[]";
    for (auto* daemon : {&other, &back})
        daemon->options["membership.seeds"] = "[" + seed.options["listen.address"] + "]";
    for (auto& daemon : world.daemons) REQUIRE(world.start(daemon));
    REQUIRE_MESSAGE(eventually(world, 30s,
                               [&] {
                                   return back.report.round >= 1 &&
                                          state_of(back, other) == "alive" &&
                                          state_of(other, back) == "alive";
                               }),
                    log_of(back));
    leave(seed);
    leave(back);  // with a goodbye, so that nobody seeks it
    REQUIRE(eventually(world, 20s, [&] { return state_of(other, back) == "left"; }));
    REQUIRE(world.start(back));
    CHECK_MESSAGE(
        eventually(
            world, 30s,
            [&] { return state_of(back, other) == "alive" && state_of(other, back) == "alive"; }),
        log_of(back));
    world.stop_all();
}

TEST_CASE("a run that was given up goes on in its folder with the next start") {
    auto world = make_world("given-up", "federated", 1,
                            {{"run.rounds", "2"}, {"federated.wait_peers", "\"1s\""}});
    const auto runs = world.folder + "/runs", first = runs + "/demo-1";
    auto &aggregator = world.daemons[0], &peer = world.daemons[1];
    aggregator.options["run.folder"] = cli::toml_text(runs);
    REQUIRE(world.start(aggregator));
    REQUIRE_MESSAGE(aggregator.process.wait(30s) == 4, log_of(aggregator));
    const auto summary = [&] {
        return nlohmann::json::parse(text_of(first + "/summary.json"), nullptr, false);
    };
    CHECK(summary().value("state", "") == "given up");
    CHECK_FALSE(fs::exists(first + "/final.safetensors"));
    CHECK((fs::status(first).permissions() & fs::perms::all) == fs::perms::owner_all);

    aggregator.options["federated.wait_peers"] = "\"5m\"";
    REQUIRE(world.start(aggregator));
    REQUIRE(world.start(peer));
    REQUIRE_MESSAGE(aggregator.process.wait(60s) == 0, log_of(aggregator));
    CHECK(summary().value("state", "") == "finished");
    CHECK(summary().value("rounds", 0) == 2);
    CHECK(fs::exists(first + "/final.safetensors"));
    CHECK_FALSE(fs::exists(runs + "/demo-2"));
}
