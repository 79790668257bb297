// The records of one daemon: a thread that feeds log, metrics, history and summary from notices,
// and writes the peer book, so that the core thread never waits for a disk.
//
// The queue holds kQueueMax notices; when the disk cannot keep up, what does not fit is counted and
// reported, the run goes on.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>

#include "base/thread/bounded_queue.hpp"
#include "drivers/assembly/known_peers.hpp"
#include "records/telemetry/recorder.hpp"

namespace gossamer::assembly {

class Records {
public:
    static constexpr std::size_t kQueueMax = 16384;

    struct Setup {
        telemetry::RecordedRun run;
        telemetry::TelemetryConfig config;
        Result<storage::RunFolder> folder;
        std::string resolved_config;  // written to config.toml
        std::string peer_book;        // its path
        std::function<WallTime()> now;
    };
    Records(storage::Disk& disk, Setup setup);
    ~Records();
    Records(const Records&) = delete;
    Records& operator=(const Records&) = delete;

    // From the core thread; these never wait for a disk.
    void take(WallTime wall, message::Notice notice);
    void on_traffic(std::uint64_t sent_bytes, std::uint64_t received_bytes);
    void know(storage::PeerBook book) { book_.know(std::move(book)); }
    // A line of the log that is no notice's.
    void say(WallTime wall, telemetry::Level level, std::string name, std::string text,
             std::vector<telemetry::Field> fields = {});
    // For what is said before the core thread runs, or after: it waits for terminal and disk.
    telemetry::Log& log() { return log_; }
    // Writes what is left, the book, the summary, and ends the thread.
    // state: "finished", "given up" (the next start goes on with it) or "stopped".
    void finish(const std::string& state);
    std::string folder_path() const { return folder_path_; }

private:
    struct Said {
        telemetry::Level level;
        std::string name, text;
        std::vector<telemetry::Field> fields;
    };
    struct Noted {
        WallTime wall;
        std::variant<message::Notice, Said> what;
    };
    void push(Noted noted);
    void take_from_queue(Noted& noted);
    using Clock = std::chrono::steady_clock;
    void run();
    void write_book(Clock::time_point now, bool last);
    void open_log(const telemetry::TelemetryConfig& config, const telemetry::RecordedRun& run);

    storage::Disk& disk_;
    std::function<WallTime()> now_;
    telemetry::Log log_;
    std::unique_ptr<storage::RecordFile> log_file_;
    std::unique_ptr<telemetry::Console> console_;
    std::string folder_path_;
    std::unique_ptr<telemetry::Recorder> recorder_;
    PeerBookWriter book_;
    bool book_failed_ = false;  // said once
    thread::BoundedQueue<Noted> queue_{kQueueMax};
    std::atomic<std::uint64_t> sent_bytes_{0}, received_bytes_{0}, overflow_{0};
    std::string final_state_;
    std::thread thread_;
};

}  // namespace gossamer::assembly
