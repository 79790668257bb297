#include "session_pair.hpp"

#include <random>

using namespace gossamer;
using namespace gossamer::session;
using namespace gossamer::session::testing;

namespace {

message::Message beat(std::uint64_t n) { return message::Heartbeat{.sequence = n}; }

// A plaintext frame as a hostile but authenticated peer could send it.
void send_raw(Pair& pair, security::TlsEngine& engine, ByteView bytes) {
    REQUIRE(engine.write(bytes));
    const Bytes cipher(engine.output().begin(), engine.output().end());
    engine.consume_output(cipher.size());
    pair.b.feed(pair.now, cipher);
}

Bytes bytes_of(const wire::Frame& frame) {
    Bytes out;
    wire::encode(frame, out);
    return out;
}

// A TLS engine of our own federation that says whatever the test wants to `pair.b`.
struct Hostile {
    World world;
    Pair pair{world.alice_context, world.bob_context};
    security::TlsEngine engine{world.alice_context, TlsSide::dialler, {.now = kNow}};

    Hostile() {
        for (int i = 0; i < 4; ++i) {
            const Bytes out(engine.output().begin(), engine.output().end());
            engine.consume_output(out.size());
            pair.b.feed(pair.now, out);
            ByteView back = pair.b.session.output();
            auto space = engine.input_space(back.size());
            const auto n = std::min(space.size(), back.size());
            std::memcpy(space.data(), back.data(), n);
            pair.b.session.consume_output(pair.now, n);
            engine.commit_input(n);
            REQUIRE(engine.read({}));
        }
        REQUIRE(engine.handshake_done());
    }
    void say(ByteView bytes) { send_raw(pair, engine, bytes); }
    void hello() {
        say(bytes_of({wire::Lane::control,
                      wire::Hello{.federation = world.federation.trust.federation().to_string()}}));
    }
    ErrorCode outcome() {
        REQUIRE(pair.b.closed());
        return pair.b.closed()->error.code;
    }
};

}  // namespace

TEST_CASE("two sessions find each other and exchange messages") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    pair.run();
    REQUIRE(pair.a.session.is_up());
    REQUIRE(pair.b.session.is_up());
    CHECK(pair.a.all<Identified>().at(0).peer.id == w.bob.key.peer_id());
    CHECK(pair.b.all<Identified>().at(0).peer.id == w.alice.key.peer_id());
    CHECK(pair.a.session.link().send(pair.now, beat(7), wire::Lane::control));
    CHECK(pair.b.session.link().send(pair.now, message::Commit{{1}, 3}, wire::Lane::round));
    pair.run();
    CHECK(std::get<message::Heartbeat>(pair.b.all<link::Received>().at(0).message).sequence == 7);
    CHECK(std::get<message::Commit>(pair.a.all<link::Received>().at(0).message).round == 3);
}

TEST_CASE("ten megabytes arrive whole, whatever the size of the pieces") {
    for (const std::size_t piece : {std::size_t{1} << 17, std::size_t{997}}) {
        World w;
        Pair pair(w.alice_context, w.bob_context);
        pair.run();
        const auto payload = payload_of(piece > 1000 ? 10'000'000 : 700'001, pair.pool);
        message::Manifest manifest;
        manifest.byte_count = payload.bytes().size();
        pair.a.session.link().offer(pair.now, {4}, manifest, payload);
        pair.run(piece);
        REQUIRE(pair.b.news<message::TransferOffered>().size() == 1);
        pair.b.session.link().grant(pair.now, {4});
        pair.carried = 0;
        pair.run(piece);
        const auto arrived = pair.b.news<message::TransferArrived>();
        REQUIRE(arrived.size() == 1);
        CHECK(std::ranges::equal(arrived[0].payload.bytes(), payload.bytes()));
        CHECK(pair.a.news<message::TransferDelivered>().size() == 1);
        CHECK(pair.carried < payload.bytes().size() * 1.01);  // all overhead together
    }
}

TEST_CASE("no more is sealed than a heartbeat may wait for") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    pair.run();
    const auto payload = payload_of(10'000'000, pair.pool);
    message::Manifest manifest;
    manifest.byte_count = payload.bytes().size();
    pair.a.session.link().offer(pair.now, {4}, manifest, payload);
    pair.run();
    pair.b.session.link().grant(pair.now, {4});
    pair.carry(pair.b, pair.a);
    pair.a.drain(pair.now);  // nothing is taken by the socket
    CHECK(pair.a.session.output().size() < 2 * 64 * 1024 + 1024);
    CHECK(pair.a.session.link().send(pair.now, beat(1), wire::Lane::control));
    const auto before = pair.a.session.output().size();
    pair.a.drain(pair.now);
    CHECK(pair.a.session.output().size() < before + 300);  // the heartbeat, and no more bulk
    CHECK(pair.a.session.output().size() > before);
}

