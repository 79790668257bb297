#include <doctest/doctest.h>

#include "tls_pair.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

struct World {
    Federation federation = federation_of(1);
    Member alice = member_of(federation, 11), bob = member_of(federation, 12, Role::aggregator);
    TlsContext alice_context = context_of(federation, alice);
    TlsContext bob_context = context_of(federation, bob);

    TlsPair joined() const {
        TlsPair pair(alice_context, bob_context);
        pair.settle();
        REQUIRE(pair.dialler.handshake_done());
        REQUIRE(pair.listener.handshake_done());
        return pair;
    }
};

Bytes pattern(std::size_t size, std::uint64_t start) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::byte>((start + i) * 2654435761u >> 16);
    return bytes;
}

// A small generator of our own, so that the test does not depend on the streams of base.
struct Dice {
    std::uint64_t state;
    std::uint64_t below(std::uint64_t n) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        return (state >> 33) % n;
    }
};

}  // namespace

TEST_CASE("two members meet, and each knows who the other is") {
    const World w;
    TlsPair pair(w.alice_context, w.bob_context,
                 {.now = kNow, .expected_peer = w.bob.key.peer_id()});
    CHECK_FALSE(pair.dialler.output().empty());
    pair.settle();
    REQUIRE(pair.dialler.handshake_done());
    REQUIRE(pair.listener.handshake_done());
    CHECK(pair.dialler.peer() == w.bob_context.self());
    CHECK(pair.listener.peer() == w.alice_context.self());
    CHECK(pair.dialler.peer().role == Role::aggregator);
    CHECK(pair.listener.peer().id == w.alice.key.peer_id());
}

TEST_CASE("the handshake works one byte at a time") {
    const World w;
    TlsPair pair(w.alice_context, w.bob_context);
    pair.settle(1);
    CHECK(pair.dialler.handshake_done());
    CHECK(pair.listener.handshake_done());
}

