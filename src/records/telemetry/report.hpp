// Report: what a run's report page shows. A driver fills this plain struct while the run goes on
// or at its end; write_report() makes report.html of it, one file that works without a network.
//
// Whatever is left empty is left out of the page. Filling is cheap and bounded: series, spans and
// events that grow beyond what a page can show are thinned or cut, and the page says so.
// Strings may come from anybody (names of peers, reasons): the page shows them, never runs them.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "records/storage/disk.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

inline constexpr double kUnknownValue = std::numeric_limits<double>::quiet_NaN();

// One quantity over all peers at one moment. What is unknown is NaN and is not drawn.
struct Spread {
    double mean = kUnknownValue;
    double lower_quartile = kUnknownValue, upper_quartile = kUnknownValue;
    double least = kUnknownValue, greatest = kUnknownValue;

    static Spread of(std::span<const double> values);  // NaN among them is left out
};

// When something was measured, on each axis the reader may choose.
struct Moment {
    double round = kUnknownValue;  // or gossip step
    double bytes = kUnknownValue;  // sent by all since the start
    double seconds = kUnknownValue;
};

struct SeriesPoint {
    Moment at;
    Spread value;
};

class Series {
public:
    // Beyond so many points, add() thins what is there.
    static constexpr std::size_t kPointsKept = 65'536;

    explicit Series(std::string name = {}) : name_(std::move(name)) {}
    void add(const Moment& at, double value) { add(at, Spread{.mean = value}); }
    void add(const Moment& at, std::span<const double> one_a_peer) {
        add(at, Spread::of(one_a_peer));
    }
    void add(const Moment& at, const Spread& value);

    const std::string& name() const { return name_; }
    const std::vector<SeriesPoint>& points() const { return points_; }

private:
    std::string name_;
    std::vector<SeriesPoint> points_;
};

// At most point_max (>= 16) of the points, in order: the first and last, and of each stretch those
// with the least and greatest mean and the widest spread. None of them is altered.
std::vector<SeriesPoint> thinned(std::span<const SeriesPoint> points, std::size_t point_max);

// What mixing alone lets the distance to consensus become, at the moments of `measured`, from its
// first point on: d' = (1 - gap) sqrt(d^2 + drift^2) a round, where `drift` is how far one round of
// training drives the replicas apart (0 = pure averaging).
Series predicted_consensus(const Series& measured, double spectral_gap, double drift = 0);

struct ReportEdge {
    std::uint32_t from = 0, to = 0;  // indices of peers
};
struct ReportPosition {
    double x = 0, y = 0;  // any unit; the page scales them
};
struct ReportTopology {
    std::string name;  // "4-regular"
    std::size_t node_count = 0;
    bool directed = false;
    std::vector<ReportEdge> edges;  // each once; of a graph that varies, those of all its phases
    std::vector<ReportPosition> positions;  // one a node; empty = on a circle
    double spectral_gap = kUnknownValue;
};

struct ReportPeer {
    std::string name;                              // empty = "peer <index>"
    double accuracy = kUnknownValue;               // at the end, 0 to 1
    std::vector<std::uint64_t> label_counts = {};  // samples of each class; empty = unknown
    bool trains = true;                            // an aggregator is listed last, and does not
};

enum class Activity : std::uint8_t { train, send, wait, away, work };  // work: mix, evaluate, ...

// Who did what when. Only the first rows are kept; add() for others is free.
class Timeline {
public:
    static constexpr std::size_t kRowsMax = 64, kSpansKept = 16'384;
    struct Span {
        double begin, end;  // seconds
        Activity what;
    };

    // In any order among peers, in order of time for one peer. Adjacent spans of one activity join.
    void add(std::size_t peer, Activity what, double begin, double end);
    bool wants(std::size_t peer) const { return peer < kRowsMax; }
    const std::vector<std::vector<Span>>& rows() const { return rows_; }
    double cut_at() const { return cut_at_; }  // from here on a row was full; NaN = never

private:
    std::vector<std::vector<Span>> rows_;
    double cut_at_ = kUnknownValue;
};

struct ReportEvent {
    double seconds = 0;
    std::optional<std::size_t> peer = {};  // its index
    // "alive", "suspect", "dead", "left", "asleep", "awake", "fault" and "healed" have marks of
    // their own on the timeline; any other word has a common one.
    std::string kind;
    std::string text = {};
};

struct Report {
    std::string title;  // "fedavg-1000"
    std::string scenario, run, seed, trace_hash;
    std::string started;                // when, for people
    bool virtual_time = true;           // seconds are virtual; otherwise real
    std::vector<std::string> notes;     // sentences above all else: "stopped by Ctrl-C"
    std::vector<Field> summary;         // as Summary::fields()
    std::deque<Series> accuracy, loss;  // "test", "train", ...; a reference stays good
    Series consensus{"measured"}, consensus_predicted{"predicted by the spectral gap"};
    ReportTopology topology;
    std::vector<ReportPeer> peers;
    Timeline timeline;
    std::vector<ReportEvent> events;
    std::vector<std::string> label_names;  // of classes; empty = their numbers
};

std::string report_page(const Report& report);
Status write_report(storage::Disk& disk, const std::string& path, const Report& report);

// What a page shows at most.
inline constexpr std::size_t kPagePointMax = 2'000;   // of a series
inline constexpr std::size_t kPageSpanMax = 1'000;    // of a row of the timeline; more if few rows
inline constexpr std::size_t kPageSpanSum = 80'000;   // of all rows
inline constexpr std::size_t kPageNodeMax = 300;      // of a picture of a topology
inline constexpr std::size_t kPageEdgeMax = 20'000;   // likewise
inline constexpr std::size_t kPageEventMax = 1'000;   // of the list
inline constexpr std::size_t kPageLabelPeerMax = 96;  // of the heat map
inline constexpr std::size_t kPageLabelMax = 128;     // classes, likewise

}  // namespace gossamer::telemetry
