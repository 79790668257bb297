#include <doctest/doctest.h>

#include <map>

#include "gossamer/topology/roster.hpp"
#include "gossamer/topology/schedule.hpp"

using namespace gossamer;
using namespace gossamer::topology;

namespace {

Schedule make(GraphOptions options, std::uint32_t n, Weights weights = Weights::metropolis,
              std::uint64_t seed = 7) {
    auto schedule = make_schedule({options, weights}, n, RunSeed{seed});
    REQUIRE_MESSAGE(schedule.has_value(), (schedule ? "" : schedule.error().to_string()));
    return *schedule;
}

// All graphs that the weights keep unbiased, for a number of places they all accept.
std::vector<GraphOptions> unbiased_kinds() {
    std::vector<GraphOptions> all;
    for (int kind = 0; kind < static_cast<int>(GraphKind::edges); ++kind)
        all.push_back({.kind = static_cast<GraphKind>(kind)});
    all.push_back({.kind = GraphKind::edges, .edges = {"0-1", "1-2", "1-3", "3-15", "4-5"}});
    return all;
}

std::size_t arc_count(const Schedule& schedule, std::uint64_t step = 0) {
    std::size_t count = 0;
    for (std::uint32_t i = 0; i < schedule.place_count(); ++i)
        count += schedule.out_neighbours(i, step).size();
    return count;
}

}  // namespace

TEST_CASE("A roster sorts its members and finds their places") {
    auto roster = Roster::of(3, {PeerId::of_number(9), PeerId::of_number(2), PeerId::of_number(5),
                                 PeerId::of_number(2)});
    CHECK(roster.size() == 3);
    CHECK(roster.at(0) == PeerId::of_number(2));
    CHECK(roster.place_of(PeerId::of_number(9)) == 2u);
    CHECK(!roster.place_of(PeerId::of_number(4)).has_value());
}

TEST_CASE("Rows and columns of every graph's weights sum to exactly one") {
    for (const auto& options : unbiased_kinds()) {
        CAPTURE(to_string(options.kind));
        auto schedule = make(options, 16);
        for (std::uint64_t step = 0; step < schedule.period(); ++step) {
            std::vector<std::uint64_t> column(16);
            for (std::uint32_t i = 0; i < 16; ++i) {
                std::uint64_t row = 0;
                for (const auto& from : schedule.in_neighbours(i, step)) {
                    row += from.units;
                    column[from.place] += from.units;
                    CHECK(from.place != i);
                }
                CHECK(static_cast<double>(row) / kWeightOne + schedule.self_weight(i, step) == 1.0);
                column[i] += kWeightOne - row;
            }
            for (auto sum : column) CHECK(sum == kWeightOne);
        }
    }
}

TEST_CASE("Whoever sends is heard, at every step") {
    for (const auto& options : unbiased_kinds()) {
        CAPTURE(to_string(options.kind));
        auto schedule = make(options, 16);
        for (std::uint64_t step = 0; step < 2 * schedule.period(); ++step) {
            std::map<std::pair<std::uint32_t, std::uint32_t>, int> arcs;
            for (std::uint32_t i = 0; i < 16; ++i) {
                std::int64_t before = -1;
                for (auto to : schedule.out_neighbours(i, step)) {
                    CHECK(std::int64_t{to} > before);  // in PeerId order
                    before = to;
                    arcs[{i, to}] += 1;
                }
                for (const auto& from : schedule.in_neighbours(i, step)) arcs[{from.place, i}] += 2;
            }
            for (const auto& [arc, seen] : arcs) CHECK(seen == 3);
        }
    }
}

TEST_CASE("One-peer exponential sends to i + 2^(t mod ceil(log2 n)) and hears from i - 2^...") {
    for (std::uint32_t n : {2u, 3u, 8u, 25u, 96u}) {
        auto schedule = make({.kind = GraphKind::one_peer_exponential}, n);
        std::uint64_t period = 0;
        while ((1u << period) < n) ++period;
        CHECK(schedule.period() == period);
        for (std::uint64_t step = 0; step < 3 * period; ++step) {
            const std::uint32_t hop = 1u << (step % period);
            for (std::uint32_t i = 0; i < n; ++i) {
                REQUIRE(schedule.out_neighbours(i, step).size() == 1);
                REQUIRE(schedule.in_neighbours(i, step).size() == 1);
                CHECK(schedule.out_neighbours(i, step)[0] == (i + hop) % n);
                CHECK(schedule.in_neighbours(i, step)[0].place == (i + n - hop % n) % n);
                CHECK(schedule.in_neighbours(i, step)[0].weight() == 0.5);
            }
        }
    }
}

TEST_CASE("Graphs have the number of edges their definition says") {
    CHECK(arc_count(make({.kind = GraphKind::ring}, 10)) == 20);
    CHECK(arc_count(make({.kind = GraphKind::chain}, 10)) == 18);
    CHECK(arc_count(make({.kind = GraphKind::star}, 10)) == 18);
    CHECK(arc_count(make({.kind = GraphKind::complete}, 10)) == 90);
    CHECK(arc_count(make({.kind = GraphKind::torus}, 12)) == 48);
    CHECK(arc_count(make({.kind = GraphKind::torus, .rows = 3}, 18)) == 72);
    CHECK(arc_count(make({.kind = GraphKind::hypercube}, 16)) == 64);
    CHECK(arc_count(make({.kind = GraphKind::exponential}, 16)) == 64);
    CHECK(arc_count(make({.kind = GraphKind::random_regular, .degree = 6}, 31)) == 186);
    CHECK(arc_count(make({.kind = GraphKind::small_world, .degree = 4}, 31)) == 124);
}

