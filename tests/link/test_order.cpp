// Frames of transfers that no honest peer sends: each ends the link, and frees what was reserved.
#include "pair.hpp"

using namespace gossamer;
using namespace gossamer::link;
using link::testing::End;
using link::testing::manifest_of;
using link::testing::Pair;
using link::testing::payload_of;

namespace {

wire::Frame transfer_frame(wire::Body body) {
    const auto lane = wire::lane_of(body);
    return {lane, std::move(body)};
}

// `b` was offered stream 1 by `a`, of 100,000 bytes.
struct Offered : Pair {
    explicit Offered(bool granted) : payload(payload_of(100'000, 1, pool)) {
        run();
        a.link.offer(now, {1}, manifest_of(payload), payload);
        while (step(a)) {
        }
        if (!granted) return;
        b.link.grant(now, {1});
        while (step(b)) {
        }
    }
    tensor::Payload payload;
};

void breaks(Pair& pair, End& at, wire::Body body, ErrorCode code = ErrorCode::kFrameOrder) {
    at.link.on_frame(pair.now, transfer_frame(std::move(body)));
    at.drain();
    REQUIRE(at.closed());
    CHECK(at.closed()->error.code == code);
    CHECK(at.link.is_closed());
    CHECK(at.news<message::TransferArrived>().empty());
    CHECK(at.news<message::TransferDelivered>().empty());
}

}  // namespace

TEST_CASE("an end before all bytes is no arrival, whatever its checksum") {
    for (const bool granted : {false, true}) {
        Offered pair(granted);
        CAPTURE(granted);
        Digest128 sum = digest128({});
        if (granted) {  // of the half that came
            const auto half = pair.payload.bytes().first(50'000);
            const auto space = pair.b.link.chunk_space(pair.now, 1, 50'000);
            REQUIRE(space);
            std::ranges::copy(half, space->begin());
            pair.b.link.chunk_landed(pair.now, 1, 50'000);
            sum = digest128(half);
        }
        breaks(pair, pair.b, wire::TransferEnd{1, sum, {}});
    }
}

TEST_CASE("nothing is delivered that was not sent to its end") {
    for (const bool granted : {false, true}) {
        Offered pair(granted);
        CAPTURE(granted);
        breaks(pair, pair.a, wire::Delivered{1});
    }
}

TEST_CASE("a stream is granted once, and has credit only then") {
    Offered again(true), early(false);
    breaks(again, again.a, wire::Grant{1, 1000});
    breaks(early, early.a, wire::Credit{1, 1000});
}

TEST_CASE("streams that were never offered are named by nobody") {
    const std::vector<wire::Body> to_sender = {wire::Grant{2, 1000}, wire::Credit{2, 1},
                                               wire::Delivered{2}, wire::Grant{0, 1},
                                               wire::Refuse{2, message::RefuseReason::busy}};
    const std::vector<wire::Body> to_receiver = {wire::TransferEnd{2, {}, {}}, wire::Withdraw{2},
                                                 wire::Withdraw{0}};
    for (const auto& body : to_sender) {
        Offered pair(true);
        breaks(pair, pair.a, body);
    }
    for (const auto& body : to_receiver) {
        Offered pair(true);
        breaks(pair, pair.b, body);
    }
}

TEST_CASE("an offer takes a new stream, and a transfer is offered once") {
    Offered same(false), twice(false);
    breaks(same, same.b, wire::Offer{1, {2}, manifest_of(same.payload)});
    breaks(twice, twice.b, wire::Offer{2, {1}, manifest_of(twice.payload)});
}

TEST_CASE("what was reserved for a hostile sender is free once its link is gone") {
    auto staging = [] {
        Offered pair(true);
        CHECK(pair.b.staging->used_bytes() == 100'000);
        breaks(pair, pair.b, wire::TransferEnd{1, {}, {}});
        return pair.b.staging;
    }();
    CHECK(staging->used_bytes() == 0);
}

TEST_CASE("a grant of more than was offered is credit for no more") {
    Offered pair(false);
    pair.a.link.on_frame(pair.now, transfer_frame(wire::Grant{1, ~std::uint64_t{0}}));
    std::uint64_t sent = 0;
    while (auto frame = pair.a.link.next_frame(pair.now, true))
        if (const auto* chunk = std::get_if<wire::Chunk>(&frame->body)) sent += chunk->length;
    CHECK(sent == 100'000);
}
