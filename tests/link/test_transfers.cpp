#include "pair.hpp"

using namespace gossamer;
using namespace gossamer::link;
using link::testing::End;
using link::testing::manifest_of;
using link::testing::Options;
using link::testing::Pair;
using link::testing::payload_of;

namespace {

void offer(Pair& pair, End& from, std::uint64_t id, const tensor::Payload& payload) {
    from.link.offer(pair.now, {id}, manifest_of(payload), payload);
}
void grant_all(Pair& pair, End& at) {
    for (const auto& n : at.all<TransferNews>())
        if (std::holds_alternative<message::TransferOffered>(n.event))
            at.link.grant(pair.now, n.id);
}

}  // namespace

TEST_CASE("transfers cross in both directions at once and arrive whole") {
    Pair pair;
    pair.run();
    const auto there = payload_of(10'000'000, 1, pair.pool),
               back = payload_of(3'000'001, 2, pair.pool);
    offer(pair, pair.a, 5, there);
    offer(pair, pair.b, 5, back);
    pair.run();
    CHECK(pair.a.news<message::TransferArrived>().empty());  // nothing moves before the grant
    CHECK(pair.b.staging->used_bytes() == 0);
    pair.b.link.grant(pair.now, {5});
    pair.a.link.grant(pair.now, {5});
    CHECK(pair.b.staging->used_bytes() == 10'000'000);
    pair.run();
    const auto at_b = pair.b.news<message::TransferArrived>(),
               at_a = pair.a.news<message::TransferArrived>();
    REQUIRE(at_b.size() == 1);
    REQUIRE(at_a.size() == 1);
    CHECK(std::ranges::equal(at_b[0].payload.bytes(), there.bytes()));
    CHECK(std::ranges::equal(at_a[0].payload.bytes(), back.bytes()));
    CHECK(at_b[0].manifest == manifest_of(there));
    CHECK(pair.a.news<message::TransferDelivered>().size() == 1);
    CHECK(pair.b.news<message::TransferDelivered>().size() == 1);
    CHECK(pair.b.staging->used_bytes() == 0);  // the handle owns the bytes now
}

TEST_CASE("a heartbeat is the very next frame, however much bulk waits") {
    Pair pair;
    pair.run();
    for (std::uint64_t i = 1; i <= 3; ++i)
        offer(pair, pair.a, i, payload_of(5'000'000, i, pair.pool));
    pair.run();
    grant_all(pair, pair.b);
    while (pair.step(pair.b)) {
    }
    for (int i = 0; i < 40; ++i) REQUIRE(pair.step(pair.a));
    REQUIRE(pair.seen.back() == "chunk");
    CHECK(pair.a.link.send(pair.now, message::Commit{{1}, 1}, wire::Lane::round));
    CHECK(pair.a.link.send(pair.now, message::Heartbeat{.sequence = 9}, wire::Lane::control));
    pair.step(pair.a);
    CHECK(pair.seen.back() == "heartbeat");
    CHECK(std::get<message::Heartbeat>(pair.b.all<Received>().back().message).busy);
    pair.step(pair.a);
    CHECK(pair.seen.back() == "commit");
    pair.step(pair.a);
    CHECK(pair.seen.back() == "chunk");
}

