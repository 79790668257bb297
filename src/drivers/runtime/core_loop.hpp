// The core thread of a daemon: one event at a time, one timer, signals, nothing else.
//
// The loop sleeps in poll() on three descriptors: an eventfd that producers ring, a timerfd on
// CLOCK_BOOTTIME (it counts through suspension and fires at wake-up), and a signalfd. Producers
// on other threads post closures; they are bounded by what they come from (links, jobs), so posting
// never blocks and nothing is dropped.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <mutex>

#include "gossamer/base/time.hpp"

namespace gossamer::runtime {

Instant boot_time();   // CLOCK_BOOTTIME
WallTime wall_time();  // CLOCK_REALTIME

class CoreLoop {
public:
    using Event = std::function<void()>;

    // What the loop calls, on its own thread.
    struct Callbacks {
        std::function<void()> on_deadline;               // the armed time has come
        std::function<void(Duration asleep)> on_resume;  // before any deadline
        std::function<void(int signal)> on_signal;
    };
    // SIGTERM, SIGINT and SIGHUP must be blocked in all threads before the first thread starts.
    CoreLoop();
    ~CoreLoop();
    CoreLoop(const CoreLoop&) = delete;
    CoreLoop& operator=(const CoreLoop&) = delete;

    void post(Event event);                // from any thread
    void arm(Instant deadline);            // the loop's thread only
    void run(const Callbacks& callbacks);  // until stop(), which may have come before
    void stop() { running_ = false; }      // the loop's thread only

private:
    void drain();
    void check_clock(const Callbacks& callbacks);

    int wake_ = -1, timer_ = -1, signals_ = -1;
    std::mutex mutex_;
    std::deque<Event> events_;
    Instant armed_ = Instant::never();
    Duration drift_{};  // boot time minus monotonic time: grows by the time asleep
    bool running_ = true;
};

// SIGTERM, SIGINT and SIGHUP, for a loop to read.
void block_signals();
// For what follows the loop and may hang: the second SIGTERM or SIGINT in all ends the process.
void end_on_signals(bool one_came);

}  // namespace gossamer::runtime
