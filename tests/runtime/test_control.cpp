#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

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

TEST_CASE("a stale socket is replaced, a path that is too long is refused") {
    auto path = fresh_path();
    std::ofstream(path) << "left over";
    auto socket = runtime::ControlSocket::open(path, [](std::string_view) { return "yes"; });
    REQUIRE(socket);
    CHECK(*runtime::ask_daemon(path, "there?", 5s) == "yes");
    auto long_one = runtime::ControlSocket::open(std::string(200, 'x'), {});
    CHECK(long_one.error().code == ErrorCode::kNetAddress);
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
