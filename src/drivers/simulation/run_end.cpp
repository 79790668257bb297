#include "drivers/simulation/run_end.hpp"

#include "protocol/node/run_node.hpp"

namespace gossamer::simulation {

namespace {

message::Progress progress_of(const World& world, PlaceIndex p) {
    return dynamic_cast<const node::RunNode&>(world.node(p)).with_core([](const auto& core) {
        return core.progress();
    });
}

}  // namespace

RunEnd::RunEnd(const Scenario& scenario, const World& world) : scenario_(scenario), world_(world) {
    for (const auto& fault : scenario.faults()) {
        if (fault.kind != FaultKind::hang || fault.lasting != Duration::zero()) continue;
        hangs_for_good_.resize(scenario.places());
        for (auto p : fault.who) hangs_for_good_[p] = true;
    }
}

bool RunEnd::over() {
    if (world_.finished_count() == 0) return false;
    if (scenario_.federated() && !world_.has_finished(scenario_.peers())) return false;
    if (there_.empty()) note_who_is_there();
    const auto places = scenario_.places();
    for (PlaceIndex looked = 0; looked < places; ++looked) {
        if (could_end(waited_for_)) return false;
        waited_for_ = (waited_for_ + 1) % places;
    }
    return true;
}

void RunEnd::note_who_is_there() {
    there_.resize(scenario_.places());
    for (PlaceIndex p = 0; p < scenario_.places(); ++p) there_[p] = awake(p) ? world_.life(p) : 0;
}

bool RunEnd::awake(PlaceIndex p) const {
    return !world_.has_ended(p) && world_.running(p) && world_.state(p) == PlaceState::running;
}

bool RunEnd::stuck(PlaceIndex p) const {
    return !hangs_for_good_.empty() && hangs_for_good_[p] && world_.hanging_count(p) > 0;
}

bool RunEnd::could_end(PlaceIndex p) const {
    if (!awake(p)) return false;
    if (scenario_.federated()) return could_end_as_client(p);
    if (there_[p] != world_.life(p)) return false;
    // With members it knows its steps, and takes them alone if it must.
    return !stuck(p) && (progress_of(world_, p).roster != 0 || finds_members(p));
}

// It hears of the end from the aggregator alone, which is going or gone; or has heard of it and
// writes down the final model.
bool RunEnd::could_end_as_client(PlaceIndex p) const {
    if (world_.linked(p, scenario_.peers())) return true;
    return progress_of(world_, p).phase == message::Phase::finishing && world_.task_count(p) > 0;
}

bool RunEnd::finds_members(PlaceIndex p) const {
    std::uint64_t here = 0;
    for (PlaceIndex other = 0; other < scenario_.peers(); ++other) {
        if (!awake(other)) continue;
        ++here;
        if (other != p && !stuck(other) && progress_of(world_, other).roster != 0) return true;
    }
    return here >= scenario_.run().peers;
}

}  // namespace gossamer::simulation
