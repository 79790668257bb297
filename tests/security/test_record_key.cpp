#include <doctest/doctest.h>

#include <algorithm>

#include "connection/security/record_key.hpp"
#include "connection/security/tls_engine.hpp"
#include "some_bytes.hpp"

using namespace gossamer;
using namespace gossamer::security;
using namespace gossamer::security::test;

namespace {

constexpr std::uint16_t kAes128 = 0x1301;

}  // namespace

TEST_CASE("records are those of RFC 8448, section 3") {
    const auto data = bytes_of(
        "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d"
        "1e 1f 20 21 22 23 24 25 26 27 28 29 2a 2b 2c 2d 2e 2f 30 31");
    const auto client_secret = bytes_of(
        "9e 40 64 6c e7 9a 7f 9d c0 5a f8 88 9b ce 65 52 87 5a fa 0b 06 df 00 87 f7 92 eb b7 c1 75"
        "04 a5");
    const auto client_record = bytes_of(
        "17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66 bc"
        "ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd"
        "1e 3d ea e6 3a ee bb 21 69 49 15 e4");
    const auto client_close =
        bytes_of("17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3");
    RecordKey sealing(RecordKey::Use::seal, kAes128, client_secret);
    Bytes out(data.size() + kTlsRecordOverhead);
    sealing.seal(ContentType::data, data, out.data());
    CHECK(out == client_record);
    out.resize(2 + kTlsRecordOverhead);
    sealing.seal(ContentType::alert, bytes_of("01 00"), out.data());
    CHECK(out == client_close);

    RecordKey opening(RecordKey::Use::open, kAes128, client_secret);
    Bytes plain(data.size());
    const auto opened = opening.open(client_record, plain.data());
    REQUIRE(opened);
    CHECK(opened->type == 23);
    CHECK(opened->size == data.size());
    CHECK(plain == data);
    CHECK(opening.open(client_close, plain.data())->type == 21);
}

TEST_CASE("a record opens in its own place as elsewhere, once, and not when a bit is changed") {
    for (const std::uint16_t suite : {0x1301, 0x1302, 0x1303})
        for (const std::size_t size : {0, 1, 15, 16, 17, 300, 16'384}) {
            CAPTURE(suite);
            CAPTURE(size);
            const auto secret = counting(suite == 0x1302 ? 48 : 32, suite);
            const auto data = counting(size);
            RecordKey sealing(RecordKey::Use::seal, suite, secret);
            Bytes record(size + kTlsRecordOverhead);
            sealing.seal(ContentType::data, data, record.data());
            Bytes apart(size);
            const auto opening = [&] { return RecordKey(RecordKey::Use::open, suite, secret); };
            auto key = opening();
            REQUIRE(key.open(record, apart.data()));
            CHECK(apart == data);
            CHECK_FALSE(key.open(record, apart.data()));  // its number has passed
            for (std::size_t bit = 0; bit < record.size() * 8; bit += 1 + record.size() / 3) {
                auto changed = record;
                changed[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
                CHECK_FALSE(opening().open(changed, apart.data()));
            }
            auto place = record;
            REQUIRE(opening().open(place, place.data() + kRecordHeaderBytes));
            CHECK(std::equal(data.begin(), data.end(), place.begin() + kRecordHeaderBytes));
        }
}

TEST_CASE("a renewed key seals what only a renewed key opens") {
    RecordKey sealing(RecordKey::Use::seal, kAes128, counting(32));
    RecordKey opening(RecordKey::Use::open, kAes128, counting(32));
    Bytes record(3 + kTlsRecordOverhead), plain(3);
    for (int i = 0; i < 3; ++i) {
        sealing.update(), opening.update();
        RecordKey old(RecordKey::Use::open, kAes128, counting(32));
        for (int k = 0; k < i; ++k) old.update();
        sealing.seal(ContentType::data, as_bytes("abc"), record.data());
        CHECK_FALSE(old.open(record, plain.data()));
        REQUIRE(opening.open(record, plain.data()));
        CHECK(as_text(plain) == "abc");
    }
}
