#include <set>

#include <doctest/doctest.h>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/error.hpp"
#include "gossamer/base/options.hpp"
#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/time.hpp"

using namespace gossamer;

TEST_CASE("error ids are unique, found without regard to case, and each gives advice") {
    std::set<std::string_view> ids;
    for (const auto& info : error_table()) {
        CHECK(ids.insert(info.id).second);
        CHECK(&describe(info.code) == &info);
        CHECK(find_error(info.id) == &info);
        CHECK_FALSE(info.advice.empty());
    }
    CHECK(find_error("tls-07")->code == ErrorCode::kTlsExpired);
    CHECK(find_error("TLS-99") == nullptr);
    CHECK(Error{ErrorCode::kTlsExpired, "of peer ab", "renew"}.to_string() ==
          "TLS-07: of peer ab; renew");
}

TEST_CASE("durations and sizes carry units") {
    CHECK(*parse_duration("250ms") == 250ms);
    CHECK(*parse_duration("1.5h") == 90min);
    CHECK(*parse_bytes("64MiB") == 64 << 20);
    CHECK(*parse_bytes("1.5GB") == 1500000000);
    for (auto bad : {"", "5", "5 parsecs", "-3s", "nans", "1e300h"})
        CHECK_FALSE(parse_duration(bad));
    for (auto bad : {"", "5Mi", "-1", "1e30TB"}) CHECK_FALSE(parse_bytes(bad));
    CHECK(format_duration(1500ms) == "1.5s");
    CHECK(format_bytes(64 << 20) == "64 MiB");
    CHECK(format_bytes(1234567) == "1.235 MB");
}

TEST_CASE("peer ids order like their numbers and survive text") {
    auto a = PeerId::of_number(3), b = PeerId::of_number(300);
    CHECK(a < b);
    CHECK(PeerId::parse(a.to_string()) == a);
    CHECK(a.short_string() == "00000003");  // for people: what tells it from others
    PeerId real = a;
    real.bytes[0] = real.bytes[20] = std::byte{0xab};
    CHECK(real.short_string() == "ab000000");
    CHECK_FALSE(PeerId::parse("abcd"));
    CHECK_FALSE(PeerId::parse(std::string(64, 'g')));
}

TEST_CASE("a byte reader refuses to read past the end, for ever") {
    ByteWriter w;
    w.put(std::uint32_t{7});
    w.put_text("abc");
    auto bytes = w.take();
    ByteReader r(bytes);
    CHECK(r.get<std::uint32_t>() == 7);
    CHECK(r.get_text(16) == "abc");
    CHECK(r.at_end());
    CHECK(r.get<std::uint64_t>() == 0);
    CHECK_FALSE(r.ok());
    ByteReader bounded(bytes);
    bounded.get<std::uint32_t>();
    CHECK(bounded.get_text(2).empty());
    CHECK_FALSE(bounded.ok());
    CHECK(from_hex(to_hex(bytes)) == bytes);
}

TEST_CASE("never stays never") {
    CHECK((Instant::never() + 5s).is_never());
    CHECK(Instant{5} + 5ns == Instant{10});
}