TEST_CASE("credit holds the sender back and moves on with what has landed") {
    Options options;
    options.limits.credit_window_bytes = 4 * options.limits.chunk_bytes;
    Pair pair(options);
    pair.run();
    offer(pair, pair.a, 1, payload_of(2'000'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    REQUIRE(pair.step(pair.b));
    int chunks = 0;
    while (pair.step(pair.a)) ++chunks;  // nobody delivers the credit frames
    CHECK(chunks == 4);
    CHECK(!pair.a.link.next_frame(pair.now, true));
    pair.run();
    CHECK(pair.b.news<message::TransferArrived>().size() == 1);
}

TEST_CASE("bytes beyond the credit close the link") {
    Options options;
    options.limits.credit_window_bytes = 100'000;
    Pair pair(options);
    pair.run();
    offer(pair, pair.a, 1, payload_of(500'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    CHECK(pair.b.link.chunk_space(pair.now, 1, 100'000));
    auto beyond = pair.b.link.chunk_space(pair.now, 1, 100'001);
    REQUIRE(!beyond);
    CHECK(beyond.error().code == ErrorCode::kLinkCredit);
    auto never = pair.b.link.chunk_space(pair.now, 2, 10);
    REQUIRE(!never);
    CHECK(never.error().code == ErrorCode::kFrameOrder);
}

TEST_CASE("a refusal reaches the sender with its reason and frees its place") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(1000, 1, pair.pool));
    pair.run();
    pair.b.link.refuse(pair.now, {1}, message::RefuseReason::stale);
    pair.run();
    const auto refused = pair.a.news<message::TransferRefused>();
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].reason == message::RefuseReason::stale);
    offer(pair, pair.a, 1, payload_of(1000, 1, pair.pool));  // the same id may come again
    pair.run();
    CHECK(pair.b.news<message::TransferOffered>().size() == 2);
}

TEST_CASE("a withdrawn transfer stops in the middle and frees its reservation") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(5'000'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    pair.step(pair.b);
    for (int i = 0; i < 10; ++i) pair.step(pair.a);
    pair.a.link.withdraw(pair.now, {1});
    pair.run();
    const auto lost = pair.b.news<message::TransferLost>();
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].error.code == ErrorCode::kCancelled);
    CHECK(lost[0].incoming);
    CHECK(pair.b.staging->used_bytes() == 0);
    CHECK(pair.a.link.is_up());
    pair.b.link.grant(pair.now, {1});  // too late, and harmless
    pair.run();
    CHECK(pair.b.link.is_up());
}

TEST_CASE("a transfer that is not wanted any more stops in the middle, and the next has its time") {
    Pair pair;
    pair.run();
    for (std::uint64_t i = 1; i <= 2; ++i)
        offer(pair, pair.a, i, payload_of(5'000'000, i, pair.pool));
    pair.run();
    grant_all(pair, pair.b);
    while (pair.step(pair.b)) {
    }
    for (int i = 0; i < 10; ++i) REQUIRE(pair.step(pair.a));
    REQUIRE(pair.seen.back() == "chunk");
    pair.now = pair.now + 9s;  // nothing came meanwhile
    pair.b.link.refuse(pair.now, {1}, message::RefuseReason::stale);
    CHECK(pair.b.staging->used_bytes() == 5'000'000);
    CHECK(pair.b.link.next_deadline() >= pair.now + 10s);  // of the second, from now on
    pair.run();
    const auto lost = pair.a.news<message::TransferLost>();
    REQUIRE(lost.size() == 1);
    CHECK(lost[0].error.code == ErrorCode::kTransferRefused);
    CHECK(pair.b.news<message::TransferLost>().empty());  // it knows
    CHECK(pair.b.news<message::TransferArrived>().size() == 1);
    CHECK(pair.b.staging->used_bytes() == 0);
    CHECK(pair.a.link.is_up());
}

TEST_CASE("grants beyond the staging wait for room, in order") {
    Options options;
    options.staging_bytes = 3'000'000;
    Pair pair(options);
    pair.run();
    for (std::uint64_t i = 1; i <= 4; ++i)
        offer(pair, pair.a, i, payload_of(2'000'000, i, pair.pool));
    pair.run();
    grant_all(pair, pair.b);
    CHECK(pair.b.staging->used_bytes() == 2'000'000);
    CHECK(pair.b.link.waits_for_room());
    pair.run();
    const auto arrived = pair.b.news<message::TransferArrived>();
    CHECK(arrived.size() == 4);
    CHECK(!pair.b.link.waits_for_room());
    CHECK(pair.b.staging->used_bytes() == 0);
}

