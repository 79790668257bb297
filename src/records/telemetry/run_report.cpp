#include "records/telemetry/run_report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gossamer::telemetry {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMetricsBytesMax = 512ull << 20, kChunkBytes = 1 << 20;
constexpr std::uint64_t kSummaryBytesMax = 16 << 20;
constexpr std::size_t kLineBytesMax = 1 << 20, kEventsKept = 65'536, kPeersKept = 4'096;

double number(const Json& line, const char* key) {
    const auto found = line.find(key);
    return found != line.end() && found->is_number() ? found->get<double>() : kUnknownValue;
}

std::string text(const Json& line, const char* key) {
    const auto found = line.find(key);
    return found != line.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// Seconds since 1970 of "2026-03-01T12:00:00.123456Z"; NaN when it is none.
double seconds_of(const std::string& when) {
    std::tm parts{};
    double rest = 0;
    if (std::sscanf(when.c_str(), "%4d-%2d-%2dT%2d:%2d:%lfZ", &parts.tm_year, &parts.tm_mon,
                    &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &rest) != 6)
        return kUnknownValue;
    parts.tm_year -= 1900, parts.tm_mon -= 1;
    return static_cast<double>(::timegm(&parts)) + rest;
}

// Calls `take` with each whole line. False = the file ended beyond the bound.
template <typename Take>
Result<bool> each_line(const storage::Disk& disk, const std::string& path, Take take) {
    GOSSAMER_TRY(const auto size, disk.size_of(path));
    const auto end = std::min(size, kMetricsBytesMax);
    std::string waiting;
    Bytes chunk;
    for (std::uint64_t at = 0; at < end; at += chunk.size()) {
        chunk.resize(static_cast<std::size_t>(std::min(kChunkBytes, end - at)));
        GOSSAMER_CHECK(disk.read_at(path, at, chunk));
        auto rest = as_text(chunk);
        for (auto stop = rest.find('\n'); stop != rest.npos; stop = rest.find('\n')) {
            waiting += rest.substr(0, stop);
            if (waiting.size() <= kLineBytesMax) take(waiting);
            waiting.clear();
            rest.remove_prefix(stop + 1);
        }
        if (waiting.size() <= kLineBytesMax) waiting += rest;
    }
    return size <= kMetricsBytesMax;
}

// Follows the lines of one metrics.jsonl.
class Reader {
public:
    explicit Reader(Report& report) : report_(report) {}

    void take(const std::string& text_line) {
        const auto line = Json::parse(text_line, nullptr, false);
        if (!line.is_object()) {
            ++damaged_;
            return;
        }
        const double wall = seconds_of(text(line, "ts"));
        if (std::isnan(wall)) {
            ++damaged_;
            return;
        }
        if (std::isnan(start_)) start_ = wall;
        at_.seconds = wall - start_;
        take_event(text(line, "event"), line);
    }

    void finish() {
        for (auto* series : {&test_accuracy_, &client_accuracy_})
            if (!series->points().empty()) report_.accuracy.push_back(std::move(*series));
        for (auto* series : {&test_loss_, &client_loss_, &train_loss_})
            if (!series->points().empty()) report_.loss.push_back(std::move(*series));
        if (damaged_ > 0)
            report_.notes.push_back(
                fmt::format("{} lines of metrics.jsonl could not be read.", damaged_));
        if (events_left_out_ > 0)
            report_.notes.push_back(
                fmt::format("{} further events are not listed.", events_left_out_));
    }

private:
    void take_event(const std::string& event, const Json& line) {
        const double round = number(line, "round");
        auto at = at_;
        at.round = round;
        if (event == "traffic") {
            // Each life of a daemon counts from 0; the axis goes on from what earlier ones sent.
            const double sent = number(line, "sent_bytes");
            if (sent < life_sent_) earlier_sent_ += life_sent_;
            life_sent_ = sent;
            at_.bytes = earlier_sent_ + sent;
        } else if (event == "evaluated") {
            const bool clients = text(line, "where") == "clients";
            (clients ? client_accuracy_ : test_accuracy_).add(at, number(line, "accuracy"));
            (clients ? client_loss_ : test_loss_).add(at, number(line, "loss"));
        } else if (event == "trained") {
            train_loss_.add(at, number(line, "loss"));
            if (const double lasted = number(line, "seconds"); lasted > 0)
                report_.timeline.add(0, Activity::train, std::max(0.0, at_.seconds - lasted),
                                     at_.seconds);
        } else if (event == "round_finished") {
            train_loss_.add(at, number(line, "loss"));
        } else if (event == "mixed") {
            report_.consensus.add(at, number(line, "distance"));
        } else if (event == "member_changed") {
            add_event(text(line, "to"), text(line, "peer"), text(line, "reason"));
        } else if (event == "update_refused") {
            add_event("update refused", text(line, "peer"), text(line, "code"));
        } else if (event == "link_changed") {
            if (const auto up = line.find("up"); up != line.end() && *up == false)
                add_event("link down", text(line, "peer"), text(line, "code"));
        } else if (event == "resumed") {
            add_event("awake", {}, fmt::format("after {:.4g} s", number(line, "seconds")));
        } else if (event == "warning") {
            add_event("warning", {}, text(line, "code"));
        }
    }

    void add_event(std::string kind, const std::string& peer, std::string why) {
        if (report_.events.size() >= kEventsKept) {
            ++events_left_out_;
            return;
        }
        report_.events.push_back({at_.seconds, index_of(peer), std::move(kind), std::move(why)});
    }

    // The daemon itself is peer 0; others follow in the order in which they are heard of.
    std::optional<std::size_t> index_of(const std::string& peer) {
        if (peer.empty()) return std::nullopt;
        const auto found = places_.find(peer);
        if (found != places_.end()) return found->second;
        if (report_.peers.size() >= kPeersKept) return std::nullopt;
        const auto id = PeerId::parse(peer);
        report_.peers.push_back({id ? id->short_string() : peer.substr(0, 8)});
        return places_[peer] = report_.peers.size() - 1;
    }

    Report& report_;
    Moment at_{.round = kUnknownValue, .bytes = 0};
    double start_ = kUnknownValue, earlier_sent_ = 0, life_sent_ = 0;
    std::map<std::string, std::size_t> places_;
    Series test_accuracy_{"test"}, client_accuracy_{"clients"};
    Series test_loss_{"test"}, client_loss_{"clients"}, train_loss_{"train"};
    std::uint64_t damaged_ = 0, events_left_out_ = 0;
};

void take_summary(Report& report, const storage::Disk& disk, const storage::RunFolder& folder) {
    const auto bytes = disk.read(folder.summary(), kSummaryBytesMax);
    const auto json = bytes ? nlohmann::ordered_json::parse(as_text(*bytes), nullptr, false)
                            : nlohmann::ordered_json();
    if (!json.is_object()) {
        report.notes.push_back("summary.json is missing or damaged.");
        return;
    }
    for (const auto& [key, value] : json.items()) {
        if (key == "schema_version") continue;
        if (key == "started" && value.is_string())
            report.started = value.get<std::string>();
        else if (key == "virtual_seconds")  // of a simulation, as its events' times are
            report.virtual_time = true;
        else if (key == "seed" && value.is_primitive())
            report.seed = value.is_string() ? value.get<std::string>() : value.dump();
        else if (key == "scenario" && value.is_string())
            report.scenario = value.get<std::string>();
        else if (key == "trace_hash" && value.is_string())
            report.trace_hash = value.get<std::string>();
        else if (value.is_boolean())
            report.summary.push_back({key, value.get<bool>()});
        else if (value.is_number_integer())
            report.summary.push_back({key, value.get<std::int64_t>()});
        else if (value.is_number())
            report.summary.push_back({key, value.get<double>()});
        else if (value.is_string())
            report.summary.push_back({key, value.get<std::string>()});
    }
}

}  // namespace

Report report_of_folder(const storage::Disk& disk, const storage::RunFolder& folder) {
    Report report{.title = folder.name(), .virtual_time = false};
    take_summary(report, disk, folder);
    report.peers.push_back({"this node"});
    Reader reader(report);
    const auto whole =
        each_line(disk, folder.metrics(), [&](const std::string& line) { reader.take(line); });
    reader.finish();
    if (!whole)
        report.notes.push_back("metrics.jsonl: " + whole.error().to_string());
    else if (!*whole)
        report.notes.push_back(
            fmt::format("metrics.jsonl is longer than {} MiB; only its beginning "
                        "is shown.",
                        kMetricsBytesMax >> 20));
    return report;
}

}  // namespace gossamer::telemetry
