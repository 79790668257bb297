// What several I/O threads must not mix up.
#include "raw_member.hpp"

#include <atomic>
#include <future>

#include "connection/transport/address.hpp"

using namespace gossamer;
using namespace gossamer::transport;
using namespace gossamer::transport::testing;

TEST_CASE("a new link is reported after the end of the old one, however long that takes to tell") {
    Federation federation;
    TransportConfig threads;
    threads.threads = 3;
    std::promise<void> telling, go_on;
    auto may_go_on = go_on.get_future();
    std::mutex mutex;
    std::vector<bool> ups;
    std::promise<void> all;
    Transport server(threads, federation.context(20), {0}, tensor::BufferPool::create(1 << 20),
                     [&](Event e) {
                         const auto* link = std::get_if<job::LinkEvent>(&e.what);
                         if (!link) return;
                         const bool up = std::holds_alternative<job::LinkUp>(*link);
                         std::size_t so_far = 0;
                         {
                             std::lock_guard lock(mutex);
                             so_far = ups.size();
                         }
                         if (!up && so_far == 1) {
                             telling.set_value();
                             may_go_on.wait_for(kPatience);
                         }
                         std::lock_guard lock(mutex);
                         ups.push_back(up);
                         if (ups.size() == 3) all.set_value();
                     });
    const auto address = server.listen("127.0.0.1:0").value();
    Node first(federation.context(21)), second(federation.context(21));  // one identity
    first.transport.dial(address, std::nullopt);
    (void)first.next<job::LinkUp>();
    first.transport.stop();
    telling.get_future().wait();
    second.transport.dial(address, std::nullopt);
    (void)second.next<job::LinkUp>();
    go_on.set_value();
    REQUIRE(all.get_future().wait_for(kPatience) == std::future_status::ready);
    {
        std::lock_guard lock(mutex);
        CHECK(ups == std::vector<bool>{true, false, true});
    }
    server.stop();
}

TEST_CASE("who is banned between its handshake and its HELLO gets no link") {
    Federation federation;
    Node server(federation.context(20));
    RawMember member(federation, 21, parse_address(server.listen())->port);
    while (!member.session.identified()) {
        member.flush();
        REQUIRE(member.read(30'000));
    }
    const auto id = federation.context(21).self().id;
    server.transport.ban(std::make_shared<const security::BanList>(1, id));
    const auto until = std::chrono::steady_clock::now() + kPatience;
    while (!member.find<link::Up>() && !member.find<link::Closed>() &&
           std::chrono::steady_clock::now() < until)
        member.step(10);
    CHECK(!member.find<link::Up>());
    REQUIRE(member.find<link::Closed>());
    CHECK(member.find<link::Closed>()->error.code == ErrorCode::kTlsBanned);
}