TEST_CASE(
    "certificates that do not fit give the proper error on both sides, and whether to retry") {
    World w;
    const auto stranger = context_of(w.elsewhere, member_of(w.elsewhere, 13));
    Pair other(stranger, w.bob_context);
    other.run();
    REQUIRE(other.a.closed());
    REQUIRE(other.b.closed());
    CHECK(other.a.closed()->error.code == ErrorCode::kTlsFederation);
    CHECK(other.a.closed()->permanent);
    CHECK(other.a.session.finished());
    CHECK(other.b.session.finished());

    const auto bans = std::make_shared<const security::BanList>(1, w.alice.key.peer_id());
    Pair banned(w.alice_context, w.bob_context, {.now = kNow}, {.now = kNow, .banned = bans});
    banned.run();
    CHECK(banned.a.closed()->error.code == ErrorCode::kTlsBanned);
    CHECK(banned.a.closed()->permanent);
    CHECK(banned.b.closed()->error.code == ErrorCode::kTlsBanned);

    Pair unexpected(w.alice_context, w.bob_context,
                    {.now = kNow, .expected_peer = PeerId::of_number(5)});
    unexpected.run();
    CHECK(unexpected.a.closed()->error.code == ErrorCode::kTlsPeerId);
    CHECK(unexpected.a.closed()->permanent);
    REQUIRE(unexpected.b.closed());

    const auto later = kNow + 8 * security::kDay;
    Pair expired(w.alice_context, w.bob_context, {.now = later}, {.now = later});
    expired.run();
    CHECK(expired.a.closed()->error.code == ErrorCode::kTlsExpired);
    CHECK(!expired.a.closed()->permanent);  // certificates are renewed
}

TEST_CASE("a role in HELLO that is not the certificate's is rejected") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    End liar(w.alice_context, TlsSide::dialler, pair.now, pair.pool, {.now = kNow},
             Role::aggregator);
    for (int i = 0; i < 6; ++i) {
        pair.carry(liar, pair.b);
        pair.carry(pair.b, liar);
    }
    REQUIRE(liar.closed());
    CHECK(liar.closed()->error.code == ErrorCode::kTlsRole);
    CHECK(liar.closed()->permanent);
    CHECK(pair.b.closed()->error.code == ErrorCode::kTlsRole);
}

TEST_CASE("an orderly close ends both sides without waiting") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    pair.run();
    pair.a.session.close(pair.now, {ErrorCode::kLinkClosed, "stopping", {}});
    pair.a.drain(pair.now);
    CHECK(pair.a.session.finished());
    pair.run();
    CHECK(pair.b.closed()->error.code == ErrorCode::kLinkClosed);
    CHECK(pair.b.closed()->error.what == "stopping");
    CHECK(pair.b.session.finished());
}

TEST_CASE("an end of the socket in the middle of a frame is a truncation, not a success") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    pair.run();
    pair.b.session.end_of_input(pair.now);
    pair.b.drain(pair.now);
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kTlsTruncated);
    CHECK(pair.b.session.finished());
}

TEST_CASE("a silent client is dropped at the handshake deadline, a silent peer at the hello's") {
    World w;
    Pair pair(w.alice_context, w.bob_context);
    CHECK(pair.b.session.next_deadline() == pair.now + 10s);
    pair.b.session.on_deadline(pair.now + 10s);
    pair.b.drain(pair.now);
    REQUIRE(pair.b.closed());
    CHECK(pair.b.closed()->error.code == ErrorCode::kTlsHandshake);

    Hostile quiet;
    CHECK(quiet.pair.b.session.next_deadline() == quiet.pair.now + 5s);
    quiet.pair.b.session.on_deadline(quiet.pair.now + 5s);
    quiet.pair.b.drain(quiet.pair.now);
    CHECK(quiet.outcome() == ErrorCode::kLinkTimeout);
}

