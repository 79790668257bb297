// Devices that are away: from the first, for several reasons at once, and what befalls them
// meanwhile.
#include <fstream>

#include "scenarios.hpp"
#include "storage/temporary_folder.hpp"

using namespace gossamer;
using namespace gossamer::simulation;
using namespace gossamer::simulation::testing;

namespace {

using Faults = std::vector<std::string>;

std::string with(const Faults& faults) {
    std::string text;
    for (const auto& fault : faults) text += (text.empty() ? "\"" : ",\"") + fault + "\"";
    return "simulation.faults=[" + text + "]";
}

// Clients that train for a second, for as long as a test looks.
std::vector<std::string> some_clients(const Faults& faults) {
    return {"simulation.compute=cost",
            "simulation.samples_per_second=60",
            "run.rounds=1000",
            "simulation.time_max=3min",
            "federated.quorum=0.1",
            "federated.attempts=1000",
            "simulation.start_spread=2s",
            with(faults)};
}

// When a place began to run or ceased to, in seconds: "on 0, asleep 5, on 15".
std::string life_of(PlaceIndex place, std::vector<std::string> sets,
                    SimulationOptions options = {}) {
    auto simulation = make(load(federated_run(4, 1), std::move(sets)), options);
    const auto o = simulation->run();
    REQUIRE(o);
    CHECK(o->broken.empty());
    std::string text;
    for (const auto& event : simulation->chronicle().states()) {
        if (event.place != place) continue;
        const char* names[] = {"off", "dark", "on", "asleep"};
        const double at = seconds(event.at - World::kBeginning);
        char number[32];
        std::snprintf(number, sizeof number, "%g", at);
        text += (text.empty() ? "" : ", ") +
                (std::string(names[static_cast<int>(event.state)]) + " ") + number;
    }
    return text;
}
std::string life_of_3(const Faults& faults) { return life_of(3, some_clients(faults)); }

struct File {
    explicit File(const std::string& text) { std::ofstream(path) << text; }
    TemporaryFolder folder;
    std::string path = folder.path + "/trace";
};

}  // namespace

TEST_CASE("a device is there when its trace says so, from the first") {
    const File trace(
        "# index from until\n0 0 1000\n1, 5, 8\n1 20 50\n1 40 60\n2 1 30\n2 30 40\n3 0.5 170\n");
    auto sets = some_clients({});
    sets.insert(sets.end(), {"simulation.availability=trace", "simulation.trace=" + trace.path});
    for (const unsigned threads : {1u, 2u}) {
        const SimulationOptions options{.threads = threads, .shared_from = 1};
        CHECK(life_of(0, sets, options) == "on 0");
        CHECK(life_of(1, sets, options) == "on 5, dark 8, on 20, dark 60");
        CHECK(life_of(2, sets, options) == "on 1, dark 40");
        CHECK(life_of(3, sets, options) == "on 1.5, dark 170");  // it starts 1.5 s after the first
    }
}

TEST_CASE("what a trace says besides is refused, and what does not fit") {
    for (const char* line : {"1 5 8 9", "1 5 8 x", "4 5 8", "1 8 5", "1 -1 5", "1 5", "1 0 nan"}) {
        const File trace(std::string("0 0 9\n") + line + "\n");
        auto sets = some_clients({});
        sets.insert(sets.end(),
                    {"simulation.availability=trace", "simulation.trace=" + trace.path});
        auto scenario = Scenario::load("test.toml", federated_run(4, 1), sets, no_extensions());
        CAPTURE(std::string(line));
        REQUIRE_FALSE(scenario);
        CHECK(scenario.error().what.find(trace.path + ":2") != std::string::npos);
    }
}

