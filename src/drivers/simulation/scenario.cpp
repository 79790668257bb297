#include "drivers/simulation/scenario.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include <fmt/format.h>

#include "connection/link/limits.hpp"
#include "drivers/assembly/member.hpp"
#include "drivers/simulation/durations.hpp"
#include "gossamer/federated/config.hpp"
#include "gossamer/model/plan.hpp"
#include "gossamer/training/options.hpp"
#include "records/storage/checkpoint.hpp"

namespace gossamer::simulation {

Result<config::Config> Scenario::resolve(const std::string& name, std::string text,
                                         std::vector<std::string> sets,
                                         const Extensions& extensions) {
    GOSSAMER_TRY(auto schema, assembly::schema_for(Role::peer, extensions, simulation_options()));
    config::Layers layers{.file_name = name, .file_text = std::move(text)};
    layers.sets = std::move(sets);
    GOSSAMER_TRY(auto config, config::Config::resolve(std::move(schema), layers));
    if (!config.is_set("run.name")) {
        auto stem = name.substr(name.rfind('/') + 1);
        GOSSAMER_CHECK(config.set("run.name", stem.substr(0, stem.find('.')), "scenario"));
    }
    return config;
}

Result<std::shared_ptr<const Scenario>> Scenario::load(std::string name, std::string text,
                                                       std::vector<std::string> sets,
                                                       const Extensions& extensions) {
    auto scenario = std::shared_ptr<Scenario>(new Scenario(extensions));
    auto& s = *scenario;
    s.name_ = std::move(name);
    GOSSAMER_TRY(s.config_, resolve(s.name_, std::move(text), std::move(sets), s.extensions_));
    if (auto status = s.set_up(); !status)
        return fail(s.config_->located(std::move(status).error()));
    return std::shared_ptr<const Scenario>(std::move(scenario));
}

Status Scenario::set_up() {
    auto& s = *this;
    GOSSAMER_TRY(s.world_, world_config(*s.config_));
    GOSSAMER_TRY(s.run_, job::run_config(*s.config_));
    GOSSAMER_TRY(auto membership, membership::membership_config(*s.config_));
    s.peers_ = static_cast<std::uint32_t>(s.world_.peers ? s.world_.peers : s.run_.peers);
    if (s.run_.peers > s.peers_)
        return fail(
            ErrorCode::kConfigConflict,
            fmt::format("run.peers is {}, but the world holds {} peers", s.run_.peers, s.peers_),
            "lower run.peers, or raise simulation.peers");
    if (!s.world_.ids.empty() && s.world_.ids.size() != s.places())
        return fail(ErrorCode::kConfigConflict,
                    fmt::format("simulation.ids lists {} ids for {} places", s.world_.ids.size(),
                                s.places()),
                    "list one for each peer, then the aggregator's");
    auto sorted = s.world_.ids;
    std::ranges::sort(sorted);
    if (const auto twice = std::ranges::adjacent_find(sorted); twice != sorted.end())
        return fail(ErrorCode::kConfigConflict,
                    "simulation.ids lists " + twice->short_string() + " twice",
                    "each place has an id of its own");
    s.directory_ = Directory(s.peers_, s.federated(), s.world_.ids);
    s.introduce(std::move(membership));
    using MadeTrainer = Result<std::shared_ptr<training::Trainer>>;
    if (s.world_.compute == ComputeMode::cost) {
        auto made = cost_trainer(vector_layout(s.world_.cost_parameters), s.world_.cost_samples);
        s.extensions_.trainer = [made](const OptionSource&) -> MadeTrainer { return made; };
    } else if (s.world_.compute == ComputeMode::quadratic) {
        s.quadratic_ = std::make_shared<Quadratic>(s.world_.quadratic, s.run_.seed);
        s.extensions_.trainer = [quadratic = s.quadratic_.get(), config = s.world_.quadratic](
                                    const OptionSource& options) -> MadeTrainer {
            const auto part =
                static_cast<std::uint64_t>(std::max<std::int64_t>(options.integer("data.part"), 0));
            return quadratic->trainer(part, config.rate, config.steps);
        };
    }
    auto learning = assembly::LearningStock::create(*s.config_, s.run_, s.extensions_, s.peers_);
    if (!learning) {
        auto error = std::move(learning).error();
        if (error.code == ErrorCode::kDataPartition) error.what = "run.peers: " + error.what;
        return fail(std::move(error));
    }
    s.learning_ = std::move(*learning);
    if (!s.federated()) {
        GOSSAMER_CHECK(s.draw_graph());
    }
    GOSSAMER_CHECK(s.read_faults());
    s.draw_devices();
    return s.check_possible();
}

Status Scenario::draw_graph() {
    const auto config = topology::topology_config(*config_);
    GOSSAMER_TRY(auto graph, config::of_key("topology.graph",
                                            topology::make_graph(config.graph, peers_, run_.seed)));
    if (!topology::is_connected(graph))
        return fail(ErrorCode::kTopologyDisconnected,
                    fmt::format("topology.graph: the graph of the {} peers is in several parts: it "
                                "is not connected",
                                peers_));
    schedule_ = std::make_shared<const topology::Schedule>(graph, config.weights);
    std::vector<PeerId> ids;
    for (std::uint32_t i = 0; i < peers_; ++i) ids.push_back(id(i));
    roster_ = std::make_shared<const topology::Roster>(topology::Roster::of(1, ids));
    index_of_.resize(peers_);
    for (std::uint32_t i = 0; i < peers_; ++i) index_of_[*roster_->place_of(ids[i])] = i;
    return {};
}

std::vector<message::MemberRecord> Scenario::known(std::uint32_t place) const {
    std::vector<message::MemberRecord> known;
    if (federated() || !local_view()) return known;
    for (auto other : schedule_->all_neighbours(*roster_->place_of(id(place)))) {
        const auto index = index_of_[other];
        known.push_back({.id = id(index), .addresses = {address(index)}});
    }
    return known;
}

Status Scenario::read_faults() {
    for (const auto& text : world_.faults) {
        GOSSAMER_TRY(auto fault, parse_fault(text, peers_, federated(), run_.seed));
        faults_.push_back(std::move(fault));
    }
    return world_.devices.availability == Availability::trace ? read_trace() : Status{};
}

// "index from until" in seconds: the times a device is there; before and between it is dark.
Status Scenario::read_trace() {
    const auto& path = world_.devices.trace_file;
    std::ifstream file(path);
    if (!file)
        return fail(ErrorCode::kDataMissing, "simulation.trace: " + path + " cannot be read",
                    "name a file with a line for each time a device is there: index, from, until");
    std::vector<std::vector<std::pair<double, double>>> there(peers_);
    std::size_t number = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        if (auto comment = line.find('#'); comment != line.npos) line.resize(comment);
        std::ranges::replace(line, ',', ' ');
        std::istringstream in(line);
        std::uint64_t peer = 0;
        double from = 0, until = 0;
        if (!(in >> std::ws) || in.eof()) continue;
        const bool whole = in >> peer >> from >> until && (in >> std::ws).eof();
        if (!whole || peer >= peers_ || !(from >= 0 && until > from))
            return fail(ErrorCode::kDataFormat,
                        fmt::format("{}:{}: not \"index from until\" of one of {} peers", path,
                                    number, peers_),
                        {});
        there[peer].emplace_back(from, until);
    }
    const auto away = [&](std::uint32_t peer, double from, double until) {
        if (until <= from) return;
        Fault fault{.at = of_seconds(from), .kind = FaultKind::power, .who = {peer}};
        fault.lasting = of_seconds(until - from);
        fault.text = "away by " + path;
        faults_.push_back(std::move(fault));
    };
    for (std::uint32_t peer = 0; peer < peers_; ++peer) {
        std::ranges::sort(there[peer]);
        double at = 0;
        for (auto [from, until] : there[peer]) {
            away(peer, at, from);
            at = std::max(at, until);
        }
        away(peer, at, seconds(world_.time_max) + 1);
    }
    return {};
}

