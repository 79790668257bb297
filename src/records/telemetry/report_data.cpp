#include "records/telemetry/report_data.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gossamer::telemetry {
namespace {

using Json = nlohmann::ordered_json;

Json text_of(std::string_view text) { return harmless(text, kReportTextMax); }

// Digits beyond what a screen can show would double the size of the page.
Json number(double value, int digits = 6) {
    if (!std::isfinite(value)) return nullptr;
    if (value == std::floor(value) && std::abs(value) < 9e15)
        return static_cast<std::int64_t>(value);
    return std::strtod(fmt::format("{:.{}g}", value, digits).c_str(), nullptr);  // subnormals too
}
Json time(double seconds) { return number(seconds, 9); }

std::string name_of(const Report& report, std::size_t peer) {
    if (peer < report.peers.size() && !report.peers[peer].name.empty())
        return harmless(report.peers[peer].name, kReportTextMax);
    return fmt::format("peer {}", peer);
}

// ---- series ------------------------------------------------------------------------------------

// A column a quantity; those that are unknown throughout are left out.
Json json_of(const Series& series) {
    const auto points = thinned(series.points(), kPagePointMax);
    Json out{{"name", text_of(series.name())}};
    const auto add = [&](const char* name, const auto& get, int digits) {
        Json column = Json::array();
        bool known = false;
        for (const auto& point : points) {
            column.push_back(number(get(point), digits));
            known = known || std::isfinite(get(point));
        }
        if (known) out[name] = std::move(column);
    };
    using Point = SeriesPoint;
    add(
        "round", [](const Point& p) { return p.at.round; }, 9);
    add(
        "bytes", [](const Point& p) { return p.at.bytes; }, 9);
    add(
        "seconds", [](const Point& p) { return p.at.seconds; }, 9);
    add(
        "mean", [](const Point& p) { return p.value.mean; }, 6);
    add(
        "lower_quartile", [](const Point& p) { return p.value.lower_quartile; }, 6);
    add(
        "upper_quartile", [](const Point& p) { return p.value.upper_quartile; }, 6);
    add(
        "least", [](const Point& p) { return p.value.least; }, 6);
    add(
        "greatest", [](const Point& p) { return p.value.greatest; }, 6);
    return out;
}

Json json_of(const std::deque<Series>& list) {
    Json out = Json::array();
    for (const auto& series : list) {
        auto json = json_of(series);
        if (json.contains("mean")) out.push_back(std::move(json));
    }
    return out;
}

// ---- peers -------------------------------------------------------------------------------------

// The step among 1, 2, 5 times a power of ten that cuts the width into at most `count` parts.
double nice_step(double width, double count) {
    const double power = std::pow(10, std::floor(std::log10(width / count)));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power * count >= width * (1 - 1e-12)) return factor * power;
    return 10 * power;
}

Json accuracies_of(const Report& report) {
    constexpr std::size_t kLowestShown = 5;
    std::vector<std::pair<double, std::size_t>> known;
    std::vector<double> values;
    for (std::size_t i = 0; i < report.peers.size(); ++i)
        if (const double a = report.peers[i].accuracy; a >= 0 && a <= 1) {
            known.emplace_back(a, i);
            values.push_back(a);
        }
    if (known.empty()) return nullptr;
    const auto spread = Spread::of(values);
    const double width = std::max(spread.greatest - spread.least, 1e-3);
    // Few peers need few bars.
    const double bars = std::clamp(1.5 * std::sqrt(static_cast<double>(values.size())), 5.0, 24.0);
    const double step = nice_step(width, bars);
    const double from = std::floor(spread.least / step + 1e-9) * step;
    std::vector<std::uint64_t> counts(
        static_cast<std::size_t>(std::floor((spread.greatest - from) / step + 1e-9)) + 1);
    for (const double value : values) {
        const auto bin = static_cast<std::size_t>(std::max(0.0, (value - from) / step + 1e-9));
        ++counts[std::min(bin, counts.size() - 1)];
    }
    const auto shown = std::min(kLowestShown, known.size());
    std::ranges::partial_sort(known, known.begin() + static_cast<std::ptrdiff_t>(shown));
    Json lowest = Json::array();
    for (std::size_t i = 0; i < shown; ++i)
        lowest.push_back({name_of(report, known[i].second), number(known[i].first)});
    return {{"peer_count", values.size()},
            {"mean", number(spread.mean)},
            {"least", number(spread.least)},
            {"greatest", number(spread.greatest)},
            {"from", number(from)},
            {"step", number(step)},
            {"counts", counts},
            {"lowest", lowest}};
}

