#include "fleet.hpp"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

namespace gossamer::system_test {

namespace fs = std::filesystem;

// What earlier runs of the test left goes: it is kept to be looked at, once.
std::string fresh_folder(const std::string& name) {
    const auto all = fs::path(GOSSAMER_BUILD_FOLDER) / "system";
    fs::create_directories(all);
    const auto path = all / (name + "-" + std::to_string(::getpid()));
    for (const auto& entry : fs::directory_iterator(all)) {
        const auto other = entry.path().filename().string();
        if (!other.starts_with(name + "-")) continue;
        const auto pid = std::strtol(other.c_str() + name.size() + 1, nullptr, 10);
        const bool lives = ::kill(static_cast<pid_t>(pid), 0) == 0 && pid != ::getpid();
        if (pid > 0 && !lives) fs::remove_all(entry.path());
    }
    fs::create_directories(path);
    return path.string();
}

// The numbers alone: a safetensors file begins with the length of its header.
std::string tensors_of(const std::string& path) {
    const auto text = text_of(path);
    if (text.size() < 8) return {};
    std::size_t header = 0;
    for (int i = 7; i >= 0; --i) header = header * 256 + static_cast<unsigned char>(text[i]);
    return header + 8 <= text.size() ? text.substr(header + 8) : std::string();
}

cli::Options small_learning() {
    return {
        {"data.format", "\"synthetic\""},
        {"data.synthetic_train", "2000"},
        {"data.synthetic_test", "500"},
        {"data.partition", "\"iid\""},
        {"model.name", "\"softmax-regression\""},
        {"training.learning_rate", "0.1"},
        {"run.seed", "7"},
    };
}

cli::World make_world(const std::string& name, const std::string& mode, unsigned peer_count,
                      const cli::Options& more) {
    cli::WorldPlan plan;
    plan.folder = fresh_folder(name);
    plan.programs = GOSSAMER_BUILD_FOLDER;
    plan.mode = mode;
    plan.peer_count = peer_count;
    plan.options = small_learning();
    for (const auto& [key, value] : more) plan.options[key] = value;
    auto world = cli::World::create(plan);
    if (!world) FAIL(world.error().to_string());
    return std::move(*world);
}

bool eventually(cli::World& world, Duration patience, const std::function<bool()>& condition) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    constexpr int kSlower = 10;
#else
    constexpr int kSlower = 1;
#endif
    auto until = std::chrono::steady_clock::now() + kSlower * patience;
    for (;;) {
        for (auto& daemon : world.daemons) world.ask(daemon);
        if (condition()) return true;
        if (std::chrono::steady_clock::now() > until) return false;
        ::poll(nullptr, 0, 30);
    }
}

bool all_end_well(cli::World& world, Duration patience) {
    bool ended = eventually(world, patience, [&] {
        for (auto& daemon : world.daemons)
            if (daemon.process.running()) return false;
        return true;
    });
    for (auto& daemon : world.daemons) {
        CAPTURE(daemon.name);
        if (daemon.process.exit_code() != 0) {
            MESSAGE(log_of(daemon));
            ended = false;
        }
    }
    return ended;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string log_of(const cli::Daemon& daemon) {
    return daemon.name + " wrote:\n" + text_of(daemon.log);
}

}  // namespace gossamer::system_test
