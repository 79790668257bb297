#include "drivers/runtime/core_loop.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>

#include "gossamer/base/assert.hpp"
#include "gossamer/job/turn.hpp"

namespace gossamer::runtime {
namespace {

std::int64_t read_clock(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

sigset_t handled_signals() {
    sigset_t set;
    sigemptyset(&set);
    for (int s : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, s);
    return set;
}

}  // namespace

Instant boot_time() { return {read_clock(CLOCK_BOOTTIME)}; }
WallTime wall_time() { return {read_clock(CLOCK_REALTIME)}; }

void block_signals() {
    auto set = handled_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signal(SIGPIPE, SIG_IGN);
}

namespace {

volatile sig_atomic_t signals_heard = 0;  // by what is left when no loop reads them any more
void count_signal(int signal) {
    if (signals_heard) ::_exit(128 + signal);
    signals_heard = 1;
}

}  // namespace

void end_on_signals(bool one_came) {
    signals_heard = one_came;
    for (int s : {SIGTERM, SIGINT}) signal(s, count_signal);
    signal(SIGHUP, SIG_IGN);
    auto set = handled_signals();
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

CoreLoop::CoreLoop() {
    auto set = handled_signals();
    wake_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    timer_ = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    signals_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    GOSSAMER_ASSERT(wake_ >= 0 && timer_ >= 0 && signals_ >= 0, "no descriptors for the core loop");
    drift_ = Duration(read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC));
}

CoreLoop::~CoreLoop() {
    for (int fd : {wake_, timer_, signals_}) ::close(fd);
}

void CoreLoop::post(Event event) {
    {
        std::lock_guard lock(mutex_);
        events_.push_back(std::move(event));
        if (events_.size() > 1) return;  // already rung
    }
    std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(wake_, &one, sizeof one);
}

void CoreLoop::arm(Instant deadline) {
    if (deadline == armed_) return;
    armed_ = deadline;
    itimerspec when{};
    if (!deadline.is_never()) {
        auto ns = std::max<std::int64_t>(deadline.ns, 1);
        when.it_value.tv_sec = ns / 1'000'000'000;
        when.it_value.tv_nsec = ns % 1'000'000'000;
    }
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

// Tells of a suspension, or of a stall that made a deadline late, before the deadline itself.
void CoreLoop::check_clock(const Callbacks& callbacks) {
    auto drift = Duration(read_clock(CLOCK_BOOTTIME) - read_clock(CLOCK_MONOTONIC));
    auto asleep = drift - drift_;
    drift_ = drift;
    if (!armed_.is_never()) asleep = std::max(asleep, boot_time() - armed_);
    if (asleep > job::kStall) callbacks.on_resume(asleep);
}

void CoreLoop::drain() {
    std::deque<Event> batch;
    {
        std::lock_guard lock(mutex_);
        batch.swap(events_);
    }
    for (auto& event : batch) event();
}

void CoreLoop::run(const Callbacks& callbacks) {
    while (running_) {
        pollfd fds[3] = {{wake_, POLLIN, 0}, {timer_, POLLIN, 0}, {signals_, POLLIN, 0}};
        if (::poll(fds, 3, -1) < 0) {
            GOSSAMER_ASSERT(errno == EINTR || errno == ENOMEM, "three descriptors can be polled");
            continue;
        }
        std::uint64_t count = 0;
        if (fds[2].revents & POLLIN) {
            signalfd_siginfo info{};
            while (::read(signals_, &info, sizeof info) == sizeof info)
                callbacks.on_signal(static_cast<int>(info.ssi_signo));
        }
        check_clock(callbacks);
        if (fds[0].revents & POLLIN) {
            [[maybe_unused]] auto n = ::read(wake_, &count, sizeof count);
            drain();
        }
        if (fds[1].revents & POLLIN) {
            [[maybe_unused]] auto n = ::read(timer_, &count, sizeof count);
        }
        if (armed_ <= boot_time()) {
            armed_ = Instant::never();
            callbacks.on_deadline();
        }
    }
}

}  // namespace gossamer::runtime