Json labels_of(const Report& report) {
    std::size_t label_count = 0;
    for (const auto& peer : report.peers)
        label_count = std::max(label_count, peer.label_counts.size());
    if (label_count == 0) return nullptr;
    label_count = std::min(label_count, kPageLabelMax);
    Json names = Json::array(), rows = Json::array();
    for (std::size_t i = 0; i < label_count; ++i)
        names.push_back(i < report.label_names.size() ? text_of(report.label_names[i])
                                                      : Json(std::to_string(i)));
    const auto peer_count =
        static_cast<std::size_t>(std::ranges::count_if(report.peers, &ReportPeer::trains));
    for (std::size_t i = 0; i < std::min(peer_count, kPageLabelPeerMax); ++i) {
        Json row = Json::array();
        const auto& counts = report.peers[i].label_counts;
        for (std::size_t label = 0; label < label_count; ++label)
            row.push_back(label < counts.size() ? counts[label] : 0);
        rows.push_back(std::move(row));
    }
    return {{"peer_count", peer_count}, {"names", names}, {"rows", rows}};
}

// ---- topology ----------------------------------------------------------------------------------

void add_picture(Json& out, const Report& report, const std::vector<ReportEdge>& edges,
                 const std::vector<std::uint32_t>& degrees) {
    const auto& graph = report.topology;
    Json flat = Json::array();
    for (const auto& edge : edges) flat.push_back(edge.from), flat.push_back(edge.to);
    out["edges"] = std::move(flat);
    out["degrees"] = degrees;
    if (graph.positions.size() != graph.node_count) return;
    Json positions = Json::array();
    for (const auto& p : graph.positions) {
        if (!std::isfinite(p.x) || !std::isfinite(p.y)) return;
        positions.push_back({number(p.x), number(p.y)});
    }
    out["positions"] = std::move(positions);
}

// A histogram of at most 40 bars.
void add_degrees(Json& out, const std::vector<std::uint32_t>& degrees, std::uint32_t least,
                 std::uint32_t greatest) {
    const std::uint32_t wide = (greatest - least) / 40 + 1;
    std::vector<std::uint64_t> counts((greatest - least) / wide + 1);
    for (const auto degree : degrees) ++counts[(degree - least) / wide];
    Json labels = Json::array();
    for (std::uint32_t i = 0; i < counts.size(); ++i) {
        const auto from = least + i * wide;
        labels.push_back(wide == 1 ? fmt::format("{}", from)
                                   : fmt::format("{}–{}", from, from + wide - 1));
    }
    out["degree_labels"] = std::move(labels);
    out["degree_counts"] = counts;
}

Json topology_of(const Report& report) {
    const auto& graph = report.topology;
    if (graph.node_count == 0) return nullptr;
    std::vector<std::uint32_t> degrees(graph.node_count);
    std::vector<ReportEdge> edges;
    for (const auto& edge : graph.edges)
        if (edge.from < graph.node_count && edge.to < graph.node_count) {
            edges.push_back(edge);
            ++degrees[edge.from];
            if (!graph.directed) ++degrees[edge.to];
        }
    const auto [least, greatest] = std::ranges::minmax(degrees);
    const double ends = (graph.directed ? 1.0 : 2.0) * static_cast<double>(edges.size());
    Json out{{"name", text_of(graph.name)},
             {"node_count", graph.node_count},
             {"edge_count", edges.size()},
             {"directed", graph.directed},
             {"least_degree", least},
             {"greatest_degree", greatest},
             {"mean_degree", number(ends / static_cast<double>(graph.node_count))}};
    if (std::isfinite(graph.spectral_gap)) out["spectral_gap"] = number(graph.spectral_gap);
    if (graph.node_count <= kPageNodeMax && edges.size() <= kPageEdgeMax) {
        add_picture(out, report, edges, degrees);
    } else {
        out["too_large"] = fmt::format(
            "{} peers and {} edges are too many for a picture (at most {} and {}); this is how "
            "many "
            "neighbours they have.",
            grouped(double(graph.node_count)), grouped(double(edges.size())), kPageNodeMax,
            kPageEdgeMax);
        add_degrees(out, degrees, least, greatest);
    }
    return out;
}

// ---- timeline and events -----------------------------------------------------------------------

// Where a row has too many spans, its time is cut into steps, and each shows how much of it each
// activity took, one after the other.
std::vector<Timeline::Span> coarse(const std::vector<Timeline::Span>& row, double end,
                                   std::size_t span_max) {
    if (row.size() <= span_max) return row;
    constexpr std::size_t kKinds = 5;
    const std::size_t step_count = span_max / kKinds;
    const double step = end / static_cast<double>(step_count);
    std::vector<std::array<double, kKinds>> shares(step_count);
    const auto step_of = [&](double when) {
        return std::min(static_cast<std::size_t>(std::max(0.0, when / step)), step_count - 1);
    };
    for (const auto& span : row)
        for (auto i = step_of(span.begin); i <= step_of(span.end); ++i) {
            const double from = std::max(span.begin, static_cast<double>(i) * step);
            const double to = std::min(span.end, static_cast<double>(i + 1) * step);
            shares[i][static_cast<std::size_t>(span.what)] += std::max(0.0, to - from);
        }
    std::vector<Timeline::Span> out;
    for (std::size_t i = 0; i < step_count; ++i) {
        double from = static_cast<double>(i) * step;
        for (std::size_t kind = 0; kind < kKinds; ++kind) {
            if (shares[i][kind] <= 1e-3 * step) continue;
            out.push_back({from, from + shares[i][kind], static_cast<Activity>(kind)});
            from += shares[i][kind];
        }
    }
    return out;
}