TEST_CASE("a fault at the very beginning keeps a device away") {
    CHECK(life_of_3({"0s kill 3 for 60s"}) == "on 60");
    CHECK(life_of_3({"0s kill 3 for 1s"}) == "on 1.5");
    CHECK(life_of_3({"1s power 3 for 10s"}) == "on 11");
    CHECK(life_of_3({"0s sleep 3 for 20s"}) == "on 20");
    CHECK(life_of(0, some_clients({"0s kill 0 for 60s"})) == "on 60");
}

TEST_CASE("who is away for several reasons comes back when the last one ends") {
    const std::string on = "on 1.5, ";
    CHECK(life_of_3({"5s kill 3 for 100s", "6s kill 3 for 1s"}) == on + "off 5, on 105");
    CHECK(life_of_3({"5s power 3 for 10s", "6s kill 3 for 20s"}) == on + "dark 5, on 26");
    CHECK(life_of_3({"5s kill 3 for 10s", "6s leave 3 for 20s"}) == on + "off 5, on 26");
    CHECK(life_of_3({"5s sleep 3 for 20s", "6s freeze 3 for 1s"}) == on + "asleep 5, on 25");
    CHECK(life_of_3({"5s freeze 3 for 1s", "5500ms sleep 3 for 20s"}) == on + "asleep 5, on 25.5");
    CHECK(life_of_3({"5s sleep 3 for 20s", "6s sleep 3 for 40s"}) == on + "asleep 5, on 46");
    // A machine that sleeps starts nothing; the next process of a frozen one is not frozen.
    CHECK(life_of_3({"5s sleep 3 for 20s", "6s kill 3 for 1s"}) == on + "asleep 5, off 6, on 25");
    CHECK(life_of_3({"5s freeze 3 for 20s", "6s kill 3 for 1s"}) == on + "asleep 5, off 6, on 7");
    CHECK(life_of_3({"5s freeze 3 for 20s", "6s kill 3 for 1s", "8s freeze 3 for 50s"}) ==
          on + "asleep 5, off 6, on 7, asleep 8, on 58");
}

TEST_CASE("what a device does by itself does not bring it back before a fault ends") {
    auto sets = some_clients({"10s power all for 60s"});
    sets.insert(sets.end(), {"simulation.availability=churn", "simulation.churn_up=15s",
                             "simulation.churn_down=2s"});
    auto simulation = make(load(federated_run(4, 1), sets));
    REQUIRE(simulation->run());
    std::size_t later = 0;
    for (const auto& event : simulation->chronicle().states()) {
        const double at = seconds(event.at - World::kBeginning);
        if (event.place < 4 && event.state == PlaceState::running && at > 10) {
            CHECK(at >= 70);
            ++later;
        }
    }
    CHECK(later >= 4);
    sets = some_clients({"10s freeze all for 60s"});
    sets.insert(sets.end(), {"simulation.availability=diurnal", "simulation.day=20s"});
    simulation = make(load(federated_run(4, 1), sets));
    REQUIRE(simulation->run());
    for (const auto& event : simulation->chronicle().states()) {
        const double at = seconds(event.at - World::kBeginning);
        if (event.place < 4 && event.state == PlaceState::running && at > 10) CHECK(at >= 70);
    }
}

TEST_CASE("a fault that ends within another of its kind leaves that one in force") {
    const auto seen = [](const Faults& faults) {
        auto simulation =
            make(load(federated_run(4, 12), {"simulation.samples_per_second=500",
                                             "federated.patience_min=1s", with(faults)}));
        const auto o = simulation->run();
        REQUIRE(o);
        std::string text =
            std::to_string(o->virtual_seconds) + " s, " + std::to_string(o->bytes_sent) + " bytes;";
        for (const auto& [code, alike] : simulation->chronicle().warnings())
            text += " " + std::to_string(alike.count) + " " + std::string(describe(code).id);
        return text;
    };
    const auto calm = seen({});
    for (const char* what : {"hang 2", "slow 2 by 20", "echo all by 2", "disk-full aggregator"}) {
        const auto fault = [&](const char* at, const char* lasting) {
            return std::string(at) + " " + what + " for " + lasting;
        };
        CAPTURE(std::string(what));
        const auto one = seen({fault("2s", "30s")});
        CHECK(one != calm);
        CHECK(seen({fault("2s", "30s"), fault("3s", "100ms")}) == one);
    }
}

