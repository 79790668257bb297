#include "cli/demo/world.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "drivers/runtime/control.hpp"

namespace gossamer::cli::demo {
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

}  // namespace

Result<std::string> run_command(const std::vector<std::string>& arguments) {
    auto output = (fs::temp_directory_path() / fmt::format("gossamer-demo-{}", ::getpid())).string();
    fs::remove(output);
    GOSSAMER_TRY(auto process, Process::start({arguments, output, {}}));
    auto code = process.wait(30s);
    auto text = slurp(output);
    fs::remove(output);
    if (code == 0) return text;
    return fail(ErrorCode::kInternal, fmt::format("{} failed: {}", fmt::join(arguments, " "), text));
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

Result<World> World::create(const Plan& plan, const std::string& mode) {
    World world;
    world.mode = mode;
    world.folder = plan.folder + "/" + mode;
    fs::create_directories(world.folder);
    bool federated = mode == "federated";
    auto command = plan.programs + "/cli/gossamer";
    GOSSAMER_CHECK(run_command({command, "federation", "create", world.folder + "/federation",
                                "--name", "demo"}));
    auto count = plan.peer_count + (federated ? 1 : 0);
    world.ports_ = free_ports(count);
    for (unsigned i = 0; i < count; ++i) {
        bool aggregator = federated && i == 0;
        Daemon daemon;
        daemon.name = aggregator ? "aggregator" : fmt::format("peer{}", i - (federated ? 1 : 0));
        daemon.folder = world.folder + "/" + daemon.name;
        daemon.program = plan.programs + (aggregator ? "/aggregator/gossamer-aggregator"
                                                     : "/peers/gossamer-peer");
        daemon.config = daemon.folder + "/config.toml";
        // Short: a Unix socket's path has at most 107 bytes.
        daemon.socket = fmt::format("{}/gossamer-demo-{}-{}-{}",
                                    fs::temp_directory_path().string(), ::getpid(), mode, i);
        daemon.log = daemon.folder + "/log";
        GOSSAMER_CHECK(world.make_identity(plan, daemon, aggregator ? "aggregator" : "peer"));
        GOSSAMER_CHECK(world.write_config(plan, daemon, i));
        world.daemons.push_back(std::move(daemon));
    }
    return world;
}

Status World::make_identity(const Plan& plan, Daemon& daemon, const std::string& role) {
    auto command = plan.programs + "/cli/gossamer";
    GOSSAMER_TRY(auto made, run_command({command, "identity", "create", daemon.folder + "/identity",
                                         "--format", "json"}));
    GOSSAMER_CHECK(run_command({command, "identity", "sign", daemon.folder + "/identity/request.pem",
                                "--federation", folder + "/federation", "--role", role}));
    auto json = nlohmann::json::parse(made, nullptr, false);
    auto id = PeerId::parse(json.is_object() ? json.value("peer_id", "") : "");
    if (!id) return fail(ErrorCode::kInternal, "identity create answered: " + made);
    daemon.id = *id;
    return {};
}

Status World::write_config(const Plan& plan, Daemon& daemon, unsigned place) {
    bool federated = mode == "federated", aggregator = federated && place == 0;
    std::ofstream out(daemon.config);
    out << "# Written by `gossamer demo`.\n";
    out << "[run]\nname = \"demo\"\n" << fmt::format("mode = \"{}\"\n", mode);
    out << fmt::format("rounds = {}\n", federated ? plan.federated_rounds : plan.gossip_steps);
    out << fmt::format("peers = {}\nseed = {}\nfolder = \"{}/runs\"\n", plan.peer_count, plan.seed,
                       daemon.folder);
    out << fmt::format("[identity]\nfolder = \"{}/identity\"\n", daemon.folder);
    out << fmt::format("[control]\nsocket = \"{}\"\n", daemon.socket);
    if (!federated || aggregator)
        out << fmt::format("[listen]\naddress = \"127.0.0.1:{}\"\n", ports_[place]);
    out << "[membership]\nprofile = \"local\"\n";
    if (!aggregator) {
        std::vector<std::string> seeds;
        for (unsigned i = 0; i < (federated ? 1u : 2u); ++i)
            if (i != place || federated) seeds.push_back(fmt::format("\"127.0.0.1:{}\"", ports_[i]));
        out << fmt::format("seeds = [{}]\n", fmt::join(seeds, ", "));
    }
    out << "[model]\nname = \"mlp-200-200\"\n";
    out << "[training]\nlearning_rate = 0.05\nbatch_size = 32\n";
    out << fmt::format("[data]\npartition = \"dirichlet\"\nalpha = {}\nparts = {}\n", plan.alpha,
                       plan.peer_count);
    if (!aggregator) out << fmt::format("part = {}\n", place - (federated ? 1 : 0));
    out << "[work]\nthreads = 1\n";
    if (federated) {
        out << fmt::format("[federated]\nlocal_epochs = {}\n", plan.local_epochs);
    } else {
        out << "[topology]\ngraph = \"one-peer-exponential\"\n";
        out << fmt::format("[gossip]\nlocal_steps = {}\n", plan.local_steps);
    }
    return out.good() ? Status{}
                      : Status(fail(ErrorCode::kDiskFailed, "cannot write " + daemon.config));
}

Daemon* World::aggregator() { return mode == "federated" ? &daemons.front() : nullptr; }

Status World::start(Daemon& daemon) {
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

}  // namespace gossamer::cli::demo