Json timeline_of(const Report& report) {
    const auto& rows = report.timeline.rows();
    double end = 0;
    for (const auto& row : rows)
        for (const auto& span : row) end = std::max(end, span.end);
    if (!(end > 0) || !std::isfinite(end)) return nullptr;
    Json json_rows = Json::array(), notes = Json::array();
    std::array<bool, 5> used{};
    bool coarsened = false;
    std::size_t spans_most = 0;
    const auto span_max = std::max(kPageSpanMax, kPageSpanSum / rows.size());
    for (const auto& row : rows) {
        Json flat = Json::array();
        spans_most = std::max(spans_most, row.size());
        coarsened = coarsened || row.size() > span_max;
        for (const auto& span : coarse(row, end, span_max)) {
            flat.push_back(time(span.begin));
            flat.push_back(time(span.end));
            flat.push_back(static_cast<int>(span.what));
            used[static_cast<std::size_t>(span.what)] = true;
        }
        json_rows.push_back(std::move(flat));
    }
    Json kinds = Json::array();
    for (std::size_t i = 0; i < used.size(); ++i)
        if (used[i]) kinds.push_back(i);
    const auto peer_count = std::max(report.peers.size(), report.topology.node_count);
    if (rows.size() == Timeline::kRowsMax && peer_count > rows.size())
        notes.push_back(fmt::format("The first {} of {} peers.", rows.size(),
                                    grouped(static_cast<double>(peer_count))));
    if (spans_most > 100)
        notes.push_back(
            "Where spans are finer than the screen shows, a row is stacked: what share of its time "
            "each activity took. \u201cCloser\u201d shows the spans.");
    if (coarsened)
        notes.push_back(fmt::format(
            "A row with more than {} spans is drawn in steps: each shows how much of it "
            "each activity took, not in which order.",
            span_max));
    if (std::isfinite(report.timeline.cut_at()))
        notes.push_back(fmt::format("Busy rows end early, the first at {:.6g} s: they were full.",
                                    report.timeline.cut_at()));
    return {{"end", time(end)}, {"rows", json_rows}, {"kinds", kinds}, {"notes", notes}};
}

Json events_of(const Report& report) {
    std::map<std::string, std::uint64_t> count_of;
    Json rows = Json::array(), counts = Json::array();
    for (const auto& event : report.events) {
        const auto kind = harmless(event.kind, kReportTextMax);
        if (count_of.size() < 32 || count_of.contains(kind)) ++count_of[kind];
        if (rows.size() >= kPageEventMax) continue;
        rows.push_back({time(event.seconds), event.peer ? Json(*event.peer) : Json(nullptr),
                        event.peer ? name_of(report, *event.peer) : std::string(), kind,
                        text_of(event.text)});
    }
    for (const auto& [kind, count] : count_of) counts.push_back({kind, count});
    return {{"total", report.events.size()}, {"rows", rows}, {"counts", counts}};
}

}  // namespace

std::string report_data(const Report& report) {
    Json data{{"virtual_time", report.virtual_time},
              {"accuracy", json_of(report.accuracy)},
              {"loss", json_of(report.loss)},
              {"consensus", json_of(std::deque{report.consensus, report.consensus_predicted})},
              {"topology", topology_of(report)},
              {"accuracies", accuracies_of(report)},
              {"timeline", timeline_of(report)},
              {"events", events_of(report)},
              {"labels", labels_of(report)}};
    const auto named = std::min(
        kPageNodeMax,
        std::max({report.peers.size(), report.topology.node_count, report.timeline.rows().size()}));
    Json names = Json::array(), accuracies = Json::array();
    for (std::size_t i = 0; i < named; ++i) {
        names.push_back(name_of(report, i));
        if (i < report.peers.size()) accuracies.push_back(number(report.peers[i].accuracy));
    }
    data["names"] = std::move(names);
    data["node_accuracies"] = std::move(accuracies);
    std::string out;
    for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace))
        if (c == '<')  // in JSON only inside strings: no end tag, no comment
            out += "\\u003c";
        else
            out += c;
    return out;
}

std::string grouped(double value) {
    auto text = fmt::format("{:.0f}", value);
    for (auto at = static_cast<int>(text.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3)
        text.insert(static_cast<std::size_t>(at), 1, ',');
    return text;
}

}  // namespace gossamer::telemetry
