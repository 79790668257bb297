#include "drivers/simulation/simulation.hpp"

#include <sys/resource.h>

#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "drivers/assembly/checkpoints.hpp"
#include "drivers/assembly/member.hpp"
#include "drivers/simulation/durations.hpp"
#include "drivers/simulation/wire_path.hpp"
#include "drivers/work/perform.hpp"
#include "protocol/job/ends.hpp"
#include "protocol/node/run_node.hpp"
#include "records/storage/peer_book.hpp"

namespace gossamer::simulation {

namespace {

// Virtual speed of a device at what is no training: bytes read and written.
constexpr double kBytesPerSecond = 2e9, kDiskBytesPerSecond = 500e6;
constexpr double kEvaluationGain = 3;  // samples evaluated in the time one is trained
constexpr Duration kSync = 2ms, kSmall = 50us;
constexpr std::uint64_t kEventsPerLook = 2048;
constexpr auto kLookAfter = std::chrono::milliseconds(50);  // of real time

std::uint64_t peak_rss_bytes() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

// A disk in memory, and what the place keeps on it.
struct Simulation::DiskPlace {
    storage::MemoryDisk disk;
    std::unique_ptr<assembly::Checkpoints> checkpoints;
};

Result<std::unique_ptr<Simulation>> Simulation::create(std::shared_ptr<const Scenario> scenario,
                                                       const SimulationOptions& options) {
    auto made = std::unique_ptr<Simulation>(new Simulation(std::move(scenario), options));
    auto& sim = *made;
    const auto& s = *sim.scenario_;
    WorldSetup setup;
    setup.config = s.world();
    setup.seed = s.run().seed;
    setup.codecs = s.learning().codecs()->ids();
    setup.faults = s.faults();
    setup.threads = options.threads;
    setup.shared_from = options.shared_from;
    if (options.wire) {
        GOSSAMER_TRY(auto identities, WireIdentities::create());
        setup.wire = std::make_shared<const WireIdentities>(std::move(identities));
    }
    sim.trainers_.resize(s.extensions().trainer ? s.places() : 0);
    sim.finals_.resize(s.places());
    sim.epochs_.resize(s.places());
    // Who trains in every step keeps the order of its samples.
    const bool keeps = !s.federated() && s.world().compute != ComputeMode::cost;
    sim.kept_trainers_.resize(keeps && !s.extensions().trainer ? s.places() : 0);
    setup.directory = s.directory();
    setup.factory.node = [&sim](PlaceIndex p, WallTime now) { return sim.make_node(p, now); };
    setup.factory.cost = [&sim](PlaceIndex p, const job::Job& j) { return sim.cost_of(p, j); };
    setup.factory.work = [&sim](PlaceIndex p, job::Job j, std::function<void()>& later) {
        return sim.work_for(p, std::move(j), later);
    };
    if (s.learning().stacks())
        setup.factory.stacks = [](const job::Job& j) {
            return std::holds_alternative<job::TrainJob>(j);
        };
    setup.factory.disk = [&sim](PlaceIndex p, const Fault& fault, bool begins) {
        sim.disk_fault(p, fault, begins);
    };
    for (const auto role : {Role::peer, Role::aggregator}) {
        if (role == Role::aggregator && !s.federated()) continue;
        auto mould =
            assembly::NodeMould::create({.config = s.config(),
                                         .extensions = s.extensions(),
                                         .codecs = *s.learning().codecs(),
                                         .role = role,
                                         .run = s.run(),
                                         .layout = s.learning().layout(),
                                         .has_test_data = s.learning().has_test_data(),
                                         .roster = s.local_view() ? s.roster() : nullptr,
                                         .schedule = s.local_view() ? s.schedule() : nullptr});
        if (!mould) return fail(s.config().located(std::move(mould).error()));
        sim.moulds_.emplace(role, std::move(*mould));
    }
    sim.world_ = std::make_unique<World>(std::move(setup), sim.invariants_);
    sim.run_end_ = std::make_unique<RunEnd>(s, *sim.world_);
    sim.invariants_.attach(*sim.world_);
    sim.chronicle_.attach(*sim.world_);
    return made;
}

Simulation::Simulation(std::shared_ptr<const Scenario> scenario, const SimulationOptions& options)
    : scenario_(std::move(scenario)),
      mixtures_(std::make_shared<Mixtures>(options.mixed_together_from)),
      chronicle_(*scenario_),
      invariants_(*scenario_, chronicle_, [this](PlaceIndex p) { return held_model(p); }) {}
Simulation::~Simulation() = default;

bool Simulation::has_disk(PlaceIndex p) const {
    const auto disks = scenario_->world().disks;
    return disks == Disks::all || (disks == Disks::aggregator && p == scenario_->peers());
}

Simulation::DiskPlace& Simulation::disk_of(PlaceIndex p) {
    auto& kept = disks_[p];
    if (!kept) kept = std::make_unique<DiskPlace>();
    return *kept;
}

// As a daemon's start makes it, by the place's own clock.
std::uint64_t Simulation::boot_epoch(PlaceIndex p, WallTime now) {
    using storage::PeerBook;
    if (!has_disk(p)) return epochs_[p] = std::max(epochs_[p] + 1, PeerBook::epoch_of(now));
    const auto epoch = PeerBook::begin_epoch(disk_of(p).disk, "peers.book", now);
    return epoch ? *epoch : PeerBook::epoch_of(now);
}

Result<std::unique_ptr<node::Node>> Simulation::make_node(PlaceIndex p, WallTime now) {
    const auto& s = *scenario_;
    const Role role = s.role(p);
    node::NodeSetup base;
    base.self = {.id = s.id(p), .role = role};
    if (role == Role::aggregator || !world_ || !world_->network().behind_nat(p))
        base.self.addresses = {s.address(p)};
    base.boot_epoch = boot_epoch(p, now);
    base.membership = s.membership();
    base.known = s.known(p);
    if (s.extensions().trainer) {
        GOSSAMER_TRY(trainers_[p], s.learning().trainer(role, role == Role::peer ? p : 0));
        base.sample_count = role == Role::peer ? trainers_[p]->sample_count() : 0;
    } else {
        base.sample_count = s.learning().sample_count(role, p);
    }
    std::optional<job::Restored> restored;
    if (has_disk(p)) {
        auto& kept = disk_of(p);
        GOSSAMER_CHECK(kept.disk.make_folders("run/checkpoints"));
        GOSSAMER_TRY(kept.checkpoints, assembly::Checkpoints::open(
                                           kept.disk, "run/checkpoints", "run/final.safetensors",
                                           s.run().name, storage::checkpoint_config(s.config())));
        std::vector<std::string> damaged;
        if (s.run().resume) {
            GOSSAMER_TRY(restored, kept.checkpoints->restore(s.learning().pool(), damaged));
        }
    }
    return moulds_.at(role).cast(std::move(base), std::move(restored));
}

// Bound to the place here, on the thread that turns it; carried out anywhere.
Compute::Work Simulation::work_for(PlaceIndex p, job::Job any, std::function<void()>& later) {
    const auto& s = *scenario_;
    if (const auto* checkpoint = std::get_if<job::CheckpointJob>(&any))
        if (checkpoint->final_ && checkpoint->model.exists()) finals_[p] = checkpoint->model;
    work::Tools tools;
    tools.codecs = s.learning().codecs();
    tools.pool = s.learning().pool();
    tools.seed = s.run().seed;
    tools.self = s.id(p);
    if (auto it = disks_.find(p); it != disks_.end())
        tools.checkpoint = [kept = it->second.get()](const job::CheckpointJob& j) {
            return kept->checkpoints->write(j);
        };
    if (!trainers_.empty()) tools.trainer = trainers_[p];
    const bool trains = std::holds_alternative<job::TrainJob>(any) ||
                        std::holds_alternative<job::EvaluateJob>(any) ||
                        std::holds_alternative<job::InitialModelJob>(any);
    auto after = invariants_.before(p, any, later);
    if (const auto* initial = std::get_if<job::InitialModelJob>(&any); initial && trainers_.empty())
        return [this, p, out = initial->out] { return share_first_model(p, out); };
    std::shared_ptr<const void> foreseen;
    if (const auto* train = std::get_if<job::TrainJob>(&any); train && s.learning().stacks())
        if (auto trainer = s.learning().trainer(s.role(p), p)) {
            tools.trainer = std::move(*trainer);
            foreseen = work::foresee(tools, *train);
        }
    if (trains && !tools.trainer && !kept_trainers_.empty()) {
        if (auto& mine = kept_trainers_[p]; mine)
            tools.trainer = mine;
        else if (auto made = s.learning().trainer(s.role(p), p))
            tools.trainer = mine = std::move(*made);
    }
    auto kept = std::make_shared<job::Job>(std::move(any));
    return [this, p, trains, kept, after = std::move(after), foreseen = std::move(foreseen),
            tools = std::move(tools)]() mutable -> Result<job::JobDone> {
        const auto& learning = scenario_->learning();
        if (std::holds_alternative<job::TrainJob>(*kept)) GOSSAMER_CHECK(scenario_->fits_memory(p));
        if (trains && !tools.trainer) {
            GOSSAMER_TRY(tools.trainer, learning.trainer(scenario_->role(p), p));
        }
        std::optional<job::MixDone> mixed;
        if (auto* mix = std::get_if<job::MixJob>(kept.get()))
            mixed = mixtures_->promise(*mix, *tools.codecs, tools.pool);
        auto done = mixed ? Result<job::JobDone>(std::move(*mixed))
                          : work::make_perform(std::move(tools))(*kept, [] { return true; });
        if (after) after(*kept, done.has_value());
        kept.reset();
        return done;
    };
}

// The seed alone decides it, so all places that begin with it share one.
Result<job::JobDone> Simulation::share_first_model(PlaceIndex p, const tensor::Model& out) {
    const auto& learning = scenario_->learning();
    std::lock_guard lock(first_model_mutex_);
    if (!first_model_.exists()) {
        GOSSAMER_TRY(auto trainer, learning.trainer(scenario_->role(p), p));
        auto buffer = learning.pool()->take_floats(out.layout()->parameter_count());
        trainer->initialise(buffer.floats(), scenario_->run().seed);
        first_model_ = tensor::Model::of(out.layout(), std::move(buffer));
    }
    out.fill_with(first_model_);
    return job::JobDone(job::InitialModelDone{});
}

// What a device of this speed needs.
Duration Simulation::cost_of(PlaceIndex p, const job::Job& any) const {
    const auto& s = *scenario_;
    const auto& learning = s.learning();
    const double speed = s.samples_per_second(p);
    const double model = static_cast<double>(learning.layout()->byte_count());
    const double samples = static_cast<double>(
        trainers_.empty() ? learning.sample_count(s.role(p), p) : trainers_[p]->sample_count());
    if (const auto* j = std::get_if<job::TrainJob>(&any)) {
        const double count =
            j->steps ? static_cast<double>(j->steps) * std::max<double>(1, learning.batch_size())
                     : j->epochs * samples;
        const double encoding = j->product == job::TrainedAs::encoded ? 2 * model : 0;
        return std::max(of_seconds(count / speed + encoding / kBytesPerSecond), kSmall);
    }
    if (const auto* j = std::get_if<job::EvaluateJob>(&any)) {
        const double count = j->set == job::EvaluationSet::test
                                 ? static_cast<double>(learning.test_count())
                                 : samples;
        return std::max(of_seconds(count / (speed * kEvaluationGain)), kSmall);
    }
    if (std::holds_alternative<job::CheckpointJob>(any))
        return has_disk(p) ? 2 * kSync + of_seconds(model / kDiskBytesPerSecond) : kSmall;
    double vectors = 2;
    if (const auto* j = std::get_if<job::MixJob>(&any))
        vectors += static_cast<double>(j->inputs.size());
    return std::max(of_seconds(vectors * model / kBytesPerSecond), kSmall);
}

void Simulation::disk_fault(PlaceIndex p, const Fault& fault, bool begins) {
    if (!has_disk(p)) return;
    auto& disk = disk_of(p).disk;
    if (fault.kind == FaultKind::disk_full)
        disk.room_bytes = begins ? std::optional<std::uint64_t>(0) : std::nullopt;
    else if (fault.kind == FaultKind::power && begins)
        disk.restart({scenario_->run().seed.value + disk.operation_count()});
    else if (fault.kind == FaultKind::disk_lost && begins)
        disk.wipe();
}

tensor::Model Simulation::held_model(PlaceIndex p) const {
    const tensor::Model* model = &finals_[p];
    if (world_->running(p)) {
        const auto& node = dynamic_cast<const node::RunNode&>(world_->node(p));
        if (const auto* gossip = node.core_as<gossip::Gossip>()) model = &gossip->model();
        if (const auto* engine = node.core_as<federated::RoundEngine>()) model = &engine->model();
    }
    return *model;
}

std::span<const float> Simulation::model(PlaceIndex p) const {
    const auto model = held_model(p);
    return model.exists() && model.filled() ? model.values() : std::span<const float>{};
}

Result<Outcome> Simulation::run(const std::function<bool()>& go_on) {
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    auto looked = began;
    const auto time_max = scenario_->world().time_max;
    const Instant last = World::kBeginning + std::min(time_max, kLongest / 2);
    std::uint64_t next_look = kEventsPerLook;  // a window may be one event, or a hundred thousand
    bool run_dry = false;
    while (end_.empty()) {
        const bool stepped = world_->step(last);
        invariants_.look(world_->now());
        if (!stepped) {
            run_dry = world_->run_dry() && !world_->failed();
            end_ = world_->failed() || run_dry
                       ? "nothing is left to happen"
                       : "the virtual time is up: " + format_duration(time_max);
        } else if (world_->ended() || run_end_->over()) {
            end_ = chronicle_.end_reason();
            if (end_.empty()) end_ = "nobody is left to go on";
        } else if (const auto now = Clock::now();
                   world_->counts().events >= next_look || now - looked > kLookAfter) {
            next_look = world_->counts().events + kEventsPerLook;
            looked = now;
            if (go_on && !go_on()) end_ = "interrupted";
        }
    }
    wall_seconds_ += std::chrono::duration<double>(Clock::now() - began).count();
    if (world_->failed()) return fail(*world_->failed());
    invariants_.at_end(run_dry);
    return outcome();
}

Outcome Simulation::outcome() {
    Outcome o;
    const auto& counts = world_->counts();
    o.end = end_;
    // Whoever could still go on when time was up has not ended; an aggregator speaks for all.
    const bool all_ended = scenario_->federated() || world_->ended() || run_end_->over();
    o.reached = all_ended && chronicle_.reached() && end_ != "interrupted";
    if (const double target = scenario_->run().target_accuracy;
        target > 0 && target > chronicle_.best_accuracy() && end_ != "interrupted") {
        o.reached = false;
        o.end += fmt::format("; the accuracy missed the target of {:.4g}", target);
    }
    if (o.reached && chronicle_.client_updates() == 0 && chronicle_.failure_count() > 0) {
        o.reached = false;
        o.end += "; but nobody could train";
    }
    o.accuracy = chronicle_.accuracy();
    o.loss = chronicle_.loss();
    o.worst_accuracy = std::nan("");
    if (!scenario_->federated())
        for (auto a : chronicle_.accuracy_of_peers())
            if (!(o.worst_accuracy <= a)) o.worst_accuracy = std::isnan(a) ? o.worst_accuracy : a;
    o.rounds = chronicle_.round();
    o.client_updates = chronicle_.client_updates();
    o.events = counts.events;
    o.bytes_sent = counts.sent_bytes;
    o.virtual_seconds = seconds(world_->elapsed());
    o.wall_seconds = wall_seconds_;
    o.peak_rss_bytes = peak_rss_bytes();
    o.trace_hash = world_->trace_hash();
    o.model = chronicle_.model();
    o.broken = invariants_.broken();
    o.failures = chronicle_.failures();
    o.failure_count = chronicle_.failure_count();
    o.consensus = std::nan("");
    if (!scenario_->federated()) {
        const auto count = scenario_->learning().layout()->parameter_count();
        std::vector<double> mean(count), squares(count);
        std::size_t models = 0;
        for (PlaceIndex p = 0; p < scenario_->peers(); ++p) {
            const auto x = model(p);
            if (x.empty()) continue;
            ++models;
            for (std::size_t k = 0; k < count; ++k) {
                mean[k] += x[k];
                squares[k] += double{x[k]} * x[k];
            }
        }
        double sum = 0;
        const auto n = static_cast<double>(models);
        for (std::size_t k = 0; k < count && models; ++k)
            sum += std::max(0.0, squares[k] / n - mean[k] / n * (mean[k] / n));
        if (models) o.consensus = std::sqrt(sum / static_cast<double>(count));
    }
    return o;
}

}  // namespace gossamer::simulation
