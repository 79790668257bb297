// Recorder: takes a node's notices and feeds everything that stays: log, metrics.jsonl, history,
// TensorBoard events, summary.json and the progress line. Nothing of it needs user code, and
// nothing of it can stop a run: what cannot be written is counted and told once (kRecordsLost).
//
// Owned by one thread at a time, never the core's. Hand it each notice with the wall time at which
// it happened; call flush() about once a second, and finish() at the end.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "gossamer/base/options.hpp"
#include "records/storage/history.hpp"
#include "records/storage/run_folder.hpp"
#include "records/telemetry/console.hpp"
#include "records/telemetry/log.hpp"
#include "records/telemetry/progress.hpp"
#include "records/telemetry/summary.hpp"
#include "records/telemetry/tensorboard.hpp"

namespace gossamer::telemetry {

struct TelemetryConfig {
    Level log_level = Level::info;
    std::string log_form = "auto";  // "auto", "text", "logfmt", "json"
    bool tensorboard = true;
    bool history = true;
    std::string progress = "auto";  // "auto" = on a terminal, "on", "off"
};
OptionTable telemetry_options();
TelemetryConfig telemetry_config(const OptionSource& source);
// The style of standard error under this configuration.
LogStyle log_style(const TelemetryConfig& config, const LogStyle& suitable);

struct RecordedRun {
    std::string name, mode;  // "demo", "gossip" or "federated"
    PeerId me;
    std::uint64_t round_max = 0;  // 0 = no fixed number
    std::string host = "localhost";
    // Of started, updated and seconds in summary.json, where the times of notices are virtual;
    // empty: theirs.
    std::function<WallTime()> clock;
};

class Recorder {
public:
    // `folder` may be the error that making it gave: then the run goes on without records.
    // `console` may be null (no progress line). Log and disk outlive the recorder.
    Recorder(storage::Disk& disk, Log& log, Console* console, Result<storage::RunFolder> folder,
             RecordedRun run, TelemetryConfig config, WallTime start);
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;

    void take(const message::Notice& notice, WallTime wall);
    // All bytes since the start, of all links.
    void on_traffic(std::uint64_t sent_bytes, std::uint64_t received_bytes, WallTime wall);
    void flush(WallTime wall);
    // state: "finished", "given up" (the next start goes on with it) or "stopped".
    // `last` may replace figures of the summary by what the driver knows better.
    void finish(WallTime wall, std::string state, const std::function<void(Summary&)>& last = {});

    const std::optional<storage::RunFolder>& folder() const { return folder_; }
    const RunProgress& progress() const { return progress_; }
    std::string status_line(WallTime wall) const { return progress_.line(wall); }  // for systemd
    Summary& summary() { return summary_; }  // what else shall stand in summary.json
    std::uint64_t lost_count() const;        // records
    const std::optional<Error>& first_loss() const { return loss_error_; }

private:
    void write_metrics_line(const Event& event, WallTime wall);
    void add_history(const message::Notice& notice, const Event& event, WallTime wall);
    WallTime real(WallTime wall) const { return run_.clock ? run_.clock() : wall; }
    void write_summary(WallTime wall, const std::string& state,
                       const std::function<void(Summary&)>& last = {});
    void record_traffic(WallTime wall);
    void count_members(Event& event);
    void note_loss(const Error& error);
    void tell_loss(WallTime wall);

    storage::Disk& disk_;
    Log& log_;
    Console* console_;
    RecordedRun run_;
    TelemetryConfig config_;
    WallTime start_, real_start_;
    std::optional<storage::RunFolder> folder_;
    RunProgress progress_;
    Summary summary_;
    std::optional<storage::RecordFile> metrics_;
    std::optional<TensorBoardWriter> tensorboard_;
    std::optional<storage::HistoryWriter> history_;
    std::uint64_t sent_bytes_ = 0, received_bytes_ = 0, traffic_round_ = 0;
    std::pair<std::uint64_t, std::uint64_t> recorded_bytes_{0, 0};
    std::optional<WallTime> traffic_recorded_;
    std::uint64_t lost_ = 0;  // beyond what the files count themselves
    std::optional<Error> loss_error_;
    bool loss_told_ = false, finished_ = false;
    std::optional<WallTime> summary_written_, progress_shown_;
};

}  // namespace gossamer::telemetry
