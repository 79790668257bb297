#include "pair.hpp"

using namespace gossamer;
using namespace gossamer::link;
using link::testing::Options;
using link::testing::Pair;

namespace {

message::Message beat(std::uint64_t n) { return message::Heartbeat{.sequence = n}; }

}  // namespace

TEST_CASE("hello and welcome settle version, role, features and codecs") {
    Pair pair;
    pair.run();
    REQUIRE(pair.a.link.is_up());
    REQUIRE(pair.b.link.is_up());
    const auto at_a = pair.a.all<Up>(), at_b = pair.b.all<Up>();
    REQUIRE(at_a.size() == 1);
    REQUIRE(at_b.size() == 1);
    CHECK(at_a[0].remote.features == 1);
    CHECK(at_b[0].remote.features == 1);
    CHECK(at_a[0].remote.codecs == std::vector<std::uint8_t>{0});
    CHECK(at_b[0].remote.codecs == std::vector<std::uint8_t>{0, 1});
    CHECK(pair.seen == std::vector<std::string>{"hello", "welcome"});
}

TEST_CASE("another major version is rejected for good") {
    Pair pair;
    auto hello = std::get<wire::Hello>(pair.a.link.next_frame(pair.now, true)->body);
    hello.major += 1;
    pair.b.link.on_frame(pair.now, {wire::Lane::control, hello});
    pair.run();
    REQUIRE(pair.a.closed());
    CHECK(pair.a.closed()->error.code == ErrorCode::kLinkVersion);
    CHECK(pair.a.closed()->permanent);
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkVersion);
}

TEST_CASE("a newer minor version agrees on the older one") {
    Pair pair;
    auto hello = std::get<wire::Hello>(pair.a.link.next_frame(pair.now, true)->body);
    hello.minor = 9;
    pair.b.link.on_frame(pair.now, {wire::Lane::control, hello});
    pair.run();
    CHECK(pair.a.link.is_up());
    CHECK(pair.b.all<Up>()[0].remote.minor == wire::kProtocolMinor);
}

TEST_CASE("another federation is rejected for good, a full listener only for now") {
    Options options;
    options.b.federation = "beef";
    Pair other(options);
    other.run();
    REQUIRE(other.a.closed());
    CHECK(other.a.closed()->error.code == ErrorCode::kTlsFederation);
    CHECK(other.a.closed()->permanent);

    Pair full;
    full.auto_welcome = false;
    full.run();
    full.b.link.reject(wire::RejectReason::busy, "512 links");
    full.run();
    REQUIRE(full.a.closed());
    CHECK(full.a.closed()->error.code == ErrorCode::kLinkBusy);
    CHECK(!full.a.closed()->permanent);
    CHECK(full.a.closed()->error.what.find("512 links") != std::string::npos);
}

TEST_CASE("a link on which nobody says hello is closed at its deadline") {
    Pair pair;
    pair.swallow(pair.a);
    CHECK(pair.b.link.next_deadline() == pair.now + 5s);
    pair.wait(4999ms);
    CHECK(!pair.b.closed());
    pair.wait(1ms);
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkTimeout);
    REQUIRE(pair.a.closed());  // it had no WELCOME either
    CHECK(pair.a.closed()->error.code == ErrorCode::kLinkTimeout);
    CHECK(!pair.a.closed()->permanent);
}

TEST_CASE("messages cross in order on their lanes, and none before the link is up") {
    Pair pair;
    CHECK(pair.a.link.send(pair.now, beat(1), wire::Lane::control));  // not up: dropped
    pair.run();
    CHECK(pair.b.all<Received>().empty());
    for (std::uint64_t i = 0; i < 5; ++i) {
        CHECK(pair.a.link.send(pair.now, message::Commit{{1}, i}, wire::Lane::round));
        CHECK(pair.a.link.send(pair.now, beat(i), wire::Lane::control));
    }
    pair.run();
    const auto got = pair.b.all<Received>();
    REQUIRE(got.size() == 10);
    for (std::uint64_t i = 0; i < 5; ++i) {
        CHECK(std::get<message::Heartbeat>(got[i].message).sequence == i);
        CHECK(std::get<message::Commit>(got[5 + i].message).round == i);
    }
}

TEST_CASE("without room only the control lane is handed out") {
    Pair pair;
    pair.run();
    CHECK(pair.a.link.send(pair.now, message::Commit{{1}, 1}, wire::Lane::round));
    CHECK(!pair.a.link.next_frame(pair.now, false));
    CHECK(pair.a.link.send(pair.now, beat(1), wire::Lane::control));
    CHECK(pair.a.link.next_frame(pair.now, false));
    CHECK(!pair.a.link.next_frame(pair.now, false));
    CHECK(pair.a.link.next_frame(pair.now, true));
}

TEST_CASE("a message too large for the wire is refused here and the link stays") {
    Pair pair;
    pair.run();
    const message::Join join{.run_name = std::string(wire::kNameMax + 1, 'x')};
    auto status = pair.a.link.send(pair.now, join, wire::Lane::round);
    REQUIRE(!status);
    CHECK(status.error().code == ErrorCode::kFrameTooLarge);
    CHECK(pair.a.link.is_up());
}