TEST_CASE("room freed by another link is found at the next deadline") {
    Pair pair;
    pair.run();
    REQUIRE(pair.b.staging->reserve(63 << 20));
    offer(pair, pair.a, 1, payload_of(2'000'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    pair.run();
    CHECK(pair.b.link.waits_for_room());
    pair.b.staging->release(63 << 20);
    REQUIRE(!pair.b.link.next_deadline().is_never());
    pair.wait(pair.b.link.next_deadline() - pair.now);
    pair.run();
    CHECK(pair.b.news<message::TransferArrived>().size() == 1);
}

TEST_CASE("a transfer larger than the whole staging is refused at once") {
    Options options;
    options.staging_bytes = 1'000'000;
    Pair pair(options);
    pair.run();
    offer(pair, pair.a, 1, payload_of(1'000'001, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    pair.run();
    CHECK(pair.a.news<message::TransferRefused>().at(0).reason == message::RefuseReason::busy);
    CHECK(pair.b.news<message::TransferLost>().at(0).error.code == ErrorCode::kTransferTooLarge);
}

TEST_CASE("a corrupted transfer is lost on both sides and does not arrive") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(300'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    pair.corrupt_next = true;
    pair.run();
    CHECK(pair.b.news<message::TransferArrived>().empty());
    CHECK(pair.b.news<message::TransferLost>().at(0).error.code == ErrorCode::kTransferChecksum);
    CHECK(pair.a.news<message::TransferLost>().at(0).error.code == ErrorCode::kTransferChecksum);
    CHECK(pair.a.link.is_up());
    CHECK(pair.b.staging->used_bytes() == 0);
}

TEST_CASE("a transfer without progress is given up and its reservation freed") {
    Pair pair;
    pair.run();
    for (std::uint64_t i = 1; i <= 2; ++i)
        offer(pair, pair.a, i, payload_of(1'000'000, i, pair.pool));
    pair.run();
    grant_all(pair, pair.b);
    CHECK(pair.b.staging->used_bytes() == 2'000'000);
    pair.swallow(pair.b);  // the grants never reach the sender
    const auto limit = pair.b.link.next_deadline() - pair.now;
    CHECK(limit <= 60s);
    pair.wait(limit - 1ns);
    CHECK(pair.b.news<message::TransferLost>().empty());
    pair.wait(1ns);
    const auto lost = pair.b.news<message::TransferLost>();
    REQUIRE(lost.size() == 1);  // the second one's time begins only now
    CHECK(lost[0].error.code == ErrorCode::kTransferStalled);
    CHECK(pair.b.staging->used_bytes() == 1'000'000);
    pair.wait(limit);
    CHECK(pair.b.staging->used_bytes() == 0);
    pair.run();
    CHECK(pair.a.news<message::TransferLost>().size() == 2);  // told by the receiver
}

TEST_CASE("a trickle below the least rate does not keep a reservation alive") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(1'000'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    while (pair.step(pair.b)) {
    }
    for (int second = 0; second < 100 && pair.b.news<message::TransferLost>().empty(); ++second) {
        auto space = pair.b.link.chunk_space(pair.now, 1, 10);
        REQUIRE(space);
        if (!space->empty()) pair.b.link.chunk_landed(pair.now, 1, 10);
        pair.wait(1s);
    }
    CHECK(pair.b.news<message::TransferLost>().at(0).error.code == ErrorCode::kTransferStalled);
}

TEST_CASE("waiting for a grant never counts against the sender") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(1'000'000, 1, pair.pool));
    pair.run();
    for (int i = 0; i < 100; ++i) pair.wait(60s);
    CHECK(pair.a.news<message::TransferLost>().empty());
    pair.b.link.grant(pair.now, {1});
    pair.run();
    CHECK(pair.a.news<message::TransferDelivered>().size() == 1);
}

TEST_CASE("a sender whose transfer is never acknowledged gives it up") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(100'000, 1, pair.pool));
    pair.run();
    pair.b.link.grant(pair.now, {1});
    while (pair.step(pair.b)) {
    }
    while (pair.step(pair.a)) {
    }
    pair.swallow(pair.b);  // DELIVERED is lost
    for (int i = 0; i < 10 && pair.a.news<message::TransferLost>().empty(); ++i) pair.wait(10s);
    CHECK(pair.a.news<message::TransferLost>().at(0).error.code == ErrorCode::kTransferStalled);
}

TEST_CASE(
    "when the link breaks both sides hear that their transfers are lost, then that it closed") {
    Pair pair;
    pair.run();
    offer(pair, pair.a, 1, payload_of(1'000'000, 1, pair.pool));
    offer(pair, pair.b, 2, payload_of(1'000'000, 2, pair.pool));
    pair.run();
    grant_all(pair, pair.a);
    grant_all(pair, pair.b);
    for (End* end : {&pair.a, &pair.b}) {
        end->link.on_broken({ErrorCode::kNetReset, "reset", {}});
        end->drain();
        const auto lost = end->news<message::TransferLost>();
        REQUIRE(lost.size() == 2);
        CHECK(lost[0].incoming != lost[1].incoming);
        CHECK(end->closed()->error.code == ErrorCode::kNetReset);
        CHECK(end->staging->used_bytes() == 0);
    }
}

TEST_CASE(
    "more unfinished offers than allowed are refused as busy here, and a flood closes the link") {
    Pair pair;
    pair.run();
    const auto payload = payload_of(1000, 1, pair.pool);
    for (std::uint64_t i = 1; i <= 65; ++i) offer(pair, pair.a, i, payload);
    pair.run();
    CHECK(pair.b.news<message::TransferOffered>().size() == 64);
    CHECK(pair.a.news<message::TransferRefused>().at(0).reason == message::RefuseReason::busy);
    CHECK(pair.b.link.is_up());
    pair.b.link.on_frame(pair.now,
                         {wire::Lane::round, wire::Offer{1000, {1000}, manifest_of(payload)}});
    pair.b.drain();
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkFlood);
}

TEST_CASE("over handles the same frames flow and the sender's own bytes arrive") {
    Options options;
    options.over_handles = true;
    Pair handles(options), bytes;
    for (Pair* pair : {&handles, &bytes}) {
        pair->run();
        const auto payload = payload_of(1'000'000, 1, pair->pool);
        offer(*pair, pair->a, 1, payload);
        pair->run();
        pair->b.link.grant(pair->now, {1});
        pair->run();
        const auto arrived = pair->b.news<message::TransferArrived>();
        REQUIRE(arrived.size() == 1);
        CHECK(arrived[0].payload.same_as(payload) == (pair == &handles));
    }
    CHECK(handles.seen == bytes.seen);
}

TEST_CASE("over handles a payload that is not what its checksum says is lost to both") {
    Options options;
    options.over_handles = true;
    for (const bool damaged : {true, false}) {
        Pair pair(options);
        pair.run();
        const auto payload = payload_of(1000, 1, pair.pool), other = payload_of(1000, 2, pair.pool);
        offer(pair, pair.a, 1, payload);
        pair.alter = [&](wire::Frame& frame) {
            auto* end = std::get_if<wire::TransferEnd>(&frame.body);
            if (!end) return;
            end->checksum = digest128(payload.bytes());
            if (damaged) end->handle = other;
        };
        pair.run();
        pair.b.link.grant(pair.now, {1});
        pair.run();
        CHECK(pair.b.news<message::TransferArrived>().size() == (damaged ? 0 : 1));
        if (!damaged) continue;
        for (auto* end : {&pair.a, &pair.b})
            CHECK(end->news<message::TransferLost>().at(0).error.code ==
                  ErrorCode::kTransferChecksum);
        CHECK(pair.b.staging->used_bytes() == 0);
    }
}
