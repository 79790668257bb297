// What the demo leaves behind when it is interrupted: nothing that runs.
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include <doctest/doctest.h>

#include "cli/demo/story.hpp"
#include "fleet.hpp"

using namespace gossamer;
using namespace gossamer::system_test;

TEST_CASE("an interrupted demo ends all its daemons and says where their records lie") {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        CAPTURE(signal);
        auto world = make_world("interrupted", "gossip", 3,
                                {{"run.rounds", "1000000"}, {"topology.graph", "\"complete\""}});
        std::vector<std::string> sockets;
        for (const auto& daemon : world.daemons) sockets.push_back(daemon.socket);
        cli::demo::Screen screen(true);
        std::jthread presses([&](std::stop_token stop) {  // once all daemons are there
            const auto there = [](const auto& socket) {
                return ::access(socket.c_str(), F_OK) == 0;
            };
            while (!stop.stop_requested() && !std::ranges::all_of(sockets, there))
                ::poll(nullptr, 0, 10);
            if (!stop.stop_requested()) ::kill(::getpid(), signal);
        });
        auto outcome = cli::demo::tell_story(world, screen, 60s);
        REQUIRE(!outcome);
        CHECK(outcome.error().code == ErrorCode::kCancelled);
        CHECK(outcome.error().hint.find(world.folder) != std::string::npos);
        for (auto& daemon : world.daemons) {
            CHECK_FALSE(daemon.process.running());
            CHECK_MESSAGE(daemon.process.exit_code() == 0, log_of(daemon));
            CHECK(::access(daemon.socket.c_str(), F_OK) != 0);
        }
    }
}
