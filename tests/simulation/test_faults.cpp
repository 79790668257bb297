#include <doctest/doctest.h>

#include "drivers/simulation/faults.hpp"
#include "drivers/simulation/queue.hpp"
#include "scenarios.hpp"

using namespace gossamer;
using namespace gossamer::simulation;

namespace {
Result<Fault> parse(std::string_view text) { return parse_fault(text, 10, true, {1}); }
std::string wrong(std::string_view text) {
    auto fault = parse(text);
    REQUIRE_FALSE(fault);
    return fault.error().what;
}
}  // namespace

TEST_CASE("faults say when, what, with whom and for how long") {
    auto kill = parse("10s kill 3,5-7,aggregator for 500ms");
    REQUIRE(kill);
    CHECK(kill->at == 10s);
    CHECK(kill->kind == FaultKind::kill);
    CHECK(kill->who == std::vector<std::uint32_t>{3, 5, 6, 7, 10});
    CHECK(kill->lasting == 500ms);
    auto split = parse("1m partition 0-4|5-9 for 30s");
    REQUIRE(split);
    CHECK(split->who.size() == 5);
    CHECK(split->other.front() == 5);
    auto some = parse("1s sleep 40% for 1h");
    REQUIRE(some);
    CHECK(some->who.size() == 4);
    CHECK(parse("1s sleep 40% for 1h")->who == some->who);
    auto slow = parse("1s slow all by 2.5");
    REQUIRE(slow);
    CHECK(slow->value == 2.5);
    CHECK(slow->who.size() == 10);
    auto cut = parse("1s cut 0-3 | aggregator by 0.25 for 9s");
    REQUIRE(cut);
    CHECK(cut->value == 0.25);
    CHECK(cut->other == std::vector<std::uint32_t>{10});
    CHECK(parse("1s corrupt 0 | all for 9s")->value == 0.1);
    CHECK(parse("1s echo 3 for 9s")->value == 1);
}

TEST_CASE("what is wrong in a fault is named") {
    CHECK(wrong("soon kill 3").find("\"soon\" is no time") != std::string::npos);
    CHECK(wrong("1s explode 3").find("\"explode\"") != std::string::npos);
    CHECK(wrong("1s kill 10").find("beyond the 10 peers") != std::string::npos);
    CHECK(wrong("1s kill").find("with whom") != std::string::npos);
    CHECK(wrong("1s kill 7-3").find("\"7-3\"") != std::string::npos);
    CHECK(wrong("1s kill 120%").find("percent") != std::string::npos);
    CHECK(wrong("1s partition 0-3").find("two groups") != std::string::npos);
    CHECK(wrong("1s slow 3").find("by") != std::string::npos);
    CHECK(wrong("1s damage 3 | 4 by 1.5").find("part") != std::string::npos);
    CHECK(wrong("1s hang").find("with whom") != std::string::npos);
    CHECK(wrong("1s kill 3 for ever").find("\"ever\"") != std::string::npos);
    CHECK(wrong("1s kill 3 for 0s").find("for good") != std::string::npos);
    for (const char* number : {"nan", "inf", "-inf"}) {
        CHECK(wrong("1s slow 3 by " + std::string(number)).find("no number") != std::string::npos);
        CHECK(wrong("1s damage 3 | 4 by " + std::string(number)).find("no number") !=
              std::string::npos);
    }
    CHECK(wrong("1s kill nan%").find("percent") != std::string::npos);
    CHECK(wrong("1s kill 3 again").find("\"again\" is too much") != std::string::npos);
    CHECK(parse_fault("1s kill aggregator", 4, false, {1}).error().what.find("no aggregator") !=
          std::string::npos);
}

TEST_CASE("events come by time, receiver, sender and the sender's own counter") {
    EventQueue queue;
    const auto push = [&](std::int64_t at, std::uint32_t to, std::uint32_t from, std::uint64_t n) {
        queue.push({{at}, to, from, n}, {.kind = EventKind::packet, .a = n});
    };
    push(5, 1, 1, 0), push(3, 2, 9, 4), push(3, 2, 9, 3), push(3, 1, 9, 5), push(3, 2, 8, 7);
    std::vector<std::uint64_t> order;
    for (EventKey key; !queue.empty();) order.push_back(queue.pop(key).a);
    CHECK(order == std::vector<std::uint64_t>{5, 7, 3, 4, 0});
    CHECK(queue.largest() == 5);
}

TEST_CASE("errors of a scenario name the file, the line and the key") {
    const auto error = [](const std::string& text) {
        auto scenario =
            Scenario::load("mine.toml", text, {}, gossamer::simulation::testing::no_extensions());
        REQUIRE_FALSE(scenario);
        return scenario.error().to_string();
    };
    const auto names = [&](const std::string& text, std::initializer_list<const char*> words) {
        const auto what = error(text);
        for (const char* word : words)
            CHECK_MESSAGE(what.find(word) != std::string::npos, what, " lacks ", std::string(word));
    };
    const std::string run = "[run]\nmode = \"gossip\"\npeers = 4\n";
    names(run + "[simulation]\nlatencyy = \"1ms\"\n", {"mine.toml:5", "simulation.latencyy"});
    names(run + "[simulation]\nloss = 2.0\n", {"mine.toml:5", "simulation.loss"});
    names(run + "[simulation]\nlatency = \"soon\"\n",
          {"mine.toml:5", "simulation.latency", "soon"});
    names(run + "[simulation\n", {"mine.toml:4"});
    // What would take no time at all would never end.
    for (const char* key : {"day", "churn_up", "churn_down", "time_max"})
        names(run + "[simulation]\n" + key + " = \"0s\"\n",
              {"mine.toml:5", key, "allowed: 0.001 to 1000000000"});
    names(run + "[simulation]\nlatency = \"2d\"\n", {"mine.toml:5", "simulation.latency", "86400"});
    names(run + "[simulation]\ncompute = \"cost\"\nids = [\"" + std::string(64, 'a') + "\", \"" +
              std::string(64, 'b') + "\", \"" + std::string(64, 'c') + "\", \"" +
              std::string(64, 'a') + "\"]\n",
          {"mine.toml:6", "simulation.ids", "twice"});
    names(run + "[simulation]\ncompute = \"cost\"\nfaults = [\"1s explode 3\"]\n",
          {"mine.toml:6", "simulation.faults", "\"explode\""});
    names(run + "[simulation]\ncompute = \"cost\"\npeers = 2\n", {"mine.toml:3", "run.peers is 4"});
    names(run +
              "[simulation]\ncompute = \"cost\"\n[topology]\ngraph = \"edges\"\nedges = "
              "[\"0-1\", \"2-3\"]\n",
          {"mine.toml:7", "topology.graph", "not connected"});
    names(
        "[run]\nmode = \"gossip\"\npeers = 100000\n[simulation]\ncompute = \"cost\"\n"
        "parameters = 900000000\n",
        {"mine.toml:3", "run.peers", "this machine has"});
    names(
        "[run]\nmode = \"federated\"\npeers = 3000\n[data]\nformat = \"synthetic\"\n"
        "synthetic_train = 1000\n[model]\nname = \"softmax-regression\"\n",
        {"mine.toml:3", "3000", "1000"});
}
