#include "cli/world.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "drivers/runtime/control.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::cli {
namespace {

namespace fs = std::filesystem;

std::string slurp(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

double number(const nlohmann::json& value) {
    return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

std::string temporary_folder() {
    std::error_code error;
    const auto folder = fs::temp_directory_path(error);
    return error ? "/tmp" : folder.string();
}

}  // namespace

Result<std::string> run_command(const std::vector<std::string>& arguments) {
    const auto output = fmt::format("{}/gossamer-demo-{}", temporary_folder(), ::getpid());
    std::error_code ignored;
    fs::remove(output, ignored);
    GOSSAMER_TRY(auto process, Process::start({arguments, output, {}}));
    auto code = process.wait(30s);
    auto text = slurp(output);
    fs::remove(output, ignored);
    if (code == 0) return text;
    return fail(ErrorCode::kInternal,
                fmt::format("{} failed: {}", fmt::join(arguments, " "), text));
}

std::vector<unsigned> free_ports(std::size_t count) {
    std::vector<unsigned> ports;
    std::vector<int> sockets;
    for (std::size_t i = 0; i < count; ++i) {
        int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
        ports.push_back(ntohs(address.sin_port));
        sockets.push_back(fd);
    }
    for (int fd : sockets) ::close(fd);
    return ports;
}

std::string toml_text(std::string_view text) { return nlohmann::json(text).dump(); }

std::string program_in(const std::string& programs, const std::string& path) {
    auto built = programs + "/" + path;
    std::error_code ignored;
    return fs::exists(built, ignored) ? built : programs + "/bin" + path.substr(path.rfind('/'));
}

Result<PeerId> make_identity(const std::string& programs, const std::string& federation,
                             const std::string& identity, const std::string& role) {
    auto command = program_in(programs, "cli/gossamer");
    GOSSAMER_TRY(auto made,
                 run_command({command, "identity", "create", identity, "--format", "json"}));
    GOSSAMER_CHECK(run_command({command, "identity", "sign", identity + "/request.pem",
                                "--federation", federation, "--role", role}));
    auto json = nlohmann::json::parse(made, nullptr, false);
    auto id = PeerId::parse(json.is_object() ? json.value("peer_id", "") : "");
    if (!id) return fail(ErrorCode::kInternal, "identity create answered: " + made);
    return *id;
}

Result<World> World::create(const WorldPlan& plan) {
    World world;
    world.mode = plan.mode;
    world.folder = plan.folder;
    world.programs = plan.programs;
    GOSSAMER_CHECK(storage::RealDisk().make_folders(world.folder));
    bool federated = plan.mode == "federated";
    GOSSAMER_CHECK(run_command({program_in(plan.programs, "cli/gossamer"), "federation", "create",
                                world.folder + "/federation", "--name", "demo"}));
    auto count = plan.peer_count + (federated ? 1 : 0);
    world.ports_ = free_ports(count);
    for (unsigned i = 0; i < count; ++i) {
        bool aggregator = federated && i == 0;
        Daemon daemon;
        daemon.name = aggregator ? "aggregator" : fmt::format("peer{}", i - (federated ? 1 : 0));
        daemon.folder = world.folder + "/" + daemon.name;
        daemon.program = aggregator ? plan.aggregator_program : plan.peer_program;
        if (daemon.program.empty())
            daemon.program = program_in(plan.programs, aggregator ? "aggregator/gossamer-aggregator"
                                                                  : "peers/gossamer-peer");
        daemon.config = daemon.folder + "/config.toml";
        // Short: a Unix socket's path has at most 107 bytes.
        static unsigned number = 0;
        daemon.socket = fmt::format("{}/gossamer-{}-{}", temporary_folder(), ::getpid(), number++);
        daemon.log = daemon.folder + "/log";
        GOSSAMER_TRY(daemon.id, make_identity(plan.programs, world.folder + "/federation",
                                              daemon.folder + "/identity",
                                              aggregator ? "aggregator" : "peer"));
        world.set_options(plan, daemon, i);
        world.daemons.push_back(std::move(daemon));
    }
    return world;
}

void World::set_options(const WorldPlan& plan, Daemon& daemon, unsigned place) {
    bool federated = plan.mode == "federated", aggregator = federated && place == 0;
    auto& o = daemon.options;
    o["run.name"] = toml_text("demo");
    o["run.mode"] = toml_text(plan.mode);
    o["run.peers"] = std::to_string(plan.peer_count);
    o["run.folder"] = toml_text(daemon.folder + "/runs");
    o["identity.folder"] = toml_text(daemon.folder + "/identity");
    o["control.socket"] = toml_text(daemon.socket);
    o["membership.profile"] = toml_text("local");
    o["work.threads"] = "1";
    // Clients of an aggregator only dial out.
    o["listen.address"] = toml_text(
        !federated || aggregator ? fmt::format("127.0.0.1:{}", ports_[place]) : std::string());
    if (!aggregator) {
        std::vector<std::string> seeds;  // the aggregator, or the first two peers
        for (unsigned i = 0; i < (federated ? 1u : std::min(2u, plan.peer_count)); ++i)
            if (i != place) seeds.push_back(toml_text(fmt::format("127.0.0.1:{}", ports_[i])));
        o["membership.seeds"] = fmt::format("[{}]", fmt::join(seeds, ", "));
        o["data.parts"] = std::to_string(plan.peer_count);
        o["data.part"] = std::to_string(place - (federated ? 1 : 0));
    }
    for (const auto& [key, value] : plan.options) o[key] = value;
}

std::string final_model(const Daemon& daemon) {
    std::string found;
    fs::file_time_type newest{};
    std::error_code ignored;
    for (const auto& entry : fs::recursive_directory_iterator(daemon.folder, ignored)) {
        if (entry.path().filename() != "final.safetensors") continue;
        auto time = entry.last_write_time();
        if (found.empty() || time > newest) found = entry.path().string(), newest = time;
    }
    return found;
}

Daemon* World::aggregator() { return mode == "federated" ? &daemons.front() : nullptr; }

Status World::start(Daemon& daemon) {
    std::ofstream out(daemon.config);
    for (const auto& [key, value] : daemon.options) out << key << " = " << value << "\n";
    out.close();
    if (!out) return fail(ErrorCode::kDiskFailed, "cannot write " + daemon.config);
    GOSSAMER_TRY(daemon.process,
                 Process::start({{daemon.program, "--config", daemon.config}, daemon.log, {}}));
    daemon.killed = false;
    return {};
}

void World::ask(Daemon& daemon) {
    daemon.report.fresh = false;
    if (!daemon.process.running()) return;
    auto answer = runtime::ask_daemon(daemon.socket, R"({"command":"status"})", 500ms);
    if (!answer) return;
    auto json = nlohmann::json::parse(*answer, nullptr, false);
    if (!json.is_object()) return;
    auto& r = daemon.report;
    r.fresh = true;
    r.phase = json.value("phase", "");
    r.round = json.value("round", std::uint64_t{0});
    r.round_max = json.value("round_max", std::uint64_t{0});
    r.loss = number(json["loss"]);
    r.accuracy = number(json["accuracy"]);
    r.sent_bytes = json.value("sent_bytes", std::uint64_t{0});
    r.received_bytes = json.value("received_bytes", std::uint64_t{0});
    r.members.clear();
    for (const auto& member : json["members"])
        if (auto id = PeerId::parse(member.value("id", "")))
            r.members.emplace_back(*id, member.value("state", ""));
}

void World::stop_all() {
    for (auto& daemon : daemons) daemon.process.signal(SIGTERM);
    auto until = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    for (auto& daemon : daemons) {
        auto left = until - std::chrono::steady_clock::now();
        daemon.process.wait(std::max<Duration>(left, Duration::zero()));
        daemon.process.signal(SIGKILL);
        daemon.process.wait(1s);
    }
}

}  // namespace gossamer::cli
