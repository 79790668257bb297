#include "cli/demo/story.hpp"

#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

namespace gossamer::cli::demo {
namespace {

constexpr Duration kLook = 150ms, kAbsence = 2s;

// Ctrl-C reaches the daemons only when a terminal sends it to all, and the end of the terminal
// none of them; so the story ends them itself.
volatile sig_atomic_t interrupted = 0;

class Interruptible {
public:
    Interruptible() {
        interrupted = 0;
        struct sigaction action {};
        action.sa_handler = [](int) { interrupted = 1; };
        for (std::size_t i = 0; i < old_.size(); ++i) ::sigaction(kSignals[i], &action, &old_[i]);
    }
    ~Interruptible() {
        for (std::size_t i = 0; i < old_.size(); ++i) ::sigaction(kSignals[i], &old_[i], nullptr);
    }
    Interruptible(const Interruptible&) = delete;
    Interruptible& operator=(const Interruptible&) = delete;

private:
    static constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
    std::array<struct sigaction, std::size(kSignals)> old_{};
};

class Story {
public:
    Story(World& world, Screen& screen) : world_(world), screen_(screen) {
        victim_ = &world_.daemons[world_.daemons.size() - 3];
    }

    Result<Outcome> tell(Duration patience) {
        for (auto& daemon : world_.daemons) GOSSAMER_CHECK(world_.start(daemon));
        screen_.say(fmt::format("{}: {} processes started", world_.mode, world_.daemons.size()));
        while (elapsed() < patience) {
            if (interrupted) {
                world_.stop_all();
                return fail(ErrorCode::kCancelled, "the demo was interrupted",
                            "what the daemons recorded so far lies in " + world_.folder);
            }
            for (auto& daemon : world_.daemons) world_.ask(daemon);
            auto o = overview(world_);
            look_at_progress(o);
            GOSSAMER_CHECK(look_at_victim(o));
            screen_.progress(elapsed(), world_);
            if (ended()) break;
            ::poll(nullptr, 0, static_cast<int>(kLook / 1ms));
        }
        screen_.end_block();
        outcome_.wall = elapsed();
        return finish();
    }

private:
    Duration elapsed() const { return std::chrono::steady_clock::now() - start_; }

    // The longest time in which the slowest of the others completed nothing.
    void look_at_progress(const Overview& o) {
        if (!std::isnan(o.accuracy) && !outcome_.first_accuracy) {
            outcome_.first_accuracy = elapsed();
            screen_.event(elapsed(), fmt::format("first accuracy: {:.3f}", o.accuracy));
        }
        std::uint64_t least = ~std::uint64_t{0};
        for (auto& daemon : world_.daemons) {
            if (&daemon == victim_ || (world_.aggregator() && &daemon != world_.aggregator()))
                continue;
            least = std::min(least, daemon.report.round);
        }
        if (least != others_round_) {
            if (others_round_ > 0 && least > others_round_)
                outcome_.longest_pause =
                    std::max(outcome_.longest_pause, elapsed() - others_since_);
            others_round_ = least;
            others_since_ = elapsed();
        }
    }

    Status look_at_victim(const Overview& o) {
        auto now = elapsed();
        if (!killed_at_ && o.round_max > 0 && others_round_ * 2 >= o.round_max) {
            victim_->process.signal(SIGKILL);
            victim_->process.wait(1s);
            victim_->killed = true;
            killed_at_ = now;
            screen_.event(
                now, fmt::format("kill -9 {} (process {})", victim_->name, victim_->process.id()));
        } else if (killed_at_ && !outcome_.noticed_after && !back_at_) {
            if (others_see("dead") || others_see("suspect")) {
                outcome_.noticed_after = now - *killed_at_;
                screen_.event(now,
                              fmt::format("the others hold {} for gone, {:.1f}s after; they go on",
                                          victim_->name, seconds(*outcome_.noticed_after)));
            }
        }
        if (killed_at_ && !back_at_ && now - *killed_at_ > kAbsence) {
            GOSSAMER_CHECK(world_.start(*victim_));
            sent_before_ += victim_->report.sent_bytes;
            victim_->report = {};
            back_at_ = now;
            screen_.event(now, fmt::format("{} starts again", victim_->name));
        }
        if (back_at_ && !outcome_.caught_up_after && victim_->report.fresh &&
            victim_->report.round > 0 && victim_->report.round + 2 >= others_round_) {
            outcome_.caught_up_after = now - *back_at_;
            screen_.event(
                now, fmt::format("{} has caught up at {} {}", victim_->name,
                                 world_.aggregator() ? "round" : "step", victim_->report.round));
        }
        return {};
    }

    bool others_see(std::string_view state) const {
        std::size_t seen = 0, asked = 0;
        for (auto& daemon : world_.daemons) {
            if (&daemon == victim_ || !daemon.report.fresh) continue;
            // Without links of its own to the peers a client hears of others late; the aggregator
            // decides.
            if (world_.mode == "federated" && &daemon != &world_.daemons.front()) continue;
            ++asked;
            for (const auto& [id, s] : daemon.report.members)
                seen += id == victim_->id && s == state;
        }
        return asked > 0 && seen * 2 > asked;
    }

    bool ended() {
        return std::ranges::none_of(world_.daemons, [&](Daemon& d) {
            return d.process.running() || (d.killed && !back_at_);
        });
    }

    Result<Outcome> finish() {
        std::uint64_t sent = sent_before_;
        outcome_.complete = true;
        std::string failed;
        for (auto& daemon : world_.daemons) {
            if (&daemon != world_.aggregator()) sent += daemon.report.sent_bytes;
            auto code = daemon.process.exit_code();
            if (code == 0) continue;
            outcome_.complete = false;
            failed += fmt::format(" {} ({}, see {})", daemon.name,
                                  code ? fmt::format("exit {}", *code) : "still runs", daemon.log);
        }
        auto peers = world_.daemons.size() - (world_.aggregator() ? 1 : 0);
        outcome_.sent_bytes_per_peer = static_cast<double>(sent) / static_cast<double>(peers);
        if (!failed.empty()) screen_.say("  not all ended well:" + failed);
        world_.stop_all();
        screen_.say(fmt::format("  longest pause of the others: {:.2f}s\n",
                                seconds(outcome_.longest_pause)));
        return outcome_;
    }

    World& world_;
    Screen& screen_;
    Daemon* victim_;
    Outcome outcome_;
    std::uint64_t sent_before_ = 0;  // by the life that was ended
    std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    std::uint64_t others_round_ = 0;
    Duration others_since_{};
    std::optional<Duration> killed_at_, back_at_;
};

}  // namespace

Result<Outcome> tell_story(World& world, Screen& screen, Duration patience) {
    Interruptible guard;
    return Story(world, screen).tell(patience);
}

}  // namespace gossamer::cli::demo
