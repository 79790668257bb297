#include "cli/demo/demo.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <future>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "cli/demo/baseline.hpp"
#include "cli/demo/story.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::cli::demo {
namespace {

namespace fs = std::filesystem;

// The passes over the data are the same in all four ways. Few local steps between two exchanges
// keep peers with unequal data from drifting apart; a model is 0.8 MB, so that is cheap here.
constexpr std::uint32_t kEpochs = 31, kGossipSteps = 18, kFederatedSteps = 60;
constexpr Duration kModePatience = 60s;

std::string new_folder(const std::string& root) {
    std::error_code error;  // told when the folder is made
    for (int n = 1;; ++n) {
        auto path = fmt::format("{}/demo-{}", root, n);
        if (!fs::exists(path, error)) return path;
    }
}

Result<Row> row_of(const std::string& name, World& world, const Outcome& outcome,
                   Baseline& baseline) {
    Row row;
    row.name = name;
    row.wall_seconds = seconds(outcome.wall);
    row.sent_bytes_per_peer = outcome.sent_bytes_per_peer;
    row.accuracy_worst = 1;
    unsigned count = 0;
    for (const auto& daemon : world.daemons) {
        // All clients of an aggregator end with its model.
        if (world.aggregator() && &daemon != world.aggregator()) continue;
        auto model = final_model(daemon);
        if (model.empty()) continue;  // the story told why
        GOSSAMER_TRY(auto accuracy, baseline.accuracy_of(model));
        row.accuracy_mean += accuracy, ++count;
        row.accuracy_worst = std::min(row.accuracy_worst, accuracy);
    }
    if (count)
        row.accuracy_mean /= count;
    else  // told as "-", and as null
        row.accuracy_mean = row.accuracy_worst = std::numeric_limits<double>::quiet_NaN();
    return row;
}

WorldPlan world_plan(const Plan& plan, const std::string& mode) {
    bool gossip = mode == "gossip";
    WorldPlan w{.folder = plan.folder + "/" + mode,
                .programs = plan.programs,
                .mode = mode,
                .peer_count = plan.peer_count};
    w.options = {
        {"run.seed", std::to_string(plan.seed)},
        {"run.rounds", std::to_string(gossip ? plan.gossip_steps : plan.federated_rounds)},
        {"model.name", toml_text("mlp-200-200")},
        {"training.learning_rate", fmt::format("{:.3f}", plan.learning_rate)},
        {"training.schedule", toml_text("cosine")},
        {"training.schedule_factor", fmt::format("{:.3f}", plan.final_factor)},
        {"training.schedule_length", std::to_string(plan.batches(60000 / plan.peer_count))},
        {"training.batch_size", std::to_string(plan.batch_size)},
        {"data.partition", toml_text("dirichlet")},
        {"data.alpha", fmt::format("{:.3f}", plan.alpha)},
    };
    if (gossip) {
        w.options["topology.graph"] = toml_text("one-peer-exponential");
        w.options["gossip.local_steps"] = std::to_string(kGossipSteps);
        w.options["gossip.evaluate_every"] = "60";
    } else {
        w.options["federated.local_steps"] = std::to_string(kFederatedSteps);
        w.options["federated.evaluate_every"] = "10";
    }
    return w;
}

void write_summary(const std::string& path, const std::vector<Row>& rows,
                   const nlohmann::json& modes) {
    nlohmann::json all{{"schema_version", 1}, {"modes", modes}, {"table", nlohmann::json::array()}};
    for (const auto& row : rows)
        all["table"].push_back({{"name", row.name},
                                {"accuracy_mean", row.accuracy_mean},
                                {"accuracy_worst_peer", row.accuracy_worst},
                                {"sent_bytes_per_peer", row.sent_bytes_per_peer},
                                {"wall_seconds", row.wall_seconds}});
    std::ofstream(path) << all.dump(2) << "\n";
}

nlohmann::json facts_of(const Outcome& outcome) {
    auto optional = [](const std::optional<Duration>& d) {
        return d ? nlohmann::json(seconds(*d)) : nlohmann::json(nullptr);
    };
    return {{"complete", outcome.complete},
            {"wall_seconds", seconds(outcome.wall)},
            {"first_accuracy_seconds", optional(outcome.first_accuracy)},
            {"longest_pause_seconds", seconds(outcome.longest_pause)},
            {"noticed_after_seconds", optional(outcome.noticed_after)},
            {"caught_up_after_seconds", optional(outcome.caught_up_after)}};
}

}  // namespace

Result<int> run_demo(const DemoOptions& options) {
    Plan plan;
    plan.folder = new_folder(options.folder);
    plan.programs = options.programs;
    plan.peer_count = options.peer_count;
    plan.seed = options.seed;
    plan.epochs = kEpochs;
    // A pass is 60,000 samples in batches of 32, shared by all peers.
    plan.gossip_steps = plan.batches(60000) / (plan.peer_count * kGossipSteps);
    plan.federated_rounds = plan.batches(60000) / (plan.peer_count * kFederatedSteps);
    GOSSAMER_TRY(auto baseline, Baseline::create(plan));
    GOSSAMER_CHECK(storage::RealDisk().make_folders(plan.folder));
    Screen screen(options.json);
    screen.say(fmt::format("{} peers with parts of Fashion-MNIST (Dirichlet {}), results in {}\n",
                           plan.peer_count, plan.alpha, plan.folder));

    std::vector<Row> rows;
    nlohmann::json modes;
    bool all_well = true;
    // The two that need no network share the two cores.
    screen.say("first, what it is compared with: each peer alone, and all data in one place");
    auto other = std::async(std::launch::async, [&] { return baseline->central(); });
    auto local = baseline->local_only();
    auto central = other.get();
    if (!local) return fail(local.error());
    if (!central) return fail(central.error());
    rows.push_back(*local);
    for (std::string mode : {"gossip", "federated"}) {
        GOSSAMER_TRY(auto world, World::create(world_plan(plan, mode)));
        GOSSAMER_TRY(auto outcome, tell_story(world, screen, kModePatience));
        modes[mode] = facts_of(outcome);
        all_well = all_well && outcome.complete && outcome.noticed_after && outcome.caught_up_after;
        GOSSAMER_TRY(auto row, row_of(mode == "gossip" ? "gossip" : "federated (FedAvg)", world,
                                      outcome, *baseline));
        rows.push_back(row);
    }
    rows.push_back(*central);

    auto summary = plan.folder + "/summary.json";
    write_summary(summary, rows, modes);
    if (options.json)
        fmt::print("{}\n", nlohmann::json::parse(std::ifstream(summary)).dump());
    else
        screen.say(table(rows) +
                   fmt::format("\nThe same table: {}; each daemon's run lies beside it.", summary));
    return all_well ? 0 : 5;
}

}  // namespace gossamer::cli::demo