TEST_CASE("bytes of odd sizes arrive whole and in order, in both directions at once") {
    const World w;
    auto pair = w.joined();
    const std::uint64_t seed = 20261121;
    CAPTURE(seed);
    Dice dice{seed};
    struct Direction {
        TlsEngine *from, *to;
        std::uint64_t sent = 0, received = 0;
    } ways[] = {{&pair.dialler, &pair.listener}, {&pair.listener, &pair.dialler}};
    Bytes buffer(200'000);
    for (int step = 0; step < 300; ++step) {
        auto& way = ways[dice.below(2)];
        const auto header = pattern(dice.below(40), way.sent);
        const auto body =
            pattern(dice.below(step % 10 == 0 ? 150'000 : 5'000), way.sent + header.size());
        const auto before = way.from->output().size();
        REQUIRE(way.from->write(header, body));
        REQUIRE(way.from->output().size() - before == tls_wire_bytes(header.size(), body.size()));
        way.sent += header.size() + body.size();
        if (dice.below(3) != 0) continue;
        carry(*way.from, *way.to, 1 + dice.below(70'000));
        for (;;) {
            const auto part = std::span(buffer).first(1 + dice.below(buffer.size() - 1));
            const auto count = way.to->read(part).value();
            if (count == 0) break;
            REQUIRE(Bytes(part.begin(), part.begin() + static_cast<long>(count)) ==
                    pattern(count, way.received));
            way.received += count;
        }
        REQUIRE(way.received == way.sent);
    }
    CHECK(ways[0].sent + ways[1].sent > 1'000'000);
}

TEST_CASE("keys are renewed under way without anyone noticing") {
    const World w;
    const auto eager = context_of(w.federation, w.alice, kNow, {.rekey_bytes = 10'000});
    TlsPair pair(eager, w.bob_context);
    pair.settle();
    Bytes buffer(40'000);
    for (std::uint64_t i = 0; i < 20; ++i) {
        REQUIRE(pair.dialler.write(pattern(7'000, i)));
        carry(pair.dialler, pair.listener);
        REQUIRE(pair.listener.read(buffer).value() == 7'000);
        REQUIRE(pair.listener.write(pattern(10, i)));
        carry(pair.listener, pair.dialler);
        REQUIRE(pair.dialler.read(buffer).value() == 10);
    }
}

TEST_CASE("a close is heard once, and nothing waits for an answer to it") {
    const World w;
    auto pair = w.joined();
    REQUIRE(pair.dialler.write(as_bytes("last words")));
    pair.dialler.close();
    pair.dialler.close();
    CHECK(pair.dialler.write(as_bytes("more")).error().code == ErrorCode::kLinkClosed);
    carry(pair.dialler, pair.listener);
    std::array<std::byte, 32> buffer;
    CHECK(pair.listener.read(buffer).value() == 10);
    CHECK(pair.listener.read(buffer).value() == 0);
    CHECK(pair.listener.peer_closed());
    CHECK(pair.listener.end_of_input());
    CHECK(pair.listener.output().empty());
}

TEST_CASE("an end without a close is a truncation, also during the handshake") {
    const World w;
    auto pair = w.joined();
    REQUIRE(pair.dialler.write(pattern(5'000, 0)));
    feed(pair.listener, pair.dialler.output().first(3'000));
    std::array<std::byte, 32> buffer;
    CHECK(pair.listener.read(buffer).value() == 0);
    CHECK(pair.listener.end_of_input().error().code == ErrorCode::kTlsTruncated);
    CHECK(error_of(pair.listener) == ErrorCode::kTlsTruncated);

    TlsPair young(w.alice_context, w.bob_context);
    feed(young.listener, young.dialler.output().first(100));
    CHECK(young.listener.end_of_input().error().code == ErrorCode::kTlsTruncated);
    TlsPair silent(w.alice_context, w.bob_context);
    CHECK(silent.listener.end_of_input().error().code == ErrorCode::kTlsTruncated);
}

TEST_CASE("a changed record is refused, what came before it is kept, and the sender is told") {
    const World w;
    auto pair = w.joined();
    REQUIRE(pair.dialler.write(pattern(100, 0)));
    REQUIRE(pair.dialler.write(pattern(100, 100)));
    Bytes stream(pair.dialler.output().begin(), pair.dialler.output().end());
    pair.dialler.consume_output(stream.size());
    stream[stream.size() - 50] ^= std::byte{4};
    feed(pair.listener, stream);
    Bytes buffer(1'000);
    CHECK(pair.listener.read(buffer).value() == 100);
    CHECK(error_of(pair.listener) == ErrorCode::kTlsIntegrity);
    CHECK(pair.listener.write(as_bytes("x")).error().code == ErrorCode::kTlsIntegrity);
    carry(pair.listener, pair.dialler);
    CHECK(error_of(pair.dialler) == ErrorCode::kTlsIntegrity);
}

TEST_CASE("an idle connection gives its memory back and works on") {
    const World w;
    auto pair = w.joined();
    Bytes buffer(300'000);
    for (int i = 0; i < 3; ++i) {
        REQUIRE(pair.dialler.write(pattern(250'000, 9)));
        carry(pair.dialler, pair.listener, 1 << 18);
        REQUIRE(pair.listener.read(buffer).value() == 250'000);
        CHECK(pair.listener.buffer_bytes() > 0);
        pair.dialler.trim();
        pair.listener.trim();
        CHECK(pair.dialler.buffer_bytes() + pair.listener.buffer_bytes() == 0);
    }
}

TEST_CASE("what an unusually large write needed goes with its last byte") {
    const World w;
    auto pair = w.joined();
    const auto before = pair.dialler.buffer_bytes();
    const auto data = pattern(1'000'000, 5);
    REQUIRE(pair.dialler.write(data));
    const auto sealed = pair.dialler.output().size();
    pair.dialler.consume_output(sealed - 1);
    CHECK(pair.dialler.buffer_bytes() > data.size());
    pair.dialler.consume_output(1);
    CHECK(pair.dialler.buffer_bytes() <= before);
}

TEST_CASE("a node does not start with material that others would refuse") {
    const World w;
    const auto code = [&](const Member& m, const TrustBundle& trust, WallTime now) {
        const auto context = TlsContext::create(m.key, m.chain, trust, now);
        REQUIRE(!context);
        return context.error().code;
    };
    const auto other = federation_of(2);
    CHECK(code(w.alice, w.federation.trust, kNow + 8 * kDay) == ErrorCode::kTlsExpired);
    CHECK(code(w.alice, w.federation.trust, kNow + -kDay) == ErrorCode::kTlsNotYetValid);
    CHECK(code(w.alice, other.trust, kNow) == ErrorCode::kTlsFederation);
    const Member mixed{IdentityKey::from_seed(seed_of(12)), w.alice.chain};
    CHECK(code(mixed, w.federation.trust, kNow) == ErrorCode::kTlsKeyMismatch);

    const auto key = w.alice.key.to_pem();
    const auto chain = to_pem(w.alice.chain), trust = w.federation.trust.to_pem();
    CHECK(TlsContext::from_pem({key.view(), as_bytes(chain), as_bytes(trust)}, kNow)
              .value()
              .self()
              .id == w.alice.key.peer_id());
    CHECK(TlsContext::from_pem({as_bytes(chain), as_bytes(chain), as_bytes(trust)}, kNow)
              .error()
              .code == ErrorCode::kKeyFormat);
}
