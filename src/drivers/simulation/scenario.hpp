// A scenario: one TOML file with the keys of the daemons and a section [simulation], resolved, and
// what a world is built from.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "drivers/assembly/learning.hpp"
#include "drivers/simulation/config.hpp"
#include "drivers/simulation/directory.hpp"
#include "drivers/simulation/faults.hpp"
#include "drivers/simulation/trainers.hpp"
#include "gossamer/assembly/extensions.hpp"
#include "gossamer/topology/roster.hpp"
#include "gossamer/topology/schedule.hpp"
#include "protocol/membership/config.hpp"
#include "records/config/config.hpp"

namespace gossamer::simulation {

// Immutable once loaded.
class Scenario {
public:
    // The settings alone, before anything is loaded. Errors: those of the configuration.
    static Result<config::Config> resolve(const std::string& name, std::string text,
                                          std::vector<std::string> sets,
                                          const Extensions& extensions);
    // `text` is TOML; `name` stands for it in messages, and names the run where run.name is left
    // out. Errors: those of the configuration and of the data; worlds that cannot be, with the
    // figure that decides.
    static Result<std::shared_ptr<const Scenario>> load(std::string name, std::string text,
                                                        std::vector<std::string> sets,
                                                        const Extensions& extensions);

    const std::string& name() const { return name_; }
    const config::Config& config() const { return *config_; }
    const job::RunConfig& run() const { return run_; }
    const WorldConfig& world() const { return world_; }
    const Extensions& extensions() const { return extensions_; }
    const assembly::LearningStock& learning() const { return *learning_; }
    const std::vector<Fault>& faults() const { return faults_; }
    const Quadratic* quadratic() const { return quadratic_.get(); }

    bool federated() const { return run_.mode == message::Mode::federated; }
    const Directory& directory() const { return directory_; }
    std::uint32_t peers() const { return peers_; }
    std::uint32_t places() const { return peers_ + federated(); }  // the aggregator is the last
    Role role(std::uint32_t place) const { return directory_.role(place); }
    PeerId id(std::uint32_t place) const { return directory_.id(place); }
    std::string address(std::uint32_t place) const { return directory_.address(place); }
    double samples_per_second(std::uint32_t place) const { return speeds_[place]; }
    // Of a peer's device, for kTrainingFailed: what training takes, when that is more than it has.
    Status fits_memory(std::uint32_t peer) const;
    // How the places find each other; each leaves itself out.
    const membership::MembershipConfigRef& membership() const { return membership_; }
    // Those of gossip whom a place exchanges models with; known beforehand in large runs.
    std::vector<message::MemberRecord> known(std::uint32_t place) const;
    bool local_view() const { return membership_->local_view; }
    const std::shared_ptr<const topology::Schedule>& schedule() const { return schedule_; }
    const std::shared_ptr<const topology::Roster>& roster() const { return roster_; }
    // Of a place in the roster: its index here.
    std::uint32_t index_of(std::uint32_t place) const { return index_of_[place]; }
    // What must fit into memory at once, about.
    std::uint64_t memory_estimate() const;

private:
    Scenario(const Extensions& extensions) : extensions_(extensions) {}
    Status set_up();
    Status check_possible() const;
    std::uint64_t cohort_most() const;
    std::uint64_t optimiser_copies() const;
    std::uint64_t training_bytes() const;
    std::uint64_t residuals() const;
    std::uint64_t kept_models() const;
    void introduce(membership::MembershipConfig config);
    Status draw_graph();
    Status read_faults();
    Status read_trace();
    void draw_devices();

    std::string name_;
    Extensions extensions_;
    std::optional<config::Config> config_;
    job::RunConfig run_;
    WorldConfig world_;
    membership::MembershipConfigRef membership_;
    std::shared_ptr<Quadratic> quadratic_;
    std::shared_ptr<const assembly::LearningStock> learning_;
    std::shared_ptr<const topology::Schedule> schedule_;
    std::shared_ptr<const topology::Roster> roster_;
    std::vector<std::uint32_t> index_of_;  // of a place in the roster
    std::vector<Fault> faults_;
    std::vector<double> speeds_;
    std::uint32_t peers_ = 0;
    Directory directory_;
};

}  // namespace gossamer::simulation
