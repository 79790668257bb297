#include "cli/demo/show.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include <fmt/format.h>

#include "gossamer/base/options.hpp"
#include "records/telemetry/console.hpp"
#include "records/telemetry/log.hpp"

namespace gossamer::cli::demo {
namespace {

std::string known(double value, int digits) {
    return std::isnan(value) ? "-" : fmt::format("{:.{}f}", value, digits);
}

}  // namespace

Overview overview(World& world) {
    Overview o;
    o.loss = o.accuracy = o.worst = std::numeric_limits<double>::quiet_NaN();
    double loss = 0, accuracy = 0;
    unsigned losses = 0, accuracies = 0;
    o.round = std::numeric_limits<std::uint64_t>::max();
    for (auto& daemon : world.daemons) {
        bool aggregator = &daemon == world.aggregator();
        const auto& r = daemon.report;
        o.sent_bytes += r.sent_bytes;
        if (!aggregator) {
            ++o.total;
            o.alive += daemon.process.running();
        }
        if (world.aggregator() && !aggregator) continue;  // the aggregator knows the round
        o.round_max = std::max(o.round_max, r.round_max);
        if (!daemon.process.running() && r.phase != "finished") continue;
        o.round = std::min(o.round, r.round);
        if (!std::isnan(r.loss)) loss += r.loss, ++losses;
        if (!std::isnan(r.accuracy)) {
            accuracy += r.accuracy, ++accuracies;
            o.worst = std::isnan(o.worst) ? r.accuracy : std::min(o.worst, r.accuracy);
        }
    }
    if (o.round == std::numeric_limits<std::uint64_t>::max()) o.round = 0;
    if (losses) o.loss = loss / losses;
    if (accuracies) o.accuracy = accuracy / accuracies;
    return o;
}

Screen::Screen(bool json) : tty_(!json && telemetry::is_terminal(1)), quiet_(json) {}

void Screen::clear() {
    if (!tty_ || !lines_) return;
    fmt::print("\033[{}A\033[J", lines_);
    lines_ = 0;
}

void Screen::say(const std::string& text) {
    if (quiet_) return;
    clear();
    fmt::print("{}\n", text);
    std::fflush(stdout);
}

void Screen::event(Duration elapsed, const std::string& text) {
    say(fmt::format("  {:5.1f}s  {}", seconds(elapsed), text));
}

void Screen::progress(Duration elapsed, World& world) {
    if (quiet_ || (!tty_ && elapsed - last_ < 1s)) return;
    last_ = elapsed;
    auto o = overview(world);
    std::string left = "-";
    if (o.round > 0 && o.round_max >= o.round)
        left = format_duration(Duration(static_cast<std::int64_t>(
            static_cast<double>(elapsed.count()) * static_cast<double>(o.round_max - o.round) /
            static_cast<double>(o.round))));
    auto line = fmt::format(
        "{:>6.1f}s  {} {}/{}  loss {}  accuracy {} (worst {})  {}/{} peers alive  {} sent  {} left",
        seconds(elapsed), world.aggregator() ? "round" : "step", o.round, o.round_max,
        known(o.loss, 3), known(o.accuracy, 3), known(o.worst, 3), o.alive, o.total,
        format_bytes(static_cast<std::int64_t>(o.sent_bytes)), left);
    if (!tty_) {
        fmt::print("{}\n", line);
        std::fflush(stdout);
        return;
    }
    // Two rows, whatever the terminal's width: clear() takes back no more.
    const auto columns = telemetry::terminal_columns(1);
    const auto colour = telemetry::environment_variable("NO_COLOR").empty();
    std::string peers = "         ";
    std::size_t width = peers.size();
    for (auto& daemon : world.daemons) {
        const auto what =
            daemon.killed ? std::string("killed") : fmt::format("{}", daemon.report.round);
        width += daemon.name.size() + what.size() + 3;
        if (columns != 0 && width > columns) break;
        peers += daemon.name + " " +
                 (daemon.killed && colour ? "\033[31m" + what + "\033[0m" : what) + "  ";
    }
    clear();
    const auto shown = telemetry::fitting(line, columns);
    fmt::print("{}{}{}\n{}\n", colour ? "\033[1m" : "", shown, colour ? "\033[0m" : "", peers);
    lines_ = 2;
    std::fflush(stdout);
}

void Screen::end_block() { lines_ = 0, last_ = {}; }

std::string table(const std::vector<Row>& rows) {
    std::string text = fmt::format("{:<26}{:>10}{:>12}{:>18}{:>10}\n", "", "accuracy", "worst peer",
                                   "sent per peer", "time");
    for (const auto& row : rows)
        text += fmt::format("{:<26}{:>10}{:>12}{:>18}{:>9.1f}s\n", row.name,
                            known(row.accuracy_mean, 4), known(row.accuracy_worst, 4),
                            row.sent_bytes_per_peer > 0
                                ? format_bytes(static_cast<std::int64_t>(row.sent_bytes_per_peer))
                                : "-",
                            row.wall_seconds);
    return text;
}

}  // namespace gossamer::cli::demo
