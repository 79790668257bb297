#include "drivers/assembly/records.hpp"

#include <utility>

namespace gossamer::assembly {

Records::Records(storage::Disk& disk, Setup setup)
    : disk_(disk), now_(std::move(setup.now)), book_(disk, setup.peer_book, Clock::now()) {
    console_ = std::make_unique<telemetry::Console>(telemetry::Console::to_stderr(),
                                                    telemetry::Console::stderr_is_terminal());
    if (setup.folder) {
        folder_path_ = setup.folder->path();
        log_file_ = std::make_unique<storage::RecordFile>(disk_, setup.folder->log());
    }
    open_log(setup.config, setup.run);
    Result<storage::RunFolder> folder = std::move(setup.folder);
    if (folder) {  // without it the folder is one still: its summary says whose
        auto text = as_bytes(setup.resolved_config);
        if (auto written = disk_.replace_file(folder->config(), {{text}}); !written)
            log_.say(now_(), telemetry::Level::warning, "records",
                     "config.toml cannot be written: " + written.error().to_string());
    }
    auto start = now_();
    recorder_ =
        std::make_unique<telemetry::Recorder>(disk_, log_, console_.get(), std::move(folder),
                                              std::move(setup.run), std::move(setup.config), start);
    thread_ = std::thread([this] { run(); });
}

Records::~Records() { finish("stopped"); }

// Lines for people on the terminal, as many as they want; all, and structured, in the run's folder.
void Records::open_log(const telemetry::TelemetryConfig& config,
                       const telemetry::RecordedRun& run) {
    auto suitable = telemetry::suitable_style(console_->is_terminal(), [](const char* name) {
        return telemetry::environment_variable(name);
    });
    auto style = telemetry::log_style(config, suitable);
    style.who = "me=" + run.me.short_string() +
                " run=" + telemetry::logfmt_value(telemetry::harmless(run.name, 64));
    log_.add_sink(style, [this](std::string_view line) { console_->line(line); });
    if (!log_file_) return;
    telemetry::LogStyle plain;
    plain.who = style.who;
    plain.least = telemetry::Level::debug;
    log_.add_sink(plain, [this](std::string_view line) { log_file_->append_line(line); });
}

void Records::take(WallTime wall, message::Notice notice) { push({wall, std::move(notice)}); }

void Records::say(WallTime wall, telemetry::Level level, std::string name, std::string text,
                  std::vector<telemetry::Field> fields) {
    push({wall, Said{level, std::move(name), std::move(text), std::move(fields)}});
}

void Records::push(Noted noted) {
    if (!queue_.push(std::move(noted))) ++overflow_;
}

void Records::take_from_queue(Noted& noted) {
    if (auto* said = std::get_if<Said>(&noted.what))
        log_.say(noted.wall, said->level, std::move(said->name), std::move(said->text),
                 std::move(said->fields));
    else
        recorder_->take(std::get<message::Notice>(noted.what), noted.wall);
}

void Records::on_traffic(std::uint64_t sent_bytes, std::uint64_t received_bytes) {
    sent_bytes_ = sent_bytes;
    received_bytes_ = received_bytes;
}

void Records::run() {
    auto flush_at = Clock::now() + std::chrono::seconds(1);
    for (;;) {
        auto noted = queue_.pop_until(flush_at);
        if (noted) take_from_queue(*noted);
        bool ended = !noted && Clock::now() < flush_at;  // closed and drained
        if (!ended && Clock::now() < flush_at) continue;
        flush_at = Clock::now() + std::chrono::seconds(1);
        auto wall = now_();
        recorder_->on_traffic(sent_bytes_, received_bytes_, wall);
        if (auto lost = overflow_.exchange(0))
            log_.say(wall, telemetry::Level::warning, "records_overflow",
                     std::to_string(lost) +
                         " events came faster than the disk takes them and "
                         "were not recorded");
        write_book(Clock::now(), ended);
        if (ended) break;
        recorder_->flush(wall);
    }
    recorder_->finish(now_(), final_state_);
}

void Records::write_book(Clock::time_point now, bool last) {
    auto written = book_.write(now, last);
    if (written || std::exchange(book_failed_, true)) return;
    log_.say(now_(), telemetry::Level::warning, "peer_book",
             "the peer book cannot be written: " + written.error().to_string());
}

void Records::finish(const std::string& state) {
    if (!thread_.joinable()) return;
    final_state_ = state;
    queue_.close();
    thread_.join();
}

}  // namespace gossamer::assembly
