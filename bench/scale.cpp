// What a simulation of many costs where nothing is learnt: events a second, real time, set-up and
// memory of ten thousand gossip peers and of a hundred thousand clients; and a small run from the
// start of its process to the end.
#include <fcntl.h>
#include <jemalloc/jemalloc.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "simulated.hpp"

using namespace gossamer;
using namespace gossamer::bench;
using namespace gossamer::simulation;

namespace {

// `most`: the limit is what must not be passed, as of times and sizes.
void figure(const std::string& name, double value, const char* unit, double limit, bool most) {
    const double ratio = most ? limit / value : value / limit;
    std::printf(
        "{\"name\":\"%s\",\"value\":%.2f,\"unit\":\"%s\",\"limit\":%.2f,\"ratio\":%.3f,"
        "\"goal\":1,\"met\":%s}\n",
        name.c_str(), value, unit, limit, ratio, ratio >= 1 ? "true" : "false");
    std::fflush(stdout);
}

std::unique_ptr<Simulation> simulated(std::string_view name, std::vector<std::string> sets,
                                      unsigned threads) {
    return need(Simulation::create(scenario(name, std::move(sets)), {.threads = threads}));
}

double heap_bytes() {
    std::uint64_t epoch = 1;  // its figures are of the last time that one was named
    mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch);
    std::size_t bytes = 0, length = sizeof bytes;
    if (mallctl("stats.allocated", &bytes, &length, nullptr, 0) != 0) std::abort();
    return static_cast<double>(bytes);
}

// Peers with a link to each of `degree` neighbours, heartbeats of the wan profile, and a step of
// gossip every half a minute, of 16 parameters: no model is part of these figures.
std::unique_ptr<Simulation> quiet(unsigned peers, unsigned degree, unsigned threads,
                                  const std::string& until) {
    return simulated(
        "churn-10k",
        {"run.peers=" + std::to_string(peers), "topology.degree=" + std::to_string(degree),
         "simulation.availability=always", "simulation.compute=cost", "simulation.parameters=16",
         "simulation.samples=10", "simulation.samples_per_second=0.333",
         "simulation.time_max=" + until},
        threads);
}

constexpr unsigned kPeers = 10'000;

struct Quiet {
    double events_per_second = 0, times_real_time = 0;
};
Quiet quiet_gossip(unsigned threads, double virtual_seconds) {
    constexpr double kSettled = 20;  // all are linked
    auto sim = quiet(kPeers, 4, threads, "1h");
    Quiet out;
    std::optional<Clock::time_point> began;
    std::uint64_t events = 0;
    double elapsed = 0;
    need(sim->run([&] {
        const double now = seconds(sim->world().elapsed());
        if (!began && now >= kSettled)
            began = Clock::now(), events = sim->world().counts().events, elapsed = now;
        if (now < kSettled + virtual_seconds) return true;
        const double wall = since(*began);
        out.events_per_second = static_cast<double>(sim->world().counts().events - events) / wall;
        out.times_real_time = (now - elapsed) / wall;
        return false;
    }));
    return out;
}

// While all train.
double bytes_per_peer(unsigned peers, unsigned degree) {
    const double before = heap_bytes();
    auto sim = quiet(peers, degree, 1, "20s");
    need(sim->run());
    return (heap_bytes() - before) / peers;
}

void many_peers() {
    const auto one = quiet_gossip(1, 60), two = quiet_gossip(2, 60);
    figure("10,000 peers, cost only, 4-regular, wan: one thread", one.events_per_second, "events/s",
           1e6, false);
    figure("10,000 peers, two threads, each", two.events_per_second / 2, "events/s", 1e6, false);
    figure("10,000 peers, two threads", two.times_real_time, "x real time", 50, false);
    // A link and what each end knows of the other are its view: four more of them tell their size.
    const double four = bytes_per_peer(kPeers, 4), eight = bytes_per_peer(kPeers, 8);
    const double view = (eight - four) / 4;
    figure("10,000 peers: memory of one in training, without views", four - 4 * view, "bytes", 4096,
           true);
    std::fprintf(stderr, "a view, both of a member and of the link to it: %.0f bytes\n", view);
}

void many_clients() {
    constexpr unsigned kClients = 100'000;
    const double before = heap_bytes();
    const auto began = Clock::now();
    auto sim = simulated(
        "fedavg-1000",
        {"run.peers=" + std::to_string(kClients), "federated.fraction=0.001",
         "federated.evaluate_every=0", "simulation.compute=cost", "simulation.parameters=1000"},
        2);
    double set_up = 0, bytes = 0;
    need(sim->run([&] {
        if (sim->chronicle().client_updates() == 0) return true;
        set_up = since(began);
        bytes = (heap_bytes() - before) / kClients;
        return false;
    }));
    if (set_up == 0) {  // a figure of nothing would meet every limit
        std::fprintf(stderr, "the run was over before anybody looked\n");
        std::exit(1);
    }
    figure("100,000 clients: until the first of them has trained", set_up, "s", 10, true);
    figure("100,000 clients: memory of one", bytes, "bytes", 1024, true);
}

// Of the shipped program, from its start to its end; the median of five.
void small_run() {
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    const auto program = (here.parent_path() / "simulations" / "gossamer-sim").string();
    const auto out =
        std::filesystem::temp_directory_path() / ("gossamer-bench-" + std::to_string(getpid()));
    std::vector<double> took;
    for (int i = 0; i < 5; ++i) {
        std::filesystem::remove_all(out);
        std::string words[] = {program, "run",   "logistic-1000", "--threads",
                               "2",     "--out", out.string()};
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        posix_spawn_file_actions_t silent;
        posix_spawn_file_actions_init(&silent);
        posix_spawn_file_actions_addopen(&silent, 1, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(&silent, 2, "/dev/null", O_WRONLY, 0);
        const auto began = Clock::now();
        pid_t child = 0;
        int status = 0;
        if (posix_spawn(&child, program.c_str(), &silent, nullptr, arguments.data(), environ) !=
                0 ||
            waitpid(child, &status, 0) != child || status != 0) {
            std::fprintf(stderr, "%s failed\n", program.c_str());
            std::exit(1);
        }
        took.push_back(since(began));
        posix_spawn_file_actions_destroy(&silent);
    }
    std::filesystem::remove_all(out);
    std::ranges::sort(took);
    figure("logistic-1000, process start to exit", took[took.size() / 2], "s", 0.5, true);
}

}  // namespace

int main(int argc, char** argv) {
    const std::string only = argc > 1 ? argv[1] : "";
    const auto wanted = [&](const char* name) { return only.empty() || only == name; };
    if (wanted("logistic")) small_run();
    if (wanted("gossip")) many_peers();
    if (wanted("clients")) many_clients();
}
