#include "drivers/runtime/control.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "drivers/runtime/core_loop.hpp"

namespace gossamer::runtime {
namespace {

constexpr std::size_t kQuestionMax = 4096, kAnswerMax = 4 << 20;
constexpr Duration kClientPatience = 2s;
constexpr Duration kAcceptPause = 100ms, kAskAgain = 20ms;

bool address_of(const std::string& path, sockaddr_un& address) {
    address = {};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.data(), path.size());
    return true;
}

// Never waits. -1 with EAGAIN: somebody listens, and has no place left in its queue.
int connect_to(const std::string& path) {
    sockaddr_un address;
    errno = ENAMETOOLONG;
    if (!address_of(path, address)) return -1;
    int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        const int why = errno;
        ::close(fd);
        errno = why;
        return -1;
    }
    return fd;
}

bool wait_for(int fd, short what, Instant until) {
    for (;;) {
        auto left = until - boot_time();
        if (left <= Duration::zero()) return false;
        pollfd p{fd, what, 0};
        int n = ::poll(&p, 1, static_cast<int>(left / 1ms) + 1);
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) return false;
    }
}

// One line, without its end; empty when it did not come whole in time.
std::string read_line(int fd, std::size_t max, Instant until) {
    std::string text;
    char part[4096];
    while (text.size() <= max && wait_for(fd, POLLIN, until)) {
        auto n = ::recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) break;
        text.append(part, static_cast<std::size_t>(n));
        if (auto end = text.find('\n'); end != text.npos) return text.substr(0, end);
    }
    return {};
}

bool write_all(int fd, std::string_view text, Instant until) {
    while (!text.empty()) {
        if (!wait_for(fd, POLLOUT, until)) return false;
        auto n = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) return false;
        if (n > 0) text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

std::string_view kind_of(mode_t mode) {
    if (S_ISREG(mode)) return "a file";
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISLNK(mode)) return "a symbolic link";
    return "something else";
}

// Only what a daemon can have left there goes: the path may be a slip of the pen.
Status remove_stale(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) return {};  // bind says what is wrong, if anything
    if (S_ISSOCK(info.st_mode)) {
        ::unlink(path.c_str());
        return {};
    }
    return fail(ErrorCode::kNetListen,
                "control socket " + path + ": there is " + std::string(kind_of(info.st_mode)) +
                    ", not a socket",
                "choose another path with control.socket, or move what is there away");
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::open(const std::string& path, Answer answer) {
    sockaddr_un address;
    if (!address_of(path, address))
        return fail(ErrorCode::kNetAddress, "control socket \"" + path + "\": the path is too long",
                    "choose a path of at most 107 bytes with control.socket");
    if (int other = connect_to(path); other >= 0 || errno == EAGAIN) {
        if (other >= 0) ::close(other);
        return fail(ErrorCode::kNetAddressInUse, "another daemon answers at " + path,
                    "choose another path with control.socket, or stop that daemon");
    }
    GOSSAMER_CHECK(remove_stale(path));
    int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // The mode of the socket's own inode becomes that of the file; a umask is all threads'.
    bool bound = listener >= 0 && ::fchmod(listener, 0600) == 0 &&
                 ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    if (!bound || ::listen(listener, 8) != 0) {
        std::string why = std::strerror(errno);
        if (listener >= 0) ::close(listener);
        return fail(ErrorCode::kNetListen, "control socket " + path + ": " + why,
                    "choose a folder that can be written with control.socket");
    }
    int wake = ::eventfd(0, EFD_CLOEXEC);
    if (wake < 0) {  // nobody could tell its thread to end
        auto error =
            fail(ErrorCode::kNetListen, "control socket " + path + ": " + std::strerror(errno),
                 "raise the limit of open files (ulimit -n)");
        ::close(listener);
        (void)remove_stale(path);
        return error;
    }
    return std::unique_ptr<ControlSocket>(
        new ControlSocket(path, listener, wake, std::move(answer)));
}

ControlSocket::ControlSocket(std::string path, int listener, int wake, Answer answer)
    : path_(std::move(path)), listener_(listener), wake_(wake), answer_(std::move(answer)) {
    thread_ = std::thread([this] { serve(); });
}

ControlSocket::~ControlSocket() {
    std::uint64_t one = 1;
    [[maybe_unused]] auto n = ::write(wake_, &one, sizeof one);
    thread_.join();
    ::close(listener_);
    ::close(wake_);
    (void)remove_stale(path_);
}

// Waits; true as soon as the destructor wants the thread to end.
bool ControlSocket::told_to_end(Duration wait) const {
    return wait_for(wake_, POLLIN, boot_time() + wait);
}

void ControlSocket::serve() {
    for (;;) {
        pollfd fds[2] = {{listener_, POLLIN, 0}, {wake_, POLLIN, 0}};
        if (::poll(fds, 2, -1) < 0 && errno != EINTR) return;
        if (fds[1].revents) return;
        if (!(fds[0].revents & POLLIN)) continue;
        int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) {
            // Without a free descriptor the client stays in the queue and would wake us at once.
            if (told_to_end(kAcceptPause)) return;
            continue;
        }
        serve_one(client);
        ::close(client);
    }
}

void ControlSocket::serve_one(int client) {
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 ||
        (who.uid != 0 && who.uid != ::geteuid()))
        return;
    auto until = boot_time() + kClientPatience;
    auto question = read_line(client, kQuestionMax, until);
    if (question.empty()) return;
    write_all(client, answer_(question) + "\n", until);
}

Result<std::string> ask_daemon(const std::string& path, std::string_view question,
                               Duration patience) {
    auto until = boot_time() + patience;
    int fd = connect_to(path);
    while (fd < 0 && errno == EAGAIN && boot_time() < until) {
        ::poll(nullptr, 0, static_cast<int>(kAskAgain / 1ms));
        fd = connect_to(path);
    }
    if (fd < 0 && errno == EAGAIN)
        return fail(ErrorCode::kLinkTimeout, "the daemon at " + path + " takes no more questions",
                    "it hangs, or too many ask it at once");
    if (fd < 0) return fail(ErrorCode::kControlUnreachable, "no daemon answers at " + path);
    std::string answer;
    if (write_all(fd, std::string(question) + "\n", until))
        answer = read_line(fd, kAnswerMax, until);
    ::close(fd);
    if (answer.empty())
        return fail(ErrorCode::kLinkTimeout, "the daemon at " + path + " did not answer",
                    "look into its log");
    return answer;
}

}  // namespace gossamer::runtime