void Scenario::draw_devices() {
    const auto& d = world_.devices;
    std::vector<std::uint32_t> order(peers_);
    for (std::uint32_t i = 0; i < peers_; ++i) order[i] = i;
    stream(run_.seed, Purpose::scenario, 1).shuffle(std::span(order));
    speeds_.assign(places(), d.samples_per_second);
    for (std::uint32_t i = 0; i < peers_; ++i) {
        auto draws = stream(run_.seed, Purpose::scenario, 1'000'000, i);
        speeds_[i] *= portable_exp(d.speed_spread * draws.normal());
    }
    const auto slow = static_cast<std::size_t>(d.slow_part * peers_ + 0.5);
    for (std::size_t i = 0; i < slow; ++i) speeds_[order[i]] /= d.slow_factor;
    if (federated()) speeds_[peers_] = d.server_samples_per_second;
}

std::uint64_t Scenario::memory_estimate() const {
    const std::uint64_t model = learning_->layout()->byte_count();
    // Gossip: each peer's model, and while it mixes a second one of those that mix at once. Else:
    // those of a round that train or were trained, and what the aggregator holds.
    const std::uint64_t trained = federated() ? cohort_most() : peers_;
    const std::uint64_t models = trained + (federated() ? 8 : 0);
    return (models + trained * optimiser_copies() + residuals() + kept_models()) * model +
           std::uint64_t{peers_} * 16 * 1024;
}

