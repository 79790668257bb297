#include "cli/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

extern char** environ;

namespace gossamer::cli {

Result<Process> Process::start(const Options& options) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!options.output_file.empty()) {
        posix_spawn_file_actions_addopen(&actions, 1, options.output_file.c_str(),
                                         O_WRONLY | O_CREAT | O_APPEND, 0644);
        posix_spawn_file_actions_adddup2(&actions, 1, 2);
    }
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);

    std::vector<char*> argv, env;
    for (const auto& a : options.arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    for (char** e = environ; *e; ++e) env.push_back(*e);
    for (const auto& e : options.environment) env.push_back(const_cast<char*>(e.c_str()));
    env.push_back(nullptr);

    Process process;
    int error =
        posix_spawnp(&process.pid_, argv[0], &actions, &attributes, argv.data(), env.data());
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error) {
        process.pid_ = -1;
        return fail(ErrorCode::kInternal,
                    "cannot start " + options.arguments[0] + ": " + std::strerror(error),
                    "build it with ./run build");
    }
    return process;
}

Process::~Process() {
    if (!running()) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

Process::Process(Process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), code_(std::exchange(other.code_, {})) {}

Process& Process::operator=(Process&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(code_, other.code_);
    return *this;
}

bool Process::running() {
    if (pid_ < 0 || code_) return false;
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return true;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return false;
}

std::optional<int> Process::exit_code() {
    running();
    return code_;
}

void Process::signal(int number) {
    if (running()) ::kill(pid_, number);
}

std::optional<int> Process::wait(Duration patience) {
    if (!running()) return code_;
    int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (fd >= 0) {
        pollfd p{fd, POLLIN, 0};
        ::poll(&p, 1, static_cast<int>(patience / 1ms));
        ::close(fd);
    }
    return exit_code();
}

Resources resources_of(pid_t pid) {
    Resources r;
    auto folder = "/proc/" + std::to_string(pid);
    std::ifstream status(folder + "/status");
    for (std::string line; std::getline(status, line);) {
        std::istringstream words(line);
        std::string name;
        std::uint64_t kib = 0;
        words >> name >> kib;
        if (name == "VmRSS:") r.resident_bytes = kib * 1024;
        if (name == "VmHWM:") r.peak_bytes = kib * 1024;
    }
    std::ifstream stat(folder + "/stat");
    std::string text;
    std::getline(stat, text);
    if (auto end = text.rfind(')'); end != text.npos) {
        std::istringstream words(text.substr(end + 2));
        std::string skip;
        for (int i = 0; i < 11; ++i) words >> skip;
        std::uint64_t user = 0, system = 0;
        words >> user >> system;
        r.processor_time = Duration(static_cast<std::int64_t>(
            static_cast<double>(user + system) * 1e9 / static_cast<double>(sysconf(_SC_CLK_TCK))));
    }
    return r;
}

}  // namespace gossamer::cli
