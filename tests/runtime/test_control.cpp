#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

#include "drivers/runtime/control.hpp"
#include "drivers/runtime/core_loop.hpp"

using namespace gossamer;

namespace {

std::string fresh_path() {
    static int n = 0;
    return (std::filesystem::temp_directory_path() /
            ("gossamer-test-" + std::to_string(::getpid()) + "-" + std::to_string(n++)))
        .string();
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof address.sun_path);
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
}

// What a daemon that crashed leaves: a socket at which nobody listens.
void leave_socket(const std::string& path) {
    const auto address = address_of(path);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    ::close(fd);
}

// While it lives this process can open no further descriptor.
class NoDescriptors {
public:
    NoDescriptors() {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
        ::close(next);
        rlimit none = before_;
        none.rlim_cur = static_cast<rlim_t>(next);
        ::setrlimit(RLIMIT_NOFILE, &none);
    }
    ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace

TEST_CASE("a daemon's socket answers one line for one line, and only its user may ask") {
    auto path = fresh_path();
    auto socket = runtime::ControlSocket::open(
        path, [](std::string_view q) { return "you said " + std::string(q); });
    REQUIRE(socket);
    struct stat info {};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    CHECK(*runtime::ask_daemon(path, "hello", 5s) == "you said hello");
    CHECK(*runtime::ask_daemon(path, "again", 5s) == "you said again");
    // A second daemon may not take the place of a live one.
    auto second = runtime::ControlSocket::open(path, [](std::string_view) { return ""; });
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::kNetAddressInUse);
    socket->reset();
    CHECK(runtime::ask_daemon(path, "hello", 1s).error().code == ErrorCode::kControlUnreachable);
}

TEST_CASE("another user is not answered, also when the file lets it in") {
    if (::geteuid() != 0) {
        MESSAGE("SKIPPED: only root can ask as somebody else");
        return;
    }
    auto path = fresh_path();
    auto socket = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE(socket);
    REQUIRE(::chmod(path.c_str(), 0666) == 0);
    CHECK(*runtime::ask_daemon(path, "may I?", 5s) == "yes");
    const pid_t nobody = ::fork();
    REQUIRE(nobody >= 0);
    if (nobody == 0) {
        const bool other = ::setgid(65534) == 0 && ::setuid(65534) == 0;
        ::_exit(!other ? 2 : runtime::ask_daemon(path, "may I?", 5s) ? 1 : 0);
    }
    int status = 0;
    REQUIRE(::waitpid(nobody, &status, 0) == nobody);
    CHECK(status == 0);
}

TEST_CASE("where somebody listens and takes no question, none waits for ever") {
    auto path = fresh_path();
    const auto address = address_of(path);
    const int hung = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(hung, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    REQUIRE(::listen(hung, 1) == 0);
    std::vector<int> waiting;  // fill its queue
    for (int fd = 0; fd >= 0;) {
        fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        waiting.push_back(fd);
        if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
        REQUIRE(waiting.size() < 100);
    }
    CHECK(runtime::ask_daemon(path, "there?", 50ms).error().code == ErrorCode::kLinkTimeout);
    auto second = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE_FALSE(second);
    CHECK(second.error().code == ErrorCode::kNetAddressInUse);
    for (int fd : waiting) ::close(fd);
    ::unlink(path.c_str());
    ::close(hung);
}

TEST_CASE("a stale socket is replaced, a path that is too long is refused") {
    auto path = fresh_path();
    leave_socket(path);
    auto socket = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE(socket);
    CHECK(*runtime::ask_daemon(path, "there?", 5s) == "yes");
    auto long_one = runtime::ControlSocket::open(std::string(200, 'x'), {});
    CHECK(long_one.error().code == ErrorCode::kNetAddress);
}

TEST_CASE("what is no socket stays where it is, and is named") {
    const auto path = fresh_path(), link = fresh_path(), folder = fresh_path();
    std::ofstream(path) << "notes";
    std::filesystem::create_symlink(path, link);
    std::filesystem::create_directory(folder);
    for (const auto& [taken, what] : {std::pair{path, "a file, not a socket"},
                                      {link, "a symbolic link, not a socket"},
                                      {folder, "a folder, not a socket"}}) {
        auto socket = runtime::ControlSocket::open(taken, [](std::string_view) { return ""; });
        REQUIRE_FALSE(socket);
        CHECK(socket.error().code == ErrorCode::kNetListen);
        CHECK(socket.error().what.find(taken) != std::string::npos);
        CHECK(socket.error().what.find(what) != std::string::npos);
        CHECK(socket.error().hint.find("control.socket") != std::string::npos);
    }
    std::ifstream file(path);
    CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == "notes");
    CHECK(std::filesystem::is_symlink(link));
    // A file that took the socket's place while the daemon ran is not the daemon's to remove.
    const auto moved = fresh_path();
    auto socket = runtime::ControlSocket::open(moved, [](std::string_view) { return ""; });
    REQUIRE(socket);
    std::filesystem::rename(path, moved);
    socket->reset();
    CHECK(std::filesystem::is_regular_file(moved));
    for (const auto& left : {link, folder, moved}) std::filesystem::remove(left);
}

TEST_CASE("without a free descriptor a client waits, and is answered when there is one") {
    const auto path = fresh_path();
    auto socket = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE(socket);
    const auto address = address_of(path);
    const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pollfd answered{client, POLLIN, 0};
    {
        NoDescriptors none;
        REQUIRE(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
                0);
        REQUIRE(::send(client, "there?\n", 7, MSG_NOSIGNAL) == 7);
        CHECK(::poll(&answered, 1, 50) == 0);
    }
    CHECK(::poll(&answered, 1, 10'000) == 1);
    ::close(client);
}

TEST_CASE("a question that is too long is not answered, and the next one is") {
    auto path = fresh_path();
    auto socket = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE(socket);
    CHECK_FALSE(runtime::ask_daemon(path, std::string(100'000, 'x'), 5s));
    CHECK(*runtime::ask_daemon(path, "short", 5s) == "yes");
}

TEST_CASE("the core loop runs what is posted in order, and its one timer") {
    runtime::CoreLoop loop;
    std::vector<std::string> seen;
    std::thread poster([&] {
        for (int i = 0; i < 100; ++i) loop.post([&seen, i] { seen.push_back(std::to_string(i)); });
        loop.post([&] { loop.arm(runtime::boot_time() + 10ms); });
    });
    runtime::CoreLoop::Callbacks callbacks;
    callbacks.on_deadline = [&] {
        seen.push_back("deadline");
        loop.stop();
    };
    callbacks.on_resume = [](Duration) {};
    callbacks.on_signal = [](int) {};
    loop.run(callbacks);
    poster.join();
    REQUIRE(seen.size() == 101);
    for (int i = 0; i < 100; ++i) CHECK(seen[static_cast<std::size_t>(i)] == std::to_string(i));
    CHECK(seen.back() == "deadline");
}

TEST_CASE("a deadline that is handled late is announced as a resume first") {
    runtime::CoreLoop loop;
    std::vector<std::string> seen;
    loop.arm(runtime::boot_time() - 1s);
    runtime::CoreLoop::Callbacks callbacks;
    callbacks.on_resume = [&](Duration asleep) {
        CHECK(asleep > 900ms);
        seen.push_back("resume");
    };
    callbacks.on_deadline = [&] {
        seen.push_back("deadline");
        loop.stop();
    };
    callbacks.on_signal = [](int) {};
    loop.run(callbacks);
    CHECK(seen == std::vector<std::string>{"resume", "deadline"});
}
