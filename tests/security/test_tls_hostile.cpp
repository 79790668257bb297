// What comes after the handshake is ours: with somebody at the other end who means no good.
#include <doctest/doctest.h>

#include <functional>

#include "connection/security/record_key.hpp"
#include "some_bytes.hpp"
#include "tls_foreign.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

constexpr std::uint16_t kAes128 = 0x1301;

// A member that misbehaves once it is admitted: it seals whatever it likes, and reads the answer.
struct Hostile {
    Foreign client;
    TlsEngine victim;
    RecordKey sealing, opening;
    Bytes last;  // record

    explicit Hostile(const World& w)
        : client(w.federation, w.bob),
          victim(w.met(client.logging(), TlsSide::listener)),
          sealing(RecordKey::Use::seal, kAes128, client.secrets["CLIENT_TRAFFIC_SECRET_0"]),
          opening(RecordKey::Use::open, kAes128, client.secrets["SERVER_TRAFFIC_SECRET_0"]) {}

    const Bytes& sealed(unsigned type, ByteView content) {
        last.resize(content.size() + kTlsRecordOverhead);
        sealing.seal(static_cast<ContentType>(type), content, last.data());
        return last;
    }
    void send(unsigned type, ByteView content) { feed(victim, sealed(type, content)); }
    // The alert that came back, if any; the victim's error is what it says itself.
    std::optional<unsigned> alert() {
        const auto answer = victim.output();
        if (answer.size() != 2 + kTlsRecordOverhead) return std::nullopt;
        std::array<std::byte, 2> content;
        const auto opened = opening.open(answer, content.data());
        if (!opened || opened->type != 21) return std::nullopt;
        return std::to_integer<unsigned>(content[1]);
    }
};

}  // namespace

