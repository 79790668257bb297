#include "records/telemetry/progress.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "gossamer/base/options.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

using namespace message;

void RunProgress::on_round(std::uint64_t round, WallTime wall) {
    if (!first_) first_ = Mark{round, wall};
    round_ = std::max(round_, round);
    waiting_.clear();
}

void RunProgress::take(const Notice& notice, WallTime wall) {
    if (auto n = std::get_if<RunStarted>(&notice)) {
        round_ = n->round;
        federated_ = n->mode == message::Mode::federated;
        first_ = Mark{n->round, wall};
    } else if (auto mixed = std::get_if<Mixed>(&notice)) {
        on_round(mixed->step, wall);
    } else if (auto finished = std::get_if<RoundFinished>(&notice)) {
        on_round(finished->round, wall);
        loss_ = finished->loss;
    } else if (auto trained = std::get_if<Trained>(&notice)) {
        loss_ = trained->loss;
        if (federated_) on_round(trained->round, wall);  // a client hears no more of rounds
    } else if (auto evaluated = std::get_if<Evaluated>(&notice)) {
        bool own = evaluated->where != "clients";  // counts more than the mean of the clients
        if (!own && own_accuracy_) return;
        if (own == own_accuracy_ && evaluated->round < evaluated_) return;  // it took longer
        evaluated_ = evaluated->round;
        if (own && !own_accuracy_) best_accuracy_ = kUnknown;  // those were on other data
        own_accuracy_ = own;
        accuracy_ = evaluated->accuracy, test_loss_ = evaluated->loss;
        if (!(best_accuracy_ >= accuracy_)) best_accuracy_ = accuracy_;
    } else if (auto member = std::get_if<MemberChanged>(&notice)) {
        auto [it, fresh] = members_.try_emplace(member->peer, member->to);
        if (!fresh)
            --member_counts_[static_cast<std::size_t>(std::exchange(it->second, member->to))];
        ++member_counts_[static_cast<std::size_t>(member->to)];
    } else if (auto caught_up = std::get_if<CaughtUp>(&notice)) {
        on_round(caught_up->to_round, wall);
    } else if (auto waiting = std::get_if<Waiting>(&notice)) {
        waiting_ = harmless(waiting->what, 40);
    } else if (auto ended = std::get_if<RunEnded>(&notice)) {
        round_ = std::max(round_, ended->round);
    }
}

std::optional<Duration> RunProgress::time_left(WallTime now) const {
    if (round_max_ == 0 || !first_ || round_ <= first_->round || round_ >= round_max_)
        return std::nullopt;
    auto per_round = seconds(now - first_->wall) / static_cast<double>(round_ - first_->round);
    auto left = per_round * static_cast<double>(round_max_ - round_);
    return Duration{static_cast<std::int64_t>(std::min(std::max(left, 0.0), 1e9)) * 1'000'000'000};
}

std::string RunProgress::line(WallTime now) const {
    auto out = fmt::format("{}  round {}", harmless(run_, 40), round_);
    if (round_max_ > 0) out += fmt::format("/{}", round_max_);
    if (!std::isnan(loss_)) out += fmt::format("  loss {:.3f}", loss_);
    if (!std::isnan(accuracy_)) out += fmt::format("  accuracy {:.3f}", accuracy_);
    if (!members_.empty())
        out += fmt::format("  peers {}/{}", count_of(MemberState::alive), members_.size());
    if (sent_bytes_ + received_bytes_ > 0)
        out += fmt::format("  sent {} received {}",
                           format_bytes(static_cast<std::int64_t>(sent_bytes_)),
                           format_bytes(static_cast<std::int64_t>(received_bytes_)));
    if (!waiting_.empty()) out += "  waiting for " + waiting_;
    if (auto left = time_left(now))
        out += "  " + format_duration(*left) + " left";
    else
        out += "  " +
               format_duration(Duration{(now - start_).count() / 1'000'000'000 * 1'000'000'000}) +
               " gone";
    return out;
}

}  // namespace gossamer::telemetry
