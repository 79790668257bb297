// One run of a scenario: the world, what it learned, and what it leaves on disk.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "drivers/assembly/member.hpp"
#include "drivers/simulation/chronicle.hpp"
#include "drivers/simulation/invariants.hpp"
#include "drivers/simulation/mixtures.hpp"
#include "drivers/simulation/run_end.hpp"
#include "drivers/simulation/scenario.hpp"
#include "drivers/simulation/world.hpp"
#include "records/storage/memory_disk.hpp"

namespace gossamer::simulation {

struct SimulationOptions {
    unsigned threads = 1;
    bool wire = false;
    std::size_t shared_from = 48;  // events of a window that more than one thread turns
    std::size_t mixed_together_from = 64 << 10;  // bytes of a model; smaller ones one by one
};

// What summary.json says, and sweeps compare.
struct Outcome {
    std::string end;  // why it ended
    bool reached = true;
    double accuracy = 0, worst_accuracy = 0, loss = 0;  // NaN where unknown
    double consensus = 0;  // root mean square distance of the models from their mean; NaN
    std::uint64_t rounds = 0, client_updates = 0, events = 0, bytes_sent = 0;
    double virtual_seconds = 0, wall_seconds = 0;
    std::uint64_t peak_rss_bytes = 0, trace_hash = 0;
    std::string model;                  // identity of the final global model
    std::vector<std::string> broken;    // invariants
    std::vector<std::string> failures;  // see Chronicle
    std::uint64_t failure_count = 0;
};

class Simulation {
public:
    static Result<std::unique_ptr<Simulation>> create(std::shared_ptr<const Scenario> scenario,
                                                      const SimulationOptions& options);
    ~Simulation();

    // Until the run ends, virtual time is up, or `go_on` says false: asked every some events, and
    // every some milliseconds of real time.
    Result<Outcome> run(const std::function<bool()>& go_on = {});

    const Scenario& scenario() const { return *scenario_; }
    World& world() { return *world_; }
    Chronicle& chronicle() { return chronicle_; }
    const Invariants& invariants() const { return invariants_; }
    const Mixtures& mixtures() const { return *mixtures_; }
    // Of one place's latest model; empty when it holds none.
    std::span<const float> model(PlaceIndex place) const;

private:
    Simulation(std::shared_ptr<const Scenario> scenario, const SimulationOptions& options);
    Result<std::unique_ptr<node::Node>> make_node(PlaceIndex place, WallTime now);
    std::uint64_t boot_epoch(PlaceIndex place, WallTime now);
    Compute::Work work_for(PlaceIndex place, job::Job job, std::function<void()>& later);
    tensor::Model held_model(PlaceIndex place) const;
    Result<job::JobDone> share_first_model(PlaceIndex place, const tensor::Model& out);
    Duration cost_of(PlaceIndex place, const job::Job& job) const;
    void disk_fault(PlaceIndex place, const Fault& fault, bool begins);
    bool has_disk(PlaceIndex place) const;
    Outcome outcome();

    struct DiskPlace;
    DiskPlace& disk_of(PlaceIndex place);  // REQUIRES has_disk(place)
    std::shared_ptr<const Scenario> scenario_;
    std::shared_ptr<Mixtures> mixtures_;
    Chronicle chronicle_;
    Invariants invariants_;  // hears first, passes on to the chronicle
    std::vector<std::shared_ptr<training::Trainer>> trainers_;  // of the user's own
    std::vector<std::shared_ptr<training::Trainer>> kept_trainers_;
    std::map<PlaceIndex, std::unique_ptr<DiskPlace>> disks_;
    std::vector<std::uint64_t> epochs_;  // of places without a disk: their last boot's
    std::vector<tensor::Model> finals_;  // of places that ended
    std::map<Role, assembly::NodeMould> moulds_;
    std::mutex first_model_mutex_;
    tensor::Model first_model_;
    std::string end_;
    double wall_seconds_ = 0;
    std::unique_ptr<World> world_;  // its jobs use what stands above
    std::unique_ptr<RunEnd> run_end_;
};

}  // namespace gossamer::simulation
