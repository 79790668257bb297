#include "drivers/simulation/chronicle.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include <fmt/format.h>

namespace gossamer::simulation {

namespace {
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
}

Chronicle::Chronicle(const Scenario& scenario)
    : scenario_(scenario),
      busy_(std::min<std::size_t>(scenario.places(), kTimelinePlaces)),
      started_(scenario.places()),
      consensus_(scenario.learning().layout()->parameter_count(), scenario.peers()),
      accuracy_(scenario.peers(), kUnknown),
      steps_(scenario.federated() ? 0 : scenario.peers()),
      there_(steps_.size()),
      said_(scenario.places(), Said::nothing) {}

Row& Chronicle::row(std::uint64_t round, Instant now) {
    auto& row = rows_[round];
    row.at = now;
    row.bytes = world_->counts().sent_bytes;
    return row;
}

// Quartiles need the values; beyond some millions the mean and the extremes must do.
void Chronicle::add(Spread& spread, double value) {
    const bool keep = values_kept_ < kValuesMax;
    values_kept_ += keep;
    spread.add(value, keep);
}

bool Chronicle::wants_sample(const message::Notice& notice) const {
    const auto* mixed = std::get_if<message::Mixed>(&notice);
    return mixed && consensus_.wants(mixed->step);
}

void Chronicle::on_notice(Instant now, PlaceIndex place, const message::Notice& notice,
                          const Moment& moment) {
    const bool peer = scenario_.role(place) == Role::peer;
    if (const auto* n = std::get_if<message::Evaluated>(&notice)) {
        // In federated runs the aggregator speaks for all; a client's own view is its histogram.
        const bool known = scenario_.world().compute == ComputeMode::real;
        if (peer && known) accuracy_[place] = n->accuracy;
        const bool of_clients = peer && scenario_.federated();
        if (of_clients && known) add(row(n->round, now).client_accuracy, n->accuracy);
        // What the aggregator says of its clients, they say themselves; it counts where there is
        // no other figure.
        const bool repeats = n->where == "clients" && scenario_.learning().has_test_data();
        if (!of_clients && n->accuracy > best_accuracy_) best_accuracy_ = n->accuracy;
        if (!of_clients && !repeats) {
            auto& r = row(n->round, now);
            if (known) add(r.accuracy, n->accuracy);
            add(r.loss, n->loss);
        }
    } else if (const auto* t = std::get_if<message::Trained>(&notice)) {
        ++updates_;
        auto& r = row(t->round, now);
        add(scenario_.federated() ? r.client_train_loss : r.train_loss, t->loss);
    } else if (const auto* m = std::get_if<message::Mixed>(&notice)) {
        auto& r = row(m->step, now);
        if (!m->mixed.empty()) r.distance.add(m->distance);
        r.left_out += static_cast<std::uint32_t>(m->left_out.size());
        round_ = std::max(round_, m->step);
        if (consensus_.wants(m->step)) consensus_.add(m->step, moment.sample);
        count(place, true, m->step);
    } else if (const auto* f = std::get_if<message::RoundFinished>(&notice)) {
        auto& r = row(f->round, now);
        r.train_loss.add(f->loss);
        r.accepted = static_cast<std::uint32_t>(f->accepted.size());
        r.late = f->late;
        r.refused = f->refused;
        round_ = std::max(round_, f->round);
        model_ = to_hex(f->model.bytes);
    } else if (const auto* c = std::get_if<message::MemberChanged>(&notice)) {
        if (c->from != c->to && members_.size() < kEventsMax)
            members_.push_back({now, place, c->peer, c->to, c->reason});
    } else if (const auto* e = std::get_if<message::RunEnded>(&notice)) {
        // Who was asked to leave says so too; the reason is that of those who reached the end.
        said_[place] = e->reached ? Said::reached : Said::missed;
        const auto any_reached = [&] { return std::ranges::count(said_, Said::reached) > 0; };
        if (!peer || (!scenario_.federated() && (e->reached || !any_reached())))
            end_reason_ = e->reason;
    } else if (const auto* w = std::get_if<message::Warning>(&notice)) {
        auto& alike = warnings_[w->error.code];
        if (++alike.count == 1) alike.first = w->error.what;
        const bool own_work = w->error.code == ErrorCode::kTrainingFailed ||
                              w->error.code == ErrorCode::kModelNotFinite;
        failure_count_ += own_work;
        if (own_work && failures_.size() < kFailuresMax && world_->running(place))
            failures_.push_back(fmt::format("{}, round {}, seed {}: {}",
                                            peer ? fmt::format("peer {}", place) : "the aggregator",
                                            world_->node(place).status(now).round + 1,
                                            scenario_.run().seed.value, w->error.to_string()));
    }
    if (also) also(now, place, notice);
}

void Chronicle::on_busy(PlaceIndex place, Instant from, Instant until, bool training) {
    busy(place, {from, until, training ? Doing::train : Doing::work});
}

void Chronicle::on_send(PlaceIndex place, Instant from, Instant until) {
    busy(place, {from, until, Doing::send});
}

void Chronicle::busy(PlaceIndex place, const Busy& what) {
    if (place >= busy_.size() || what.until <= what.from || what.from >= busy_until_) return;
    auto& row = busy_[place];
    // What goes on without a break is one span: chunks of a model, jobs one after another.
    for (auto it = row.rbegin(); it != row.rend() && it - row.rbegin() < 3; ++it)
        if (it->doing == what.doing && what.from <= it->until) {
            it->until = std::max(it->until, what.until);
            return;
        }
    row.push_back(what);
    if (row.size() >= kBusyMax) busy_until_ = what.from;
}

void Chronicle::count(PlaceIndex place, bool there, std::uint64_t step) {
    if (place >= steps_.size()) return;
    if (there_[place])
        if (const auto it = at_step_.find(steps_[place]); --it->second == 0) at_step_.erase(it);
    there_[place] = there, steps_[place] = step;
    if (there) ++at_step_[step];
    if (!at_step_.empty()) settled_ = std::max(settled_, at_step_.begin()->first);
}

bool Chronicle::reached() const {
    if (scenario_.federated()) return said_[scenario_.peers()] == Said::reached;
    for (PlaceIndex p = 0; p < said_.size(); ++p)
        if (world_->has_finished(p) && said_[p] != Said::reached) return false;
    return world_->finished_count() > 0;
}

// Those of the timeline first; of all others only what goes wrong, not that each once started.
void Chronicle::on_state(Instant now, PlaceIndex place, PlaceState state) {
    const bool first = !started_[place];
    started_[place] = true;
    if (place < steps_.size()) count(place, state == PlaceState::running, steps_[place]);
    // What it said of the run's end was of a life that is over: the next one may see another.
    if ((state == PlaceState::off || state == PlaceState::dark) && !world_->has_ended(place))
        said_[place] = Said::nothing;
    const bool shown = place < busy_.size();
    if (first && !shown) return;
    if (shown && (state == PlaceState::off || state == PlaceState::dark)) {
        // What it was at ends with its process.
        auto& row = busy_[place];
        for (auto it = row.rbegin(); it != row.rend() && it - row.rbegin() < 8; ++it)
            it->until = std::max(it->from, std::min(it->until, now));
    }
    if (states_.size() < (shown ? 2 * kEventsMax : kEventsMax))
        states_.push_back({now, place, state});
    else
        states_cut_ = true;
}

void Chronicle::on_fault(Instant now, const Fault& fault, bool begins) {
    if (faults_.size() < kEventsMax)
        faults_.emplace_back(now, (begins ? "" : "end of: ") + fault.text);
}

double Chronicle::accuracy() const {
    for (auto it = rows_.rbegin(); it != rows_.rend(); ++it)
        if (it->second.accuracy.count) return it->second.accuracy.mean();
    return kUnknown;
}

double Chronicle::loss() const {
    for (auto it = rows_.rbegin(); it != rows_.rend(); ++it)
        if (it->second.loss.count) return it->second.loss.mean();
    for (auto it = rows_.rbegin(); it != rows_.rend(); ++it)
        if (it->second.train_loss.count) return it->second.train_loss.mean();
    return kUnknown;
}

}  // namespace gossamer::simulation
