#include "drivers/program/child_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace gossamer::program {

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& arguments,
                                         const std::string& output_file) {
    std::vector<std::string> words{"/proc/self/exe"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (auto& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    const int out = ::open(output_file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (out < 0) return fail(ErrorCode::kDiskFailed, output_file + ": " + std::strerror(errno));
    const pid_t parent = ::getpid(), pid = ::fork();
    if (pid == 0) {  // only calls that are safe after a fork
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != parent) ::_exit(1);
        ::dup2(out, STDOUT_FILENO);
        ::dup2(out, STDERR_FILENO);
        ::execv(pointers[0], pointers.data());
        ::_exit(127);
    }
    ::close(out);
    if (pid < 0) return fail(ErrorCode::kInternal, std::string("fork: ") + std::strerror(errno));
    ChildProcess child;
    child.pid_ = pid;
    return child;
}

ChildProcess::~ChildProcess() {
    if (pid_ <= 0 || exit_code()) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), code_(std::exchange(other.code_, {})) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
    std::swap(pid_, other.pid_);
    std::swap(code_, other.code_);
    return *this;
}

std::optional<int> ChildProcess::exit_code() {
    if (pid_ <= 0 || code_) return code_;
    int status = 0;
    const pid_t ended = ::waitpid(pid_, &status, WNOHANG);
    if (ended == pid_) code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
}

void ChildProcess::signal(int number) {
    if (pid_ > 0 && !exit_code()) ::kill(pid_, number);
}

}  // namespace gossamer::program