TEST_CASE("who stands still does nothing, whatever befalls it, until it wakes") {
    for (const char* still : {"5s freeze 2 for 10s", "5s sleep 2 for 10s"})
        for (const char* what : {"6s reset 2 | 0-3,aggregator", "6s leave 2 for 20s"}) {
            auto simulation = make(load(federated_run(4, 1), some_clients({still, what})));
            std::vector<double> said;
            simulation->chronicle().also = [&](Instant at, PlaceIndex place,
                                               const message::Notice&) {
                if (place == 2) said.push_back(seconds(at - World::kBeginning));
            };
            REQUIRE(simulation->run());
            CAPTURE(std::string(still));
            CAPTURE(std::string(what));
            std::size_t after = 0;
            for (double at : said) {
                CHECK((at <= 5 || at >= 15));
                after += at >= 15;
            }
            CHECK(after > 0);
        }
    CHECK(life_of(2, some_clients({"5s freeze 2 for 10s", "6s leave 2 for 20s"})) ==
          "on 1, asleep 5, on 15, off 15, on 26");
    CHECK(life_of(2, some_clients({"5s freeze 2 for 30s", "6s leave 2 for 20s"})) ==
          "on 1, asleep 5, on 35, off 35, on 35");
}

TEST_CASE("what a disk has lost does not come back with the power") {
    const auto began_again_at = [](const Faults& faults, const char* set) {
        auto simulation = make(
            load(federated_run(4, 12), {"simulation.samples_per_second=500", set, with(faults)}));
        std::vector<std::uint64_t> rounds;
        simulation->chronicle().also = [&](Instant, PlaceIndex place,
                                           const message::Notice& notice) {
            const auto* s = std::get_if<message::RunStarted>(&notice);
            if (s && place == 4) rounds.push_back(s->round);
        };
        const auto o = simulation->run();
        REQUIRE(o);
        CHECK(o->broken.empty());
        CHECK(o->rounds == 12);
        REQUIRE(rounds.size() == 2);
        return rounds[1];
    };
    const char* none = "run.resume=true";
    CHECK(began_again_at({"8s power aggregator for 1s"}, none) > 2);
    CHECK(began_again_at({"8s disk-lost aggregator", "8s power aggregator for 1s"}, none) == 0);
    CHECK(began_again_at({"8s kill aggregator for 1s"}, "run.resume=false") == 0);
    // A disk that is new is as good as the old one.
    CHECK(began_again_at({"3s disk-lost aggregator", "8s power aggregator for 1s"}, none) > 2);
}

TEST_CASE("a peer whose disk is lost and whose clock is set back is heard again") {
    // Epochs begin at the clock's seconds. This one's falls by an hour below what others know of
    // it, so it must be told, and rise above.
    auto simulation =
        make(load(gossip_run(4, 100'000),
                  {"simulation.disks=all",
                   with({"3s clock 2 by -3600", "4s disk-lost 2", "4s kill 2 for 2s"})}));
    auto& world = simulation->world();
    const auto incarnation_at = [&](Duration when) {
        while (world.elapsed() < when) REQUIRE(world.step());
        const auto members = world.node(0).status(world.now()).members;
        const auto it =
            std::ranges::find(members, world.id(2), [](const auto& m) { return m.record.id; });
        REQUIRE(it != members.end());
        CHECK(it->record.state == message::MemberState::alive);
        return it->record.incarnation;
    };
    const auto before = incarnation_at(2s);
    CHECK((before >> 20) == 1'767'225'600);  // 2026-01-01
    const auto after = incarnation_at(20s);
    CHECK(after > before);
    CHECK((after >> 20) == (before >> 20));  // not by its clock: it was told
}