TEST_CASE("a heartbeat whose news is too large goes out without it") {
    Pair pair;
    pair.run();
    message::Heartbeat heavy{.sequence = 5};
    for (std::uint64_t n = 0; n < 128; ++n)
        heavy.news.push_back({PeerId::of_number(n),
                              Role::peer,
                              {},
                              1,
                              std::vector<std::string>(8, std::string(262, 'x'))});
    const auto status = pair.a.link.send(pair.now, heavy, wire::Lane::control);
    REQUIRE(!status);
    CHECK(status.error().code == ErrorCode::kFrameTooLarge);
    pair.run();
    REQUIRE(pair.b.all<Received>().size() == 1);
    CHECK(pair.b.all<Received>()[0].message == beat(5));
}

TEST_CASE("frames before the link is up, or sent twice, close it") {
    Pair pair;
    pair.b.link.on_frame(pair.now, {wire::Lane::control, beat(1)});
    pair.b.drain();
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kFrameOrder);

    Pair twice;
    twice.run();
    twice.b.link.on_frame(twice.now, {wire::Lane::control, wire::Hello{.federation = "f00d"}});
    twice.run();
    REQUIRE(twice.b.closed());
    CHECK(twice.a.closed()->error.code == ErrorCode::kFrameOrder);  // the goodbye says why
}

TEST_CASE("a peer that floods is cut off, one that sends steadily is not") {
    Pair pair;
    pair.run();
    for (int i = 0; i < 20000; ++i) {
        pair.now = pair.now + 1ms;
        pair.b.link.on_frame(pair.now, {wire::Lane::control, beat(1)});
    }
    CHECK(pair.b.link.is_up());
    pair.b.drain();
    for (int i = 0; i < 5000 && pair.b.link.is_up(); ++i)
        pair.b.link.on_frame(pair.now, {wire::Lane::control, beat(1)});
    pair.b.drain();
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkFlood);
}

TEST_CASE("members as fast as their machine are no flood: each transfer pays for its frames") {
    Pair pair;
    pair.run();
    const auto payload = link::testing::payload_of(100, 1, pair.pool);
    for (std::uint64_t step = 1; step <= 3000; ++step) {  // in no time at all
        for (auto* end : {&pair.a, &pair.b}) {
            CHECK(end->link.send(pair.now, beat(step), wire::Lane::control));
            end->link.offer(pair.now, {step}, link::testing::manifest_of(payload), payload);
        }
        pair.run();
        for (auto* end : {&pair.a, &pair.b}) end->link.grant(pair.now, {step});
        pair.run();
        REQUIRE(pair.a.link.is_up());
        REQUIRE(pair.b.link.is_up());
    }
    CHECK(pair.a.news<message::TransferArrived>().size() == 3000);
}

TEST_CASE("a side that never reads cannot make the queues grow without end") {
    Pair pair;
    pair.run();
    int sent = 0;
    while (pair.a.link.is_up() && sent < 10000)
        (void)pair.a.link.send(pair.now, message::Commit{{1}, 1}, wire::Lane::round), ++sent;
    CHECK(sent <= 1025);
    pair.a.drain();
    CHECK(pair.a.closed()->error.code == ErrorCode::kLinkTimeout);
}

TEST_CASE("offers made and withdrawn to a side that never reads do not grow without end either") {
    Pair pair;
    pair.run();
    const auto payload = link::testing::payload_of(1000, 1, pair.pool);
    std::uint64_t made = 0;
    while (pair.a.link.is_up() && made < 10'000) {
        pair.a.link.offer(pair.now, {++made}, link::testing::manifest_of(payload), payload);
        pair.a.link.withdraw(pair.now, {made});
    }
    CHECK(made <= 513);
    pair.a.drain();
    REQUIRE(pair.a.closed());
    CHECK(pair.a.closed()->error.code == ErrorCode::kLinkTimeout);
}

TEST_CASE("an orderly close is heard as one, and everything after it is ignored") {
    Pair pair;
    pair.run();
    pair.a.link.close(pair.now, {ErrorCode::kLinkClosed, "stopping", {}});
    pair.run();
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkClosed);
    CHECK(pair.b.closed()->error.what == "stopping");
    pair.b.link.on_frame(pair.now, {wire::Lane::control, beat(1)});
    CHECK(!pair.b.link.next_event());
    CHECK(pair.b.link.next_deadline().is_never());
}

TEST_CASE("what was said before an orderly close is heard, even where there was no room yet") {
    Pair pair;
    pair.run();
    CHECK(
        pair.a.link.send(pair.now, message::RunFinished{{1}, 9, {}, "rounds"}, wire::Lane::round));
    CHECK(pair.a.link.send(pair.now, message::Leave{1, "done"}, wire::Lane::control));
    pair.a.link.close(pair.now, {ErrorCode::kLinkClosed, "stopping", {}});
    while (pair.step(pair.a, false)) {
    }
    const auto got = pair.b.all<Received>();
    REQUIRE(got.size() == 2);
    CHECK(std::get<message::RunFinished>(got[1].message).round == 9);
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.what == "stopping");
}