TEST_CASE("plaintext and random bytes are not TLS") {
    World w;
    Pair text(w.alice_context, w.bob_context);
    text.b.feed(text.now, as_bytes("GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    REQUIRE(text.b.closed());
    CHECK(text.b.closed()->error.code == ErrorCode::kTlsNotTls);
    CHECK(text.b.session.finished());

    std::mt19937_64 random(7);
    for (int i = 0; i < 200; ++i) {
        Pair noise(w.alice_context, w.bob_context);
        Bytes bytes(random() % 3000);
        for (auto& b : bytes) b = static_cast<std::byte>(random());
        if (i % 2 && bytes.size() > 5) bytes[0] = std::byte{22}, bytes[1] = std::byte{3};
        noise.b.feed(noise.now, bytes, 100);
        CHECK(!noise.b.session.identified());
    }
}

TEST_CASE("frames of an authenticated but hostile peer close the link with the right code") {
    {
        Hostile h;
        auto big = bytes_of({wire::Lane::control, wire::Goodbye{}});
        const std::uint32_t length = 1u << 30;
        std::memcpy(big.data(), &length, 4);
        h.say(big);
        CHECK(h.outcome() == ErrorCode::kFrameTooLarge);
    }
    {
        Hostile h;  // within the lane's bound, but not before HELLO
        Bytes header = bytes_of({wire::Lane::control, wire::Goodbye{}});
        const std::uint32_t length = 60'000;
        std::memcpy(header.data(), &length, 4);
        h.say(ByteView(header).first(wire::kHeaderBytes));
        CHECK(h.outcome() == ErrorCode::kFrameTooLarge);
    }
    {
        Hostile h;
        h.hello();
        REQUIRE(h.pair.b.session.is_up());
        Bytes unknown = bytes_of({wire::Lane::control, beat(1)});
        unknown[5] = std::byte{99};
        h.say(unknown);
        CHECK(h.outcome() == ErrorCode::kFrameUnknown);
    }
    {
        Hostile h;
        h.hello();
        Bytes optional = bytes_of({wire::Lane::control, beat(1)});
        optional[5] = std::byte{99};
        optional[6] = std::byte{wire::kFlagOptional};
        h.say(optional);
        h.say(bytes_of({wire::Lane::control, beat(2)}));  // what follows is still understood
        CHECK(!h.pair.b.closed());
        CHECK(h.pair.b.all<link::Received>().size() == 1);
    }
    {
        Hostile h;
        h.hello();
        Bytes garbled = bytes_of({wire::Lane::control, beat(1)});
        for (std::size_t i = wire::kHeaderBytes; i < garbled.size(); ++i)
            garbled[i] = std::byte{0xff};
        h.say(garbled);
        CHECK(h.outcome() == ErrorCode::kFrameMalformed);
    }
    {
        Hostile h;
        h.hello();
        Bytes chunk(wire::kHeaderBytes + 10);
        wire::Frame frame{wire::Lane::bulk, wire::Chunk{1, 0, 10, {}}};
        h.say(bytes_of(frame));
        CHECK(h.outcome() == ErrorCode::kFrameOrder);  // of a stream never offered
    }
    {
        Hostile h;
        h.say(bytes_of({wire::Lane::control, beat(1)}));
        CHECK(h.outcome() == ErrorCode::kFrameOrder);  // before HELLO
    }
}

// What of a chunk came late must not lie where others' bytes do by then.
TEST_CASE("a transfer that ends amid a chunk leaves its buffer alone") {
    constexpr std::size_t kSize = 40'000, kChunk = 30'000;
    for (const std::size_t at_first : {std::size_t{0}, std::size_t{100}})
        for (const bool stalls : {true, false}) {
            CAPTURE(at_first);
            CAPTURE(stalls);
            Hostile h;
            auto& b = h.pair.b;
            h.hello();
            message::Manifest manifest;
            manifest.byte_count = kSize;
            h.say(bytes_of({wire::Lane::round, wire::Offer{1, {4}, manifest}}));
            b.session.link().grant(h.pair.now, {4});
            const Bytes sent(kChunk, std::byte{0x55});
            h.say(bytes_of({wire::Lane::bulk, wire::Chunk{1, 0, kChunk, {}}}));
            h.say(ByteView(sent).first(at_first));
            if (stalls)
                b.session.on_deadline(h.pair.now = b.session.next_deadline());
            else
                b.session.link().refuse(h.pair.now, {4}, message::RefuseReason::stale);
            b.drain(h.pair.now);
            CHECK(b.staging->used_bytes() == 0);
            auto others = h.pair.pool->take(kSize);  // the one that was just given back
            std::ranges::fill(others.bytes(), std::byte{0x77});
            h.say(ByteView(sent).subspan(at_first));
            CHECK(std::ranges::count(others.bytes(), std::byte{0x77}) == kSize);
            h.say(bytes_of({wire::Lane::control, beat(3)}));  // what follows is understood
            CHECK(!b.closed());
            CHECK(b.all<link::Received>().size() == 1);
        }
}

TEST_CASE("random frames of an authenticated peer end in an error or in nothing") {
    const std::uint64_t seed = 11;
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    Hostile h;
    for (int i = 0; i < 60; ++i) {
        Hostile fresh;
        fresh.hello();
        for (int k = 0; k < 20 && !fresh.pair.b.session.finished(); ++k) {
            Bytes bytes = bytes_of({wire::Lane::control, beat(random())});
            bytes[4] = static_cast<std::byte>(random() % 4);
            bytes[5] = static_cast<std::byte>(random() % 48);
            bytes[wire::kHeaderBytes + random() % (bytes.size() - wire::kHeaderBytes)] =
                static_cast<std::byte>(random());
            fresh.say(bytes);
        }
        CHECK(fresh.pair.b.staging->used_bytes() == 0);
    }
}
