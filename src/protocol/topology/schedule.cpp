#include "gossamer/topology/schedule.hpp"

#include <algorithm>
#include <array>

#include "gossamer/base/assert.hpp"

namespace gossamer::topology {

namespace {

constexpr std::array<std::string_view, 2> kWeightNames = {"metropolis", "uniform"};

struct Degrees {
    std::vector<std::uint32_t> in, out;
    explicit Degrees(const Graph& graph, const std::vector<Arc>& arcs)
        : in(graph.place_count), out(graph.place_count) {
        for (const Arc& arc : arcs) ++out[arc.from], ++in[arc.to];
    }
    std::uint32_t larger(std::uint32_t place) const { return std::max(in[place], out[place]); }
};

}  // namespace

std::string_view to_string(Weights weights) {
    return kWeightNames[static_cast<std::size_t>(weights)];
}

Schedule::Schedule(const Graph& graph, Weights weights) : place_count_(graph.place_count) {
    const std::uint32_t n = place_count_;
    for (const auto& arcs : graph.phases) {
        const Degrees degrees(graph, arcs);
        Phase phase;
        phase.self_units.assign(n, kWeightOne);
        phase.out_start.assign(n + 1, 0);
        phase.in_start.assign(n + 1, 0);
        for (std::uint32_t i = 0; i < n; ++i) {
            phase.out_start[i + 1] = phase.out_start[i] + degrees.out[i];
            phase.in_start[i + 1] = phase.in_start[i] + degrees.in[i];
        }
        phase.out.resize(arcs.size());
        phase.in.resize(arcs.size());
        auto out_at = phase.out_start, in_at = phase.in_start;
        for (const Arc& arc : arcs) {  // sorted by (from, to), so rows fill in order of places
            const std::uint32_t degree =
                weights == Weights::metropolis
                    ? std::max(degrees.larger(arc.from), degrees.larger(arc.to))
                    : degrees.in[arc.to];
            const std::uint32_t units = kWeightOne / (degree + 1);  // rounded down: self stays >= 0
            phase.out[out_at[arc.from]++] = arc.to;
            phase.in[in_at[arc.to]++] = {arc.from, units};
            phase.self_units[arc.to] -= units;
        }
        phases_.push_back(std::move(phase));
    }
}

std::span<const std::uint32_t> Schedule::out_neighbours(std::uint32_t place,
                                                        std::uint64_t step) const {
    GOSSAMER_ASSERT(place < place_count_, "a place of the graph");
    const Phase& p = phase(step);
    return std::span(p.out).subspan(p.out_start[place],
                                    p.out_start[place + 1] - p.out_start[place]);
}

std::span<const Neighbour> Schedule::in_neighbours(std::uint32_t place, std::uint64_t step) const {
    GOSSAMER_ASSERT(place < place_count_, "a place of the graph");
    const Phase& p = phase(step);
    return std::span(p.in).subspan(p.in_start[place], p.in_start[place + 1] - p.in_start[place]);
}

double Schedule::self_weight(std::uint32_t place, std::uint64_t step) const {
    GOSSAMER_ASSERT(place < place_count_, "a place of the graph");
    return static_cast<double>(phase(step).self_units[place]) / kWeightOne;
}

std::vector<std::uint32_t> Schedule::all_neighbours(std::uint32_t place) const {
    std::vector<std::uint32_t> all;
    if (!phases_.empty())
        all.reserve(phases_.size() *
                    (out_neighbours(place, 0).size() + in_neighbours(place, 0).size()));
    for (std::uint64_t step = 0; step < phases_.size(); ++step) {
        for (std::uint32_t to : out_neighbours(place, step)) all.push_back(to);
        for (const Neighbour& from : in_neighbours(place, step)) all.push_back(from.place);
    }
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
}

std::vector<Error> check(const Schedule& schedule) {
    std::vector<Error> warnings;
    const std::uint32_t n = schedule.place_count();
    Graph graph{n, {{}}};
    bool biased = false;
    for (std::uint64_t step = 0; step < schedule.period(); ++step) {
        std::vector<std::uint64_t> column(n);
        for (std::uint32_t i = 0; i < n; ++i) {
            std::uint64_t others = 0;
            for (const Neighbour& from : schedule.in_neighbours(i, step)) {
                column[from.place] += from.units;
                others += from.units;
                graph.phases[0].push_back({from.place, i});
            }
            column[i] += kWeightOne - others;
        }
        for (std::uint64_t sum : column) biased = biased || sum != kWeightOne;
    }
    if (!is_connected(graph))
        warnings.push_back({ErrorCode::kTopologyDisconnected,
                            "what some peers learn never reaches some others",
                            {}});
    if (biased)
        warnings.push_back({ErrorCode::kTopologyBiased,
                            "some peers count more than others in the common model",
                            {}});
    return warnings;
}

OptionTable topology_options() {
    OptionTable table;
    Option graph{.key = "topology.graph",
                 .kind = OptionKind::choice,
                 .fallback = std::string("one-peer-exponential"),
                 .reason =
                     "Who exchanges with whom. one-peer-exponential sends one model a step "
                     "and agrees fastest for the bytes; ring is gentlest on links but needs "
                     "some n*n steps to agree; complete agrees at once and sends n - 1 "
                     "models a step."};
    for (int kind = 0; kind <= static_cast<int>(GraphKind::edges); ++kind)
        graph.choices.emplace_back(to_string(static_cast<GraphKind>(kind)));
    table.push_back(graph);
    table.push_back({.key = "topology.degree",
                     .kind = OptionKind::integer,
                     .fallback = std::int64_t{4},
                     .unit = "neighbours",
                     .reason = "Neighbours of each peer in random-regular and small-world; more "
                               "agree faster and send as many models more.",
                     .least = 1,
                     .most = 4096});
    table.push_back({.key = "topology.rows",
                     .kind = OptionKind::integer,
                     .fallback = std::int64_t{0},
                     .unit = "rows",
                     .reason = "Rows of a torus; 0 makes it as square as the number of peers "
                               "allows.",
                     .least = 0,
                     .most = 65536});
    table.push_back({.key = "topology.rewire",
                     .kind = OptionKind::real,
                     .fallback = 0.1,
                     .unit = "probability",
                     .reason = "Chance that an edge of a small world becomes a shortcut; 0 is a "
                               "ring lattice, 1 nearly a random graph.",
                     .least = 0,
                     .most = 1});
    table.push_back({.key = "topology.edges",
                     .kind = OptionKind::text_list,
                     .fallback = std::vector<std::string>{},
                     .reason = "For graph = \"edges\": \"0-3\" joins both ways, \"0>3\" one way; "
                               "peers count from 0 in the order of their ids."});
    table.push_back({.key = "topology.weights",
                     .kind = OptionKind::choice,
                     .fallback = std::string("metropolis"),
                     .reason = "How much a neighbour's model counts. metropolis keeps the mean on "
                               "any undirected graph; uniform favours well-connected peers when "
                               "their numbers of neighbours differ.",
                     .choices = {"metropolis", "uniform"}});
    return table;
}

TopologyConfig topology_config(const OptionSource& source) {
    TopologyConfig config;
    const std::string& graph = source.text("topology.graph");
    for (int kind = 0; kind <= static_cast<int>(GraphKind::edges); ++kind)
        if (graph == to_string(static_cast<GraphKind>(kind)))
            config.graph.kind = static_cast<GraphKind>(kind);
    config.graph.degree = static_cast<std::uint32_t>(source.integer("topology.degree"));
    config.graph.rows = static_cast<std::uint32_t>(source.integer("topology.rows"));
    config.graph.rewire = source.real("topology.rewire");
    config.graph.edges = source.text_list("topology.edges");
    config.weights =
        source.text("topology.weights") == "uniform" ? Weights::uniform : Weights::metropolis;
    return config;
}

Result<Schedule> make_schedule(const TopologyConfig& config, std::uint32_t place_count,
                               RunSeed seed) {
    GOSSAMER_TRY(Graph graph, make_graph(config.graph, place_count, seed));
    return Schedule(graph, config.weights);
}

}  // namespace gossamer::topology
