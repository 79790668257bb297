#include "drivers/simulation/chronicle.hpp"

#include <cmath>
#include <limits>

namespace gossamer::simulation {

namespace {
constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
}

Chronicle::Chronicle(const Scenario& scenario)
    : scenario_(scenario),
      busy_(std::min<std::size_t>(scenario.places(), kTimelinePlaces)),
      accuracy_(scenario.peers(), kUnknown) {}

Row& Chronicle::row(std::uint64_t round, Instant now) {
    auto& row = rows_[round];
    row.at = now;
    row.bytes = world_->counts().sent_bytes;
    return row;
}

void Chronicle::on_notice(Instant now, PlaceIndex place, const message::Notice& notice) {
    const bool peer = scenario_.role(place) == Role::peer;
    if (const auto* n = std::get_if<message::Evaluated>(&notice)) {
        // In federated runs the aggregator speaks for all; a client's own view is its histogram.
        const bool known = scenario_.world().compute == ComputeMode::real;
        if (peer && known) accuracy_[place] = n->accuracy;
        if (!peer || !scenario_.federated()) {
            auto& r = row(n->round, now);
            if (known) r.accuracy.add(n->accuracy);
            r.loss.add(n->loss);
        }
    } else if (const auto* t = std::get_if<message::Trained>(&notice)) {
        ++updates_;
        if (!scenario_.federated()) row(t->round, now).train_loss.add(t->loss);
    } else if (const auto* m = std::get_if<message::Mixed>(&notice)) {
        auto& r = row(m->step, now);
        if (!m->mixed.empty()) r.distance.add(m->distance);
        r.left_out += static_cast<std::uint32_t>(m->left_out.size());
        round_ = std::max(round_, m->step);
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
        if (!peer || !scenario_.federated()) {
            end_reason_ = e->reason;
            reached_ = reached_ && e->reached;
        }
    } else if (const auto* w = std::get_if<message::Warning>(&notice)) {
        ++warnings_[std::string(describe(w->error.code).id) + ": " + w->error.what];
        if (warnings_.size() > 100) warnings_.erase(warnings_.begin());
    }
    if (also) also(now, place, notice);
}

void Chronicle::on_busy(PlaceIndex place, Instant from, Instant until, bool training) {
    if (place >= busy_.size() || busy_count_ >= kBusyMax) return;
    if (!training && until - from < 1ms) return;
    busy_[place].push_back({from, until, training});
    ++busy_count_;
}

void Chronicle::on_state(Instant now, PlaceIndex place, PlaceState state) {
    if (states_.size() < kEventsMax) states_.push_back({now, place, state});
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
