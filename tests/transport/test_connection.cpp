// One connection on its own against members who do not behave.
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/strand.hpp>

#include "connection/transport/connection.hpp"
#include "raw_member.hpp"

using namespace gossamer;
using namespace gossamer::transport;
using namespace gossamer::transport::testing;

namespace {

struct Owner final : ConnectionOwner {
    std::vector<session::Event> events;
    std::size_t turns = 0;
    bool closed = false;

    void on_session_event(Connection& c, session::Event event) override {
        if (std::holds_alternative<link::Greeted>(event)) c.session().link().welcome();
        events.push_back(std::move(event));
    }
    void on_bytes_moved(Connection&) override { ++turns; }
    void on_socket_closed(Connection&) override { closed = true; }
};

// A listening connection and the member at its other end, both on this thread.
struct World {
    Federation federation;
    security::TlsContext context = federation.context(11);
    tensor::PoolRef pool = tensor::BufferPool::create(64 << 20);
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    Owner owner;
    RawMember* member = nullptr;
    std::unique_ptr<RawMember> member_kept;
    std::shared_ptr<Connection> connection;
    int socket = -1;

    link::Staging staging{64 << 20};
    World() {
        asio::ip::tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), 0});
        member_kept = std::make_unique<RawMember>(federation, 12, acceptor.local_endpoint().port());
        member = member_kept.get();
        auto accepted = acceptor.accept(asio::make_strand(io));
        socket = accepted.native_handle();
        session::SessionConfig config;
        config.side = security::TlsSide::listener;
        config.policy.now = wall_now();
        config.link.settings = link::shared(
            {{Role::peer, context.self().federation.to_string(), {0}, 0, "test"}, {}, pool});
        config.link.staging = &staging;
        connection = std::make_shared<Connection>(owner, std::move(accepted), "here", context,
                                                  std::move(config));
        connection->start();
    }
    void link() {
        while (!connection->session().is_up() || !member->find<link::Up>()) {
            io.poll();
            member->step(1);
        }
    }
    void close() { connection->close({ErrorCode::kLinkClosed, "enough", {}}); }
    // Until the socket is closed; false: it never is.
    bool ends() {
        const auto until = std::chrono::steady_clock::now() + kPatience;
        while (!owner.closed)
            if (io.run_one_until(until) == 0) return false;
        return true;
    }
};

}  // namespace

TEST_CASE("what is done to a connection that lingers does not keep it open") {
    World world;
    world.close();  // nothing to say to a stranger: it lingers at once
    world.close();
    CHECK(world.ends());
}

TEST_CASE("a link that is closed while its member reads nothing does not stay for long") {
    World world;
    world.link();
    auto buffer = world.pool->take(40'000'000);
    std::ranges::fill(buffer.bytes(), std::byte{1});
    message::Manifest manifest;
    manifest.byte_count = buffer.size_bytes();
    auto& link = world.connection->session().link();
    link.offer(now(), {1}, manifest, tensor::Payload::of(std::move(buffer)));
    world.connection->process();
    while (!world.member->find<link::TransferNews>()) {
        world.io.poll();
        world.member->step(1);
    }
    world.member->session.link().grant(now(), {1});
    world.member->session.fill(now());
    world.member->flush();
    while (world.connection->session().output().empty() || world.io.poll() > 0) world.io.poll();
    world.close();
    CHECK(!world.connection->session().finished());  // not even its goodbye is sealed
    CHECK(world.ends());
}

TEST_CASE("a connection whose last words wait does not turn in circles over what comes meanwhile") {
    World world;
    world.link();
    auto& session = world.connection->session();
    const std::array<char, 64 * 1024> much{};  // so that not even a goodbye fits
    for (std::size_t n = much.size(); n > 0; n /= 2)
        while (::send(world.socket, much.data(), n, MSG_NOSIGNAL) > 0) {
        }
    world.close();
    REQUIRE(session.finished());
    REQUIRE(!session.output().empty());
    for (int i = 0; i < 100; ++i)
        CHECK(world.member->session.link().send(now(), beat(1), message::Lane::control));
    world.member->session.fill(now());
    world.member->flush();
    const auto before = world.owner.turns;
    for (int i = 0; i < 1000 && world.io.poll_one() > 0; ++i) {
    }
    CHECK(world.owner.turns - before < 100);
    CHECK(world.ends());
}