TEST_CASE("A lone peer has no neighbours, and two have each other") {
    for (auto kind : {GraphKind::ring, GraphKind::complete, GraphKind::star, GraphKind::chain,
                      GraphKind::hypercube, GraphKind::one_peer_exponential}) {
        CAPTURE(to_string(kind));
        auto lone = make({.kind = kind}, 1);
        CHECK(lone.all_neighbours(0).empty());
        CHECK(lone.self_weight(0, 5) == 1.0);
        auto two = make({.kind = kind}, 2);
        CHECK(two.all_neighbours(0) == std::vector<std::uint32_t>{1});
        CHECK(two.self_weight(1, 3) == 0.5);
    }
}

TEST_CASE("Random regular graphs are regular, connected, and the same for the same seed") {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        CAPTURE(seed);
        const auto degree = static_cast<std::uint32_t>(2 + seed % 9);
        const auto n = static_cast<std::uint32_t>(12 + 2 * seed);
        GraphOptions options{.kind = GraphKind::random_regular, .degree = degree};
        auto graph = make_graph(options, n, RunSeed{seed});
        REQUIRE(graph.has_value());
        CHECK(is_connected(*graph));
        CHECK(make_graph(options, n, RunSeed{seed})->phases == graph->phases);
        auto schedule = Schedule(*graph, Weights::metropolis);
        for (std::uint32_t i = 0; i < n; ++i) CHECK(schedule.out_neighbours(i, 0).size() == degree);
    }
}

TEST_CASE("A small world without rewiring is a lattice, and with it keeps its edges' number") {
    auto lattice = make({.kind = GraphKind::small_world, .degree = 4, .rewire = 0}, 20);
    CHECK(lattice.all_neighbours(5) == std::vector<std::uint32_t>{3, 4, 6, 7});
    auto world = make({.kind = GraphKind::small_world, .degree = 4, .rewire = 0.5}, 20);
    CHECK(arc_count(world) == 80);
    bool shortcut = false;
    for (std::uint32_t i = 0; i < 20; ++i)
        for (auto to : world.out_neighbours(i, 0)) {
            auto hop = (to + 20 - i) % 20;
            shortcut = shortcut || (hop > 2 && hop < 18);
        }
    CHECK(shortcut);
}

TEST_CASE("Graphs that cannot be built say why") {
    auto error = [](GraphOptions options, std::uint32_t n) {
        auto graph = make_graph(options, n, RunSeed{1});
        REQUIRE(!graph.has_value());
        CHECK(graph.error().code == ErrorCode::kTopology);
        return graph.error().what;
    };
    CHECK(error({.kind = GraphKind::hypercube}, 12) ==
          "hypercube: 12 peers are not a power of two");
    CHECK(error({.kind = GraphKind::torus}, 13) == "torus: 13 peers do not fill a grid");
    error({.kind = GraphKind::torus, .rows = 5}, 12);
    error({.kind = GraphKind::random_regular, .degree = 3}, 9);
    error({.kind = GraphKind::random_regular, .degree = 9}, 9);
    error({.kind = GraphKind::small_world, .degree = 3}, 9);
    error({.kind = GraphKind::edges, .edges = {"0-9"}}, 9);
    error({.kind = GraphKind::edges, .edges = {"0_1"}}, 9);
    error({.kind = GraphKind::edges, .edges = {"0-1x"}}, 9);
    error({.kind = GraphKind::edges, .edges = {"3-3"}}, 9);
    error({.kind = GraphKind::ring}, 0);
}

TEST_CASE("Disconnected graphs and drifting weights are warned about") {
    CHECK(check(make({.kind = GraphKind::one_peer_exponential}, 25)).empty());
    CHECK(check(make({.kind = GraphKind::star}, 9)).empty());

    auto apart = check(make({.kind = GraphKind::edges, .edges = {"0-1", "2-3"}}, 4));
    REQUIRE(apart.size() == 1);
    CHECK(apart[0].code == ErrorCode::kTopologyDisconnected);

    auto drifting = check(make({.kind = GraphKind::star}, 9, Weights::uniform));
    REQUIRE(drifting.size() == 1);
    CHECK(drifting[0].code == ErrorCode::kTopologyBiased);

    // One way round is connected, and balanced; a one-way chain is neither.
    CHECK(check(make({.kind = GraphKind::edges, .edges = {"0>1", "1>2", "2>0"}}, 3)).empty());
    CHECK(check(make({.kind = GraphKind::edges, .edges = {"0>1", "1>2"}}, 3)).size() == 2);
}

TEST_CASE("Options fill the configuration, and every name of a graph is a choice") {
    struct Defaults : OptionSource {
        OptionTable table = topology_options();
        const OptionValue& get(std::string_view key) const override {
            for (const auto& option : table)
                if (option.key == key) return option.fallback;
            FAIL("no option " << std::string(key));
            throw 0;
        }
    } defaults;
    CHECK(defaults.table[0].choices.size() == 11);
    auto config = topology_config(defaults);
    CHECK(config.graph.kind == GraphKind::one_peer_exponential);
    CHECK(config.weights == Weights::metropolis);
    defaults.table[0].fallback = std::string("small-world");
    CHECK(topology_config(defaults).graph.kind == GraphKind::small_world);
}