TEST_CASE("what a member may not send after the handshake ends the connection with an alert") {
    const World w;
    const auto ticket = bytes_of("04 00 00 02 00 00");
    const auto new_key = bytes_of("18 00 00 01 00");
    struct Case {
        const char* what;
        unsigned alert;
        std::function<void(Hostile&)> send;
    };
    const auto sealed = [](unsigned type, const Bytes& content) {
        return [=](Hostile& h) { h.send(type, content); };
    };
    // Data of one byte and zeros: sealed as of type 0, its own type is found before them.
    const auto padded = [](std::size_t size) {
        Bytes content(size);
        content[0] = std::byte{'x'}, content[1] = std::byte{23};
        return content;
    };
    const auto raw = [](const std::string& hex) {
        return [=](Hostile& h) { feed(h.victim, bytes_of(hex)); };
    };
    const Case cases[] = {
        {"a plain handshake record", SSL_AD_UNEXPECTED_MESSAGE, raw("16 03 03 00 04")},
        {"a plain alert", SSL_AD_UNEXPECTED_MESSAGE, raw("15 03 03 00 02 01 00")},
        {"a change of cipher", SSL_AD_UNEXPECTED_MESSAGE, raw("14 03 03 00 01 01")},
        {"a length no record has", SSL_AD_RECORD_OVERFLOW, raw("17 03 03 41 01")},
        {"a record without room for its type", SSL_AD_BAD_RECORD_MAC, raw("17 03 03 00 10")},
        {"an empty record", SSL_AD_BAD_RECORD_MAC, raw("17 03 03 00 00")},
        {"noise", SSL_AD_BAD_RECORD_MAC,
         raw("17 03 03 00 14 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13")},
        {"more data than a record may have", SSL_AD_RECORD_OVERFLOW, sealed(23, Bytes(16'385))},
        {"more padding than a record may have", SSL_AD_RECORD_OVERFLOW, sealed(0, padded(16'385))},
        {"padding without an end", SSL_AD_UNEXPECTED_MESSAGE, sealed(0, Bytes(20))},
        {"a type that is not", SSL_AD_UNEXPECTED_MESSAGE, sealed(24, ticket)},
        {"a ticket from a dialler", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, ticket)},
        {"a ClientHello", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, bytes_of("01 00 00 00"))},
        {"a message in pieces", SSL_AD_DECODE_ERROR, sealed(22, bytes_of("18 00 00"))},
        {"a message that lies about its size", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 ff ff ff 00"))},
        {"a key update of two bytes", SSL_AD_DECODE_ERROR,
         sealed(22, bytes_of("18 00 00 02 00 00"))},
        {"a key update with another request", SSL_AD_ILLEGAL_PARAMETER,
         sealed(22, bytes_of("18 00 00 01 02"))},
        {"a key update with something behind it", SSL_AD_UNEXPECTED_MESSAGE,
         sealed(22, bytes_of("18 00 00 01 00 18 00 00 01 00"))},
        {"a handshake record of nothing", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, {})},
        {"an alert of nothing", SSL_AD_UNEXPECTED_MESSAGE, sealed(21, {})},
        {"an alert of one byte", SSL_AD_DECODE_ERROR, sealed(21, bytes_of("01"))},
        {"two alerts in a record", SSL_AD_DECODE_ERROR, sealed(21, bytes_of("01 5a 01 00"))},
        {"a certificate request", SSL_AD_UNEXPECTED_MESSAGE, sealed(22, bytes_of("0d 00 00 00"))},
        {"empty records without end", SSL_AD_UNEXPECTED_MESSAGE,
         [](Hostile& h) {
             for (int i = 0; i < 33; ++i) h.send(23, {});
         }},
        {"a record again", SSL_AD_BAD_RECORD_MAC, [](Hostile& h) { feed(h.victim, h.last); }},
        {"a record left out", SSL_AD_BAD_RECORD_MAC,
         [](Hostile& h) { h.sealed(23, as_bytes("lost")), h.send(23, as_bytes("more")); }},
        {"the old key after a key update", SSL_AD_BAD_RECORD_MAC,
         [&](Hostile& h) { h.send(22, new_key), h.send(23, as_bytes("more")); }},
        {"new keys without end", SSL_AD_UNEXPECTED_MESSAGE,
         [&](Hostile& h) {
             for (int i = 0; i < 33; ++i) h.send(22, new_key), h.sealing.update();
         }},
    };
    for (const auto& c : cases)
        for (const std::size_t room : {16, 40'000}) {
            CAPTURE(std::string(c.what));
            CAPTURE(room);
            Hostile h(w);
            h.send(23, as_bytes("good"));
            c.send(h);
            Bytes plain(room);
            CHECK(h.victim.read(std::span(plain).first(4)).value() == 4);
            const auto after = h.victim.read(plain);
            REQUIRE_FALSE(after);
            CHECK(after.error().code == ErrorCode::kTlsIntegrity);
            CHECK(h.alert() == c.alert);
            h.send(23, as_bytes("more"));
            CHECK_FALSE(h.victim.read(plain));
            CHECK(h.victim.end_of_input().error().code == ErrorCode::kTlsIntegrity);
        }
}

TEST_CASE("an alert is an error, whatever its level, but for a close and its forerunner") {
    const World w;
    Hostile h(w);
    h.send(21, bytes_of("01 5a"));  // user_canceled
    h.send(23, as_bytes("x"));
    Bytes plain(10);
    CHECK(h.victim.read(plain).value() == 1);
    h.send(21, bytes_of("01 2c"));  // certificate_revoked
    CHECK(h.victim.read(plain).error().code == ErrorCode::kTlsBanned);
    CHECK(h.victim.output().empty());
}

TEST_CASE("thirty-two records without data are patience enough, and data renews it") {
    const World w;
    Hostile h(w);
    Bytes plain(10);
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 32; ++i) h.send(23, {});
        h.send(23, as_bytes("x"));
        CHECK(h.victim.read(plain).value() == 1);
    }
}

TEST_CASE("new keys are taken for data in some proportion, not for a byte each") {
    const World w;
    for (const std::size_t data : {1, 1'000, 1'024, 5'000}) {
        CAPTURE(data);
        Hostile h(w);
        Bytes plain(data);
        std::optional<int> refused;
        for (int i = 1; i <= 2'000 && !refused; ++i) {
            h.send(22, bytes_of("18 00 00 01 00")), h.sealing.update();
            h.send(23, plain);
            if (!h.victim.read(plain)) refused = i;
        }
        CHECK(refused.has_value() == (data < 1'024));
        if (data == 1) CHECK(refused == 33);
        if (refused) CHECK(h.alert() == SSL_AD_UNEXPECTED_MESSAGE);
    }
}

TEST_CASE("padding of any length is taken off, to the largest record there is") {
    const World w;
    Hostile h(w);
    Bytes plain(20);
    for (const std::size_t size : {2, 3, 700, 16'384})
        for (const std::size_t room : {1, 20}) {
            CAPTURE(size);
            Bytes content(size);  // sealed as of type 0: its own is the last that is not 0
            content[0] = std::byte{'x'}, content[1] = std::byte{23};
            h.send(0, content);
            CHECK(h.victim.read(std::span(plain).first(room)).value() == 1);
            CHECK(plain[0] == std::byte{'x'});
        }
    h.send(0, bytes_of("01 00 15 00 00"));  // a close with padding
    CHECK(h.victim.read(plain).value() == 0);
    CHECK(h.victim.peer_closed());
}

TEST_CASE("what comes after a close is not looked at, and this side may still speak") {
    const World w;
    Hostile h(w);
    h.send(21, bytes_of("01 00"));
    h.send(23, as_bytes("more"));
    feed(h.victim, bytes_of("16 03 03 00 04"));
    Bytes plain(10);
    CHECK(h.victim.read(plain).value() == 0);
    CHECK(h.victim.peer_closed());
    CHECK(h.victim.end_of_input());
    REQUIRE(h.victim.write(as_bytes("bye")));
    Bytes answer(h.victim.output().begin(), h.victim.output().end());
    REQUIRE(h.opening.open(answer, plain.data()));
    CHECK(as_text(ByteView(plain).first(3)) == "bye");
}

TEST_CASE("however often new keys are asked for, one answer goes before the next data") {
    const World w;
    Hostile h(w);
    Bytes plain(100);
    for (int i = 0; i < 20; ++i) h.send(22, bytes_of("18 00 00 01 01")), h.sealing.update();
    h.send(23, as_bytes("x"));
    CHECK(h.victim.read(plain).value() == 1);
    CHECK(h.victim.output().empty());
    for (int i = 0; i < 2; ++i) {
        REQUIRE(h.victim.write(as_bytes("data")));
        auto answer = h.victim.output();
        if (i == 0) {
            REQUIRE(answer.size() == 5 + 4 + 2 * kTlsRecordOverhead);
            REQUIRE(h.opening.open(answer.first(5 + kTlsRecordOverhead), plain.data()));
            CHECK(to_hex(ByteView(plain).first(5)) == "1800000100");
            h.opening.update();
            answer = answer.subspan(5 + kTlsRecordOverhead);
        }
        REQUIRE(answer.size() == 4 + kTlsRecordOverhead);
        REQUIRE(h.opening.open(answer, plain.data()));
        CHECK(as_text(ByteView(plain).first(4)) == "data");
        h.victim.consume_output(h.victim.output().size());
    }
}

TEST_CASE("a key seals no more than it may, of small records as of large ones") {
    const World w;
    const auto eager = context_of(w.federation, w.alice, kNow, {.rekey_bytes = 230});
    TlsPair pair(eager, context_of(w.federation, w.bob));
    pair.settle();
    std::size_t renewals = 0;
    for (int i = 0; i < 40; ++i) {
        REQUIRE(pair.dialler.write(as_bytes("x")));  // 23 bytes
        renewals += pair.dialler.output().size() > 1 + kTlsRecordOverhead;
        carry(pair.dialler, pair.listener);
        Bytes plain(10);
        CHECK(pair.listener.read(plain).value() == 1);
    }
    CHECK(renewals == 3);
}
