#include "records/telemetry/recorder.hpp"

#include <cmath>
#include <utility>

#include <nlohmann/json.hpp>

namespace gossamer::telemetry {
namespace {

constexpr Duration kSummaryEvery = std::chrono::seconds(10);
constexpr Duration kTrafficEvery = std::chrono::minutes(1);
constexpr Duration kProgressEvery = std::chrono::milliseconds(200);
constexpr std::size_t kHistoryBatch = 4096;

using namespace message;

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

}  // namespace

OptionTable telemetry_options() {
    return {
        {.key = "log.level",
         .kind = OptionKind::choice,
         .fallback = std::string("info"),
         .reason =
             "What standard error shows; the run folder's log has everything, a line an event "
             "(the same again within ten seconds: one line with its count).",
         .choices = {"debug", "info", "warning", "error"}},
        {.key = "log.form",
         .kind = OptionKind::choice,
         .fallback = std::string("auto"),
         .reason = "auto: short coloured lines on a terminal, else one logfmt line an event.",
         .choices = {"auto", "text", "logfmt", "json"}},
        {.key = "log.progress",
         .kind = OptionKind::choice,
         .fallback = std::string("auto"),
         .reason = "The line with round, loss, accuracy and time left; auto: on a terminal.",
         .choices = {"auto", "on", "off"}},
        {.key = "records.tensorboard",
         .kind = OptionKind::boolean,
         .fallback = true,
         .reason = "Write TensorBoard event files; costs about 50 bytes a metric."},
        {.key = "records.history",
         .kind = OptionKind::boolean,
         .fallback = true,
         .reason = "Write history.sqlite, which `gossamer run show` reads."},
    };
}

TelemetryConfig telemetry_config(const OptionSource& source) {
    TelemetryConfig config;
    (void)parse_level(source.text("log.level"), config.log_level);
    config.log_form = source.text("log.form");
    config.progress = source.text("log.progress");
    config.tensorboard = source.flag("records.tensorboard");
    config.history = source.flag("records.history");
    return config;
}

LogStyle log_style(const TelemetryConfig& config, const LogStyle& suitable) {
    LogStyle style = suitable;
    style.least = config.log_level;
    if (config.log_form == "text") style.form = LogForm::text;
    if (config.log_form == "logfmt") style.form = LogForm::logfmt;
    if (config.log_form == "json") style.form = LogForm::json;
    return style;
}

Recorder::Recorder(storage::Disk& disk, Log& log, Console* console,
                   Result<storage::RunFolder> folder, RecordedRun run, TelemetryConfig config,
                   WallTime start)
    : disk_(disk),
      log_(log),
      console_(console),
      run_(std::move(run)),
      config_(std::move(config)),
      start_(start),
      real_start_(real(start)),
      progress_(run_.name, run_.round_max, start) {
    summary_.set("run", harmless(run_.name));
    summary_.set("mode", run_.mode);
    summary_.set("peer", run_.me.to_string());
    if (!folder) {
        note_loss(folder.error());
        tell_loss(start);
        return;
    }
    folder_ = std::move(*folder);
    metrics_.emplace(disk_, folder_->metrics());
    if (config_.tensorboard) tensorboard_.emplace(disk_, folder_->events(start, run_.host));
    if (config_.history) {
        if (auto opened = storage::HistoryWriter::open(folder_->history()))
            history_.emplace(std::move(*opened));
        else
            note_loss(opened.error());
    }
    write_summary(start, "running");
    tell_loss(start);
}

void Recorder::take(const Notice& notice, WallTime wall) {
    auto event = describe(notice);
    progress_.take(notice, wall);
    if (std::holds_alternative<MemberChanged>(notice)) count_members(event);
    if (auto ended = std::get_if<RunEnded>(&notice)) {
        summary_.set("reason", harmless(ended->reason));
        summary_.set("reached", ended->reached);
    }
    if (auto round = std::get_if<RoundFinished>(&notice))
        summary_.set("model", round->model.to_string());
    log_.event(wall, event);
    write_metrics_line(event, wall);
    add_history(notice, event, wall);
    if (tensorboard_) tensorboard_->add(wall, event.metrics);
    if (history_ && history_->waiting_count() >= kHistoryBatch) flush(wall);
    if (std::holds_alternative<RunEnded>(notice)) flush(wall);
}

void Recorder::count_members(Event& event) {
    constexpr std::pair<MemberState, const char*> kinds[] = {
        {MemberState::alive, "peers/alive"},
        {MemberState::suspect, "peers/suspect"},
        {MemberState::dead, "peers/dead"}};
    for (auto [state, name] : kinds)
        event.metrics.push_back(
            {name, progress_.round(), static_cast<double>(progress_.count_of(state))});
}

void Recorder::write_metrics_line(const Event& event, WallTime wall) {
    if (!metrics_) {
        ++lost_;
        return;
    }
    nlohmann::ordered_json line{{"ts", rfc3339(wall)}, {"event", event.name}};
    for (const auto& field : event.fields)
        std::visit([&](const auto& value) { line[field.key] = value; }, field.value);
    if (!event.metrics.empty()) {
        auto& metrics = line["metrics"] = nlohmann::ordered_json::object();
        for (const auto& metric : event.metrics) metrics[metric.name] = metric.value;
    }
    metrics_->append_line(line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void Recorder::add_history(const Notice& notice, const Event& event, WallTime wall) {
    if (!history_) return;
    for (const auto& metric : event.metrics)
        history_->add(storage::MetricRow{wall, metric.round, metric.name, metric.value});
    if (auto member = std::get_if<MemberChanged>(&notice))
        history_->add(
            storage::MemberRow{wall, member->peer.to_string(), std::string(to_string(member->from)),
                               std::string(to_string(member->to)), harmless(member->reason)});
    storage::RoundRow row{.wall = wall,
                          .mode = run_.mode,
                          .loss = RunProgress::kUnknown,
                          .accuracy = RunProgress::kUnknown,
                          .distance = RunProgress::kUnknown};
    if (auto round = std::get_if<RoundFinished>(&notice)) {
        row.round = round->round;
        row.loss = round->loss;
        row.accepted = round->accepted.size();
        row.late = round->late;
        row.refused = round->refused;
        row.received_bytes = round->received_bytes;
        row.elapsed_seconds = seconds(round->elapsed);
        row.model = round->model.to_string();
    } else if (auto mixed = std::get_if<Mixed>(&notice)) {
        row.round = mixed->step;
        row.loss = progress_.loss();
        row.distance = mixed->distance;
        row.accepted = mixed->mixed.size();
        row.late = mixed->left_out.size();
        row.received_bytes = mixed->received_bytes;
    } else if (auto evaluated = std::get_if<Evaluated>(&notice)) {
        // Comes after its round: the row is completed, not replaced. An evaluation of its own
        // counts more than the mean of the clients.
        if (evaluated->where == "clients" && progress_.evaluates_itself()) return;
        history_->set_accuracy(evaluated->round, wall, evaluated->accuracy);
        return;
    } else {
        return;
    }
    history_->add(std::move(row));
}

void Recorder::on_traffic(std::uint64_t sent_bytes, std::uint64_t received_bytes, WallTime wall) {
    if (sent_bytes == sent_bytes_ && received_bytes == received_bytes_) return;
    sent_bytes_ = sent_bytes, received_bytes_ = received_bytes;
    progress_.on_traffic(sent_bytes, received_bytes);
    // A record a second would be most of what an idle daemon writes: one a round, or a minute.
    if (traffic_recorded_ && traffic_round_ == progress_.round() &&
        wall - *traffic_recorded_ < kTrafficEvery)
        return;
    record_traffic(wall);
}

void Recorder::record_traffic(WallTime wall) {
    if (traffic_recorded_ && recorded_bytes_ == std::pair(sent_bytes_, received_bytes_)) return;
    traffic_recorded_ = wall, traffic_round_ = progress_.round();
    recorded_bytes_ = {sent_bytes_, received_bytes_};
    Event event{
        .name = "traffic",
        .fields = {{"sent_bytes", integer(sent_bytes_)},
                   {"received_bytes", integer(received_bytes_)}},
        .metrics = {{"net/tx_bytes", progress_.round(), static_cast<double>(sent_bytes_)},
                    {"net/rx_bytes", progress_.round(), static_cast<double>(received_bytes_)}}};
    write_metrics_line(event, wall);
    if (history_)
        for (const auto& metric : event.metrics)
            history_->add(storage::MetricRow{wall, metric.round, metric.name, metric.value});
    if (tensorboard_) tensorboard_->add(wall, event.metrics);
}

void Recorder::flush(WallTime wall) {
    if (history_)
        if (auto status = history_->flush(); !status) note_loss(status.error());
    if (!finished_ && (!summary_written_ || real(wall) - *summary_written_ >= kSummaryEvery))
        write_summary(wall, "running");
    bool show = console_ && config_.progress != "off" && !finished_;
    if (show && (!progress_shown_ || wall - *progress_shown_ >= kProgressEvery)) {
        if (console_->is_terminal())
            console_->status(progress_.line(wall));
        else if (config_.progress == "on")
            console_->line(progress_.line(wall));
        progress_shown_ = wall;
    }
    log_.flush(wall);
    tell_loss(wall);
}

void Recorder::write_summary(WallTime wall, const std::string& state,
                             const std::function<void(Summary&)>& last) {
    const auto now = real(wall);
    summary_.set("state", state);
    summary_.set("started", rfc3339(real_start_));
    summary_.set("updated", rfc3339(now));
    summary_.set("seconds", seconds(now - real_start_));
    summary_.set("rounds", integer(progress_.round()));
    summary_.set("accuracy", progress_.accuracy());
    summary_.set("best_accuracy", progress_.best_accuracy());
    summary_.set("loss", progress_.test_loss());
    summary_.set("train_loss", progress_.loss());
    summary_.set("sent_bytes", integer(sent_bytes_));
    summary_.set("received_bytes", integer(received_bytes_));
    summary_.set("records_lost", integer(lost_count()));
    if (last) last(summary_);
    summary_written_ = now;
    if (!folder_) return;
    if (auto written = summary_.write(disk_, folder_->summary()); !written)
        note_loss(written.error()), ++lost_;
}

void Recorder::finish(WallTime wall, std::string state, const std::function<void(Summary&)>& last) {
    if (sent_bytes_ + received_bytes_ > 0) record_traffic(wall);
    flush(wall);
    finished_ = true;
    write_summary(wall, state, last);
    if (console_) console_->status("");
    tell_loss(wall);
}

std::uint64_t Recorder::lost_count() const {
    return lost_ + (metrics_ ? metrics_->lost_count() : 0) +
           (tensorboard_ ? tensorboard_->lost_count() : 0) +
           (history_ ? history_->lost_count() : 0);
}

void Recorder::note_loss(const Error& error) {
    if (!loss_error_) loss_error_ = error;
}

void Recorder::tell_loss(WallTime wall) {
    if (metrics_ && metrics_->lost_count() > 0) note_loss(metrics_->first_error());
    if (tensorboard_ && tensorboard_->lost_count() > 0) note_loss(tensorboard_->first_error());
    if (history_ && history_->lost_count() > 0)
        note_loss({ErrorCode::kRecordsLost, "history.sqlite falls behind", {}});
    if (!loss_error_ || loss_told_) return;
    loss_told_ = true;
    Error error{ErrorCode::kRecordsLost, "records of this run are being lost: " + loss_error_->what,
                loss_error_->hint};
    log_.event(wall, describe(Warning{error}));
}

}  // namespace gossamer::telemetry