// Vectors as long as the model that an optimiser keeps from step to step.
std::uint64_t Scenario::optimiser_copies() const {
    const auto training = training::training_config(*config_);
    if (!training || world_.compute == ComputeMode::cost) return 0;
    if (training->optimiser.kind != training::OptimiserKind::sgd) return 2;
    return training->optimiser.momentum != 0 ? 1 : 0;
}

// A step, what it begins with and what it makes.
std::uint64_t Scenario::training_bytes() const {
    const auto* plans = learning_->plans();
    if (!plans) return 0;
    return model::Plan::bytes(plans->network(), plans->batch_size(), true) +
           (2 + optimiser_copies()) * learning_->layout()->byte_count();
}

Status Scenario::fits_memory(std::uint32_t peer) const {
    const auto& d = world_.devices;
    if (d.memory == 0 || world_.compute != ComputeMode::real) return {};
    auto draws = stream(run_.seed, Purpose::scenario, 2'000'000, peer);
    const double memory = d.memory * portable_exp(d.memory_spread * draws.normal());
    const auto needed = training_bytes();
    if (static_cast<double>(needed) <= memory) return {};
    return fail(ErrorCode::kTrainingFailed,
                fmt::format("a step of training takes {}, this device has {}",
                            format_bytes(static_cast<std::int64_t>(needed)),
                            format_bytes(static_cast<std::int64_t>(memory))),
                "lower training.batch_size or the size of the model, or raise simulation.memory");
}

// What lossy codecs leave unsent, of whoever has trained once.
std::uint64_t Scenario::residuals() const {
    if (!federated() || world_.compute == ComputeMode::cost) return 0;
    const auto codec = learning_->codecs()->find(federated::federated_config(*config_).codec);
    return codec && (*codec)->traits().error_feedback ? peers_ : 0;
}

// Invited to a round, as strategies usually do.
std::uint64_t Scenario::cohort_most() const {
    const auto c = federated::federated_config(*config_);
    const double wanted =
        std::max(std::ceil(c.fraction * peers_), static_cast<double>(c.clients_min));
    const double invited = std::ceil(c.over_provision * wanted);
    return invited >= peers_ ? peers_ : static_cast<std::uint64_t>(std::max(invited, 1.0));
}

// Models on disks in memory, each as it was written and as it was synced.
std::uint64_t Scenario::kept_models() const {
    if (world_.disks == Disks::none) return 0;
    const auto config = storage::checkpoint_config(*config_);
    const std::uint64_t checkpoints = config.keep_last + config.keep_best, final_model = 1;
    if (federated())
        return 2 * (checkpoints + final_model) +
               (world_.disks == Disks::all ? 2 * final_model * peers_ : 0);
    if (world_.disks != Disks::all) return 0;
    const auto every = static_cast<std::uint64_t>(config_->integer("gossip.checkpoint_every"));
    const auto written = every == 0 ? 0 : run_.rounds == 0 ? checkpoints : run_.rounds / every;
    return 2 * (std::min(written, checkpoints) + final_model) * peers_;
}

Status Scenario::check_possible() const {
    const auto memory = assembly::memory_of_machine();
    if (memory_estimate() > memory)
        return fail(
            ErrorCode::kConfigRange,
            fmt::format("run.peers: {} peers with {} parameters need about {}, this machine has {}",
                        peers_, learning_->layout()->parameter_count(),
                        format_bytes(static_cast<std::int64_t>(memory_estimate())),
                        format_bytes(static_cast<std::int64_t>(memory))),
            "lower the number of peers or the size of the model");
    for (std::uint32_t p = 0; p < peers_; ++p)
        if (fits_memory(p)) return {};
    auto none = fits_memory(0).error();
    return fail(ErrorCode::kConfigRange, "simulation.memory: no device can train: " + none.what,
                none.hint);
}

// In a small gossip run one living seed of three is enough to meet everybody; in a large one a
// place's neighbours are in its peer book.
void Scenario::introduce(membership::MembershipConfig config) {
    config.local_view = peers_ >= config.mesh_max;
    config.seeds.clear();
    if (federated()) config.seeds = {{address(peers_), id(peers_)}};
    for (std::uint32_t seed = 0; seed < std::min(peers_, 3u); ++seed)
        if (!federated() && !config.local_view) config.seeds.push_back({address(seed), {}});
    membership_ = std::make_shared<const membership::MembershipConfig>(std::move(config));
}

}  // namespace gossamer::simulation
