// Members and disks that fail during a run: what is wrong is refused or reported, by name, and the
// others go on.
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include <doctest/doctest.h>

#include "fleet.hpp"
#include "records/storage/checkpoint.hpp"
#include "records/storage/run_folder.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

namespace {

namespace fs = std::filesystem;

void start_all(cli::World& world) {
    for (auto& daemon : world.daemons) REQUIRE(world.start(daemon));
}

std::size_t count_of(std::string_view text, std::string_view what) {
    std::size_t count = 0;
    for (auto at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
    return count;
}

// A line of the log with this code, what it is about, and a hint behind "; ".
bool has_logged(const cli::Daemon& daemon, ErrorCode code, std::string_view what = {}) {
    std::ifstream log(daemon.log);
    const std::string id(describe(code).id);
    for (std::string line; std::getline(log, line);)
        if (line.find(id + ": ") != line.npos && line.find("; ") != line.npos &&
            line.find(what) != line.npos)
            return true;
    return false;
}

storage::LoadedModel model_in(const std::string& path) {
    storage::RealDisk disk;
    auto model = storage::load_model(disk, path, tensor::BufferPool::create(0));
    REQUIRE_MESSAGE(model, path, ": ", (model ? "" : model.error().to_string()));
    return std::move(*model);
}

bool all_finite(const std::string& path) {
    auto model = model_in(path);
    return std::ranges::all_of(std::as_const(model.values).floats(),
                               [](float w) { return std::isfinite(w); });
}

}  // namespace

// ---- members that do not belong to the run ------------------------------------------------------

TEST_CASE("peers with another model, seed or settings are refused by name, once, and kept out") {
    auto world = make_world("misfits", "gossip", 5,
                            {{"run.peers", "2"},
                             {"run.rounds", "1000000"},
                             {"gossip.evaluate_every", "1000"},
                             {"topology.graph", "\"complete\""}});
    auto &first = world.daemons[0], &second = world.daemons[1];
    auto &model = world.daemons[2], &seed = world.daemons[3], &codec = world.daemons[4];
    model.options["model.name"] = "\"mlp-200-200\"";
    seed.options["run.seed"] = "8";
    codec.options["gossip.codec"] = "\"f16\"";
    REQUIRE(world.start(first));
    REQUIRE(world.start(second));
    REQUIRE_MESSAGE(eventually(world, 30s, [&] { return first.report.round >= 3; }), log_of(first));
    for (auto* misfit : {&model, &seed, &codec}) REQUIRE(world.start(*misfit));
    for (auto* good : {&first, &second}) {
        CHECK_MESSAGE(
            eventually(
                world, 20s,
                [&] {
                    return has_logged(*good, ErrorCode::kModelLayout, model.id.short_string()) &&
                           has_logged(*good, ErrorCode::kConfigConflict, seed.id.short_string()) &&
                           has_logged(*good, ErrorCode::kConfigConflict, codec.id.short_string()) &&
                           has_logged(model, ErrorCode::kModelLayout, good->id.short_string()) &&
                           has_logged(seed, ErrorCode::kConfigConflict, "seed");
                }),
            log_of(*good));
        // Which tensors: one the misfit alone has.
        CHECK(has_logged(*good, ErrorCode::kModelLayout, "20x200"));
        CHECK(has_logged(*good, ErrorCode::kConfigConflict, "seed = 7"));
    }
    // Refused for good: nobody dials on and on. (A dial that crossed the other side's may still
    // come through, once for each misfit.)
    const auto links = [&] { return count_of(text_of(first.log), "link up"); };
    const auto before = links();
    const auto round = first.report.round, other = second.report.round;
    CHECK_FALSE(eventually(world, 2s, [&] { return links() > before + 3; }));
    CHECK(first.report.round > round);
    CHECK(second.report.round > other);
    for (auto* misfit : {&model, &seed, &codec}) {
        CHECK(misfit->process.running());  // it waits for others that suit it
        CHECK(misfit->report.round == 0);
    }
    world.stop_all();
}

TEST_CASE(
    "federated: a client with another model is refused by name, and the round is the others'") {
    auto world = make_world("misfit-client", "federated", 3,
                            {{"run.peers", "2"}, {"run.rounds", "1000000"}});
    auto &aggregator = world.daemons[0], &misfit = world.daemons[3];
    misfit.options["model.name"] = "\"mlp-200-200\"";
    start_all(world);
    CHECK_MESSAGE(eventually(world, 30s,
                             [&] {
                                 return aggregator.report.round >= 3 &&
                                        has_logged(aggregator, ErrorCode::kModelLayout,
                                                   misfit.id.short_string()) &&
                                        has_logged(misfit, ErrorCode::kModelLayout,
                                                   aggregator.id.short_string());
                             }),
                  log_of(aggregator), log_of(misfit));
    CHECK(has_logged(aggregator, ErrorCode::kModelLayout, "20x200"));
    const auto links = [&] { return count_of(text_of(misfit.log), "link up"); };
    const auto before = links();
    CHECK_FALSE(eventually(world, 1s, [&] { return links() > before + 1; }));
    CHECK(misfit.report.round == 0);
    world.stop_all();
}

// ---- weights that are no numbers ----------------------------------------------------------------

namespace {

cli::World diverging_world(const std::string& name, const std::string& mode, cli::Options options) {
    cli::WorldPlan plan;
    plan.folder = fresh_folder(name);
    plan.programs = GOSSAMER_BUILD_FOLDER;
    plan.peer_program = GOSSAMER_BUILD_FOLDER "/tests/system/diverging_peer";
    plan.aggregator_program = GOSSAMER_BUILD_FOLDER "/tests/system/diverging_aggregator";
    plan.mode = mode;
    plan.peer_count = 3;
    plan.options = std::move(options);
    auto world = cli::World::create(plan);
    REQUIRE_MESSAGE(world, (world ? "" : world.error().to_string()));
    world->daemons.back().options["fault.round"] = "5";
    return std::move(*world);
}

}  // namespace

TEST_CASE("gossip: NaN weights of a neighbour are refused by name and mixed by nobody") {
    auto world = diverging_world("nan-gossip", "gossip",
                                 {{"run.rounds", "30"},
                                  {"topology.graph", "\"complete\""},
                                  {"gossip.codec", "\"careless\""},
                                  {"fault.sends", "true"}});
    auto& diverging = world.daemons.back();
    start_all(world);
    CHECK(eventually(world, 60s, [&] {
        return !world.daemons[0].process.running() && !world.daemons[1].process.running();
    }));
    for (auto* good : {&world.daemons[0], &world.daemons[1]}) {
        CHECK_MESSAGE(good->process.exit_code() == 0, log_of(*good));
        CHECK_MESSAGE(has_logged(*good, ErrorCode::kUpdateNotFinite, diverging.id.short_string()),
                      log_of(*good));
        CHECK(all_finite(cli::final_model(*good)));
    }
    world.stop_all();
}

TEST_CASE(
    "gossip: a peer whose own training gives NaN says so once, and mixes its last good model") {
    auto world = diverging_world("nan-own", "gossip",
                                 {{"run.rounds", "12"}, {"topology.graph", "\"complete\""}});
    auto& diverging = world.daemons.back();
    start_all(world);
    CHECK(all_end_well(world, 60s));
    const auto log = log_of(diverging);
    CHECK_MESSAGE(has_logged(diverging, ErrorCode::kModelNotFinite, diverging.id.short_string()),
                  log);
    CHECK(count_of(log, "level=warning event=warning") == 1);
    for (auto& daemon : world.daemons) {
        CHECK_FALSE(has_logged(daemon, ErrorCode::kUpdateNotFinite));
        CHECK(all_finite(cli::final_model(daemon)));
    }
}

TEST_CASE("federated: a client whose training gives NaN keeps it to itself and says so") {
    auto world = diverging_world("nan-client", "federated", {{"run.rounds", "12"}});
    auto& diverging = world.daemons.back();
    start_all(world);
    CHECK(all_end_well(world, 60s));
    CHECK(has_logged(diverging, ErrorCode::kModelNotFinite));
    CHECK_MESSAGE(
        has_logged(*world.aggregator(), ErrorCode::kModelNotFinite, diverging.id.short_string()),
        log_of(*world.aggregator()));
    CHECK(all_finite(cli::final_model(*world.aggregator())));
}

TEST_CASE("federated: an update with NaN is refused by name, and the model is as without it") {
    auto world = diverging_world(
        "nan-update", "federated",
        {{"run.rounds", "12"}, {"federated.codec", "\"careless\""}, {"fault.sends", "true"}});
    auto& diverging = world.daemons.back();
    start_all(world);
    CHECK(all_end_well(world, 60s));
    CHECK_MESSAGE(
        has_logged(*world.aggregator(), ErrorCode::kUpdateNotFinite, diverging.id.short_string()),
        log_of(*world.aggregator()));
    // All clients do the same, so the mean of two is the mean of three.
    auto model = model_in(cli::final_model(*world.aggregator()));
    const auto expected = 1 - std::pow(0.9, 12);
    for (float w : std::as_const(model.values).floats()) CHECK(w == doctest::Approx(expected));
}

// ---- disks that cannot be written ---------------------------------------------------------------

TEST_CASE("run folders that cannot be made cost the records, not the run") {
    auto world = make_world("no-folder", "federated", 2, {{"run.rounds", "5"}});
    for (auto* daemon : {&world.daemons[0], &world.daemons[1]}) {
        std::ofstream(daemon->folder + "/file") << "a file, no folder\n";
        daemon->options["run.folder"] = cli::toml_text(daemon->folder + "/file/runs");
    }
    start_all(world);
    CHECK(all_end_well(world, 60s));
    for (auto* daemon : {&world.daemons[0], &world.daemons[1]})
        CHECK_MESSAGE(has_logged(*daemon, ErrorCode::kRecordsLost), log_of(*daemon));
    CHECK(all_finite(cli::final_model(world.daemons[2])));  // the one that had a folder
}

namespace {

// Mounts of this process and its children become theirs alone; false where that is not permitted.
bool set_apart() {
    if (::unshare(CLONE_NEWNS) == 0) return true;
    const auto user = std::to_string(::getuid()), group = std::to_string(::getgid());
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    std::ofstream("/proc/self/setgroups") << "deny";
    std::ofstream("/proc/self/gid_map") << group + " " + group + " 1";
    std::ofstream("/proc/self/uid_map") << user + " " + user + " 1";
    return ::getuid() == std::stoul(user);
}

bool mount_small_disk(const std::string& folder) {  // one MiB
    fs::create_directories(folder);
    static const bool apart = set_apart();
    return apart && ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
           ::mount("small", folder.c_str(), "tmpfs", 0, "size=1m") == 0;
}

void fill_disk(const std::string& file) {
    std::ofstream out(file, std::ios::binary);
    const std::string block(4096, 'x');
    while (out.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
}

void check_survives_full_disk(cli::World& world, cli::Daemon& daemon) {
    const auto runs = daemon.folder + "/runs";
    if (!mount_small_disk(runs)) {
        MESSAGE("SKIPPED: no disk may be mounted here");
        return;
    }
    start_all(world);
    REQUIRE_MESSAGE(eventually(world, 30s, [&] { return daemon.report.round >= 4; }),
                    log_of(daemon));
    fill_disk(runs + "/ballast");
    const auto full_at = daemon.report.round;
    CHECK_MESSAGE(eventually(world, 20s,
                             [&] {
                                 return daemon.report.round > full_at + 20 &&
                                        has_logged(daemon, ErrorCode::kRecordsLost);
                             }),
                  log_of(daemon));
    CHECK(count_of(text_of(daemon.log), "DSK-07: ") == 1);  // told once, not each round

    // What a crash now would leave: the last good checkpoint, whole.
    daemon.process.signal(SIGKILL);
    REQUIRE(daemon.process.wait(5s));
    storage::RealDisk disk;
    auto folder = storage::RunFolder::newest(disk, runs, "demo");
    REQUIRE(folder);
    auto store = storage::CheckpointStore::open(disk, folder->checkpoints());
    REQUIRE_MESSAGE(store, (store ? "" : store.error().to_string()));
    auto latest = store->latest(tensor::BufferPool::create(0));
    REQUIRE(latest);
    REQUIRE(latest->checkpoint);
    CHECK(latest->checkpoint->round >= 1);

    // On the full disk it begins again from there, and with room it keeps records again.
    REQUIRE(world.start(daemon));
    daemon.report = {};
    CHECK_MESSAGE(eventually(world, 30s, [&] { return daemon.report.round > full_at; }),
                  log_of(daemon));
    CHECK(text_of(daemon.log).find("going on from the checkpoint") != std::string::npos);
    world.stop_all();
    CHECK(daemon.process.exit_code() == 0);
    (void)::umount2(runs.c_str(), MNT_DETACH);
}

}  // namespace

TEST_CASE("federated: the aggregator's disk fills up, and the run goes on") {
    auto world = make_world("full-aggregator", "federated", 2, {{"run.rounds", "1000000"}});
    check_survives_full_disk(world, world.daemons.front());
}

TEST_CASE("gossip: a peer's disk fills up, and the run goes on") {
    auto world = make_world("full-peer", "gossip", 2,
                            {{"run.rounds", "1000000"},
                             {"topology.graph", "\"ring\""},
                             {"gossip.checkpoint_every", "2"}});
    check_survives_full_disk(world, world.daemons.front());
}
