#include "drivers/simulation/simulation_report.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>

namespace gossamer::simulation {
namespace {

using telemetry::Activity;
using telemetry::Moment;
using telemetry::Report;
using telemetry::Series;

constexpr std::uint32_t kSpectrumPlacesMax = 1'000;  // its cost grows with their square
constexpr std::size_t kEdgesMax = 2'000'000;

double seconds_at(Instant at) { return seconds(at - World::kBeginning); }

telemetry::Spread spread_of(const Spread& from) {
    if (!from.values.empty() && from.values.size() == from.count) {
        const std::vector<double> values(from.values.begin(), from.values.end());
        return telemetry::Spread::of(values);
    }
    return {.mean = from.mean(), .least = from.least, .greatest = from.most};
}

// ---- series ------------------------------------------------------------------------------------

void add_series(std::deque<Series>& list, const std::string& name, const Chronicle& chronicle,
                Spread Row::*member, bool scale_known) {
    Series series(name);
    for (const auto& [round, row] : chronicle.rows()) {
        const auto& spread = row.*member;
        if (spread.count == 0 || !scale_known) continue;
        series.add(Moment{.round = static_cast<double>(round),
                          .bytes = static_cast<double>(row.bytes),
                          .seconds = seconds_at(row.at)},
                   spread_of(spread));
    }
    if (!series.points().empty()) list.push_back(std::move(series));
}

void add_curves(Report& report, const Simulation& simulation, const Chronicle& chronicle) {
    const bool real = simulation.scenario().world().compute == ComputeMode::real;
    const bool federated = simulation.scenario().federated();
    add_series(report.accuracy, federated ? "test, global model" : "test, over peers", chronicle,
               &Row::accuracy, real);
    add_series(report.accuracy, "clients", chronicle, &Row::client_accuracy, real);
    add_series(report.loss, federated ? "test, global model" : "test, over peers", chronicle,
               &Row::loss, true);
    const bool by_client = federated;
    add_series(report.loss, by_client ? "train, over clients" : "train, over peers", chronicle,
               by_client ? &Row::client_train_loss : &Row::train_loss, true);
}

// ---- topology and consensus --------------------------------------------------------------------

// Of undirected pairs one is enough.
bool symmetric(std::vector<telemetry::ReportEdge>& edges) {
    const auto less = [](const auto& a, const auto& b) {
        return std::pair(a.from, a.to) < std::pair(b.from, b.to);
    };
    const auto same = [](const auto& a, const auto& b) { return a.from == b.from && a.to == b.to; };
    std::ranges::sort(edges, less);
    edges.erase(std::unique(edges.begin(), edges.end(), same), edges.end());
    const bool both = std::ranges::all_of(edges, [&](const auto& edge) {
        return std::ranges::binary_search(edges, telemetry::ReportEdge{edge.to, edge.from}, less);
    });
    if (both) std::erase_if(edges, [](const auto& edge) { return edge.from > edge.to; });
    return both;
}

void add_topology(Report& report, const Scenario& scenario) {
    if (scenario.federated()) return;  // a star says nothing
    const auto& schedule = *scenario.schedule();
    auto& graph = report.topology;
    graph.name = std::string(to_string(topology::topology_config(scenario.config()).graph.kind));
    graph.node_count = scenario.peers();
    for (std::uint64_t step = 0; step < schedule.period(); ++step)
        for (std::uint32_t place = 0; place < schedule.place_count(); ++place)
            for (const auto to : schedule.out_neighbours(place, step)) {
                if (graph.edges.size() < kEdgesMax)
                    graph.edges.push_back({scenario.index_of(place), scenario.index_of(to)});
            }
    graph.directed = !symmetric(graph.edges);
    if (schedule.place_count() > kSpectrumPlacesMax) return;
    const auto spectrum = topology::spectrum(schedule);
    graph.spectral_gap = 1 - std::pow(spectrum.second, 1.0 / static_cast<double>(spectrum.period));
}

// Mixing shrinks the distance to consensus at least as the spectral gap says; each round of
// training drives the models apart anew, about as far as the first one did, which all began with
// one model.
void add_consensus(Report& report, Simulation& simulation, Chronicle& chronicle) {
    const auto& scenario = simulation.scenario();
    if (scenario.federated()) return;
    chronicle.consensus().finish();
    for (const auto& [step, distance] : chronicle.consensus().distances()) {
        const auto row = chronicle.rows().find(step);
        if (row == chronicle.rows().end()) continue;
        report.consensus.add(Moment{.round = static_cast<double>(step),
                                    .bytes = static_cast<double>(row->second.bytes),
                                    .seconds = seconds_at(row->second.at)},
                             distance);
    }
    const auto& points = report.consensus.points();
    const double shrink = 1 - report.topology.spectral_gap;
    if (points.empty() || !(shrink > 1e-6 && shrink < 1) || points.front().at.round != 1) return;
    // After the last round come steps of pure averaging.
    const double trained =
        scenario.run().rounds ? static_cast<double>(scenario.run().rounds) : INFINITY;
    const double drift = points.front().value.mean / shrink;
    double distance = 0, step = 0;
    for (const auto& point : points) {
        for (; step < point.at.round; ++step)
            distance = shrink * std::hypot(distance, step < trained ? drift : 0);
        report.consensus_predicted.add(point.at, distance);
    }
}

// ---- peers -------------------------------------------------------------------------------------

void add_peers(Report& report, const Scenario& scenario, const Chronicle& chronicle) {
    const auto& accuracies = chronicle.accuracy_of_peers();
    const bool own_data = !scenario.extensions().trainer;
    report.peers.resize(scenario.peers());
    for (std::uint32_t p = 0; p < scenario.peers(); ++p) {
        report.peers[p].accuracy = accuracies[p];
        if (!own_data || p >= telemetry::kPageLabelPeerMax) continue;
        const auto part = scenario.learning().part(p);
        if (!part.data || !part.data->has_labels()) continue;
        for (const auto count : data::label_histogram(part))
            report.peers[p].label_counts.push_back(count);
    }
    if (scenario.federated()) report.peers.push_back({.name = "aggregator", .trains = false});
}

// ---- timeline ----------------------------------------------------------------------------------

enum Layer : std::size_t { kAway, kTrain, kWork, kSend, kLayers };  // the first that holds is shown
constexpr Activity kShown[] = {Activity::away, Activity::train, Activity::work, Activity::send};

struct Edge {
    Instant at;
    Layer layer;
    int change;
};

void add_row(Report& report, PlaceIndex place, std::vector<Edge> edges, Instant until) {
    std::ranges::stable_sort(edges, {}, &Edge::at);
    std::array<int, kLayers> open{};
    Instant from = World::kBeginning;
    const auto span = [&](Instant to) {
        auto shown = Activity::wait;
        for (std::size_t layer = kLayers; layer-- > 0;)
            if (open[layer] > 0) shown = kShown[layer];
        report.timeline.add(place, shown, seconds_at(from), seconds_at(to));
    };
    for (const auto& edge : edges) {
        const auto at = std::min(edge.at, until);
        if (at > from) span(at), from = at;
        open[edge.layer] += edge.change;
    }
    if (until > from) span(until);
}

void add_timeline(Report& report, Simulation& simulation, const Chronicle& chronicle) {
    const auto& world = simulation.world();
    const Instant until = std::min(chronicle.busy_until(), world.now());
    for (PlaceIndex place = 0; place < chronicle.busy().size(); ++place) {
        std::vector<Edge> edges{{World::kBeginning, kAway, 1}};
        bool away = true;
        Instant end = until;
        for (const auto& event : chronicle.states()) {
            if (event.place != place) continue;
            const bool now_away = event.state != PlaceState::running;
            if (now_away != away) edges.push_back({event.at, kAway, now_away ? 1 : -1});
            if (now_away && world.has_ended(place)) end = std::min(until, event.at);
            if (!now_away) end = until;
            away = now_away;
        }
        for (const auto& busy : chronicle.busy()[place]) {
            const auto layer = busy.doing == Doing::train  ? kTrain
                               : busy.doing == Doing::work ? kWork
                                                           : kSend;
            edges.push_back({busy.from, layer, 1});
            edges.push_back({busy.until, layer, -1});
        }
        add_row(report, place, std::move(edges), end);
    }
    if (until < world.now())
        report.notes.push_back(fmt::format(
            "The timeline shows the first {:.6g} s; more was not kept.", seconds_at(until)));
    if (chronicle.states_cut())
        report.notes.push_back("Of the later starts and ends of peers not all were kept.");
}

// ---- events ------------------------------------------------------------------------------------

std::string name_of(const Scenario& scenario, PlaceIndex place) {
    return place < scenario.peers() ? fmt::format("peer {}", place) : "aggregator";
}

void add_events(Report& report, Simulation& simulation, const Chronicle& chronicle) {
    const auto& scenario = simulation.scenario();
    for (const auto& event : chronicle.members()) {
        const auto whom = simulation.world().place_of(event.peer);
        report.events.push_back(
            {.seconds = seconds_at(event.at),
             .peer = whom ? std::optional<std::size_t>(*whom) : std::nullopt,
             .kind = std::string(message::to_string(event.to)),
             .text = fmt::format("to {}: {}", name_of(scenario, event.seen_by), event.reason)});
    }
    for (const auto& [at, text] : chronicle.faults()) {
        const bool over = text.starts_with("end of: ");
        report.events.push_back(
            {.seconds = seconds_at(at), .kind = over ? "healed" : "fault", .text = text});
    }
    std::vector<PlaceState> last(scenario.places(), PlaceState::off);
    std::vector<bool> started(scenario.places(), true);
    for (std::size_t place = 0; place < chronicle.busy().size(); ++place) started[place] = false;
    for (const auto& event : chronicle.states()) {
        auto& before = last[event.place];
        std::string kind, text;
        if (event.state == PlaceState::running && before == PlaceState::asleep)
            kind = "awake";
        else if (event.state == PlaceState::running && started[event.place])
            kind = "alive", text = "started again";
        else if (event.state == PlaceState::asleep)
            kind = "asleep";
        else if (event.state == PlaceState::dark)
            kind = "dead", text = "its machine is off";
        started[event.place] = started[event.place] || event.state == PlaceState::running;
        before = event.state;
        if (kind.empty()) continue;
        report.events.push_back(
            {.seconds = seconds_at(event.at), .peer = event.place, .kind = kind, .text = text});
    }
    std::ranges::stable_sort(report.events, {}, &telemetry::ReportEvent::seconds);
    if (chronicle.members().size() >= Chronicle::kEventsMax)
        report.notes.push_back(
            fmt::format("Of what members heard of each other the first {} "
                        "changes were kept.",
                        Chronicle::kEventsMax));
    for (const auto& [code, alike] : chronicle.warnings())
        report.notes.push_back(alike.count == 1
                                   ? fmt::format("Warning {}: {}", describe(code).id, alike.first)
                                   : fmt::format("Warning {}, {} times, first: {}",
                                                 describe(code).id, alike.count, alike.first));
}

}  // namespace

telemetry::Report report_of(Simulation& simulation, const Outcome& outcome) {
    const auto& scenario = simulation.scenario();
    auto& chronicle = simulation.chronicle();
    Report report{.title = scenario.run().name};
    report.scenario = scenario.name();
    report.run = fmt::format("{} peers, {}", scenario.peers(),
                             scenario.federated() ? "federated" : "gossip");
    report.seed = std::to_string(scenario.run().seed.value);
    report.trace_hash = fmt::format("{:016x}", outcome.trace_hash);
    if (outcome.end == "interrupted")
        report.notes.push_back("The run was interrupted; this is how far it came.");
    else if (!outcome.reached)
        report.notes.push_back("The run did not reach its goal: " + outcome.end + ".");
    for (const auto& text : outcome.failures) report.notes.push_back("Failed: " + text);
    for (const auto& text : outcome.broken) report.notes.push_back("Broken invariant: " + text);
    telemetry::Summary summary;
    fill_summary(summary, scenario, outcome);
    for (const auto& field : summary.fields()) {
        const auto* number = std::get_if<double>(&field.value);
        if (number && std::isnan(*number)) continue;
        if (field.key != "scenario" && field.key != "seed" && field.key != "trace_hash")
            report.summary.push_back(field);
    }
    add_curves(report, simulation, chronicle);
    add_topology(report, scenario);
    add_consensus(report, simulation, chronicle);
    add_peers(report, scenario, chronicle);
    add_timeline(report, simulation, chronicle);
    add_events(report, simulation, chronicle);
    return report;
}

void fill_summary(telemetry::Summary& summary, const Scenario& scenario, const Outcome& o) {
    const auto per_second = [&](std::uint64_t n) {
        return o.wall_seconds > 0 ? static_cast<double>(n) / o.wall_seconds : 0.0;
    };
    const auto whole = [](std::uint64_t n) { return static_cast<std::int64_t>(n); };
    summary.set("scenario", scenario.name());
    summary.set("seed", whole(scenario.run().seed.value));
    summary.set("peers", whole(scenario.peers()));
    summary.set("end", o.end);
    summary.set("reached", o.reached);
    summary.set("accuracy", o.accuracy);
    summary.set("worst_accuracy", o.worst_accuracy);
    summary.set("loss", o.loss);
    summary.set("consensus_distance", o.consensus);
    summary.set("rounds", whole(o.rounds));
    summary.set("client_updates", whole(o.client_updates));
    summary.set("client_updates_per_second", per_second(o.client_updates));
    summary.set("events", whole(o.events));
    summary.set("events_per_second", per_second(o.events));
    summary.set("virtual_seconds", o.virtual_seconds);
    summary.set("wall_seconds", o.wall_seconds);
    summary.set("peak_rss_bytes", whole(o.peak_rss_bytes));
    summary.set("bytes_sent", whole(o.bytes_sent));
    summary.set("trace_hash", fmt::format("{:016x}", o.trace_hash));
    if (!o.model.empty()) summary.set("final_model", o.model);
    summary.set("failure_count", whole(o.failure_count));
    summary.set("failures", fmt::format("{}", fmt::join(o.failures, "; ")));
    summary.set("broken_invariants", fmt::format("{}", fmt::join(o.broken, "; ")));
}

}  // namespace gossamer::simulation
