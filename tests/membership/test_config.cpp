#include <doctest/doctest.h>

#include "protocol/membership/config.hpp"

using namespace gossamer;
using namespace gossamer::membership;

TEST_CASE("Seeds are host:port, with the id in front where one is expected") {
    CHECK(parse_seed("localhost:7000")->address == "localhost:7000");
    CHECK(!parse_seed("10.0.0.1:7000")->expected.has_value());
    CHECK(parse_seed("[::1]:7000")->address == "[::1]:7000");
    const auto id = PeerId::of_number(7);
    auto seed = parse_seed(id.to_string() + "@example.org:7000");
    REQUIRE(seed.has_value());
    CHECK(seed->expected == id);
    CHECK(seed->address == "example.org:7000");
}

TEST_CASE("Seeds that are no address are refused") {
    for (auto text : {"", "localhost", ":7000", "localhost:", "localhost:0", "localhost:70000",
                      "localhost:7x", "abc@localhost:7000", "::1:7000"}) {
        CAPTURE(text);
        auto seed = parse_seed(text);
        REQUIRE(!seed.has_value());
        CHECK(seed.error().code == ErrorCode::kNetAddress);
    }
}

TEST_CASE("Profiles are named in the options and differ in every time") {
    auto table = membership_options();
    CHECK(table[0].choices == std::vector<std::string>{"local", "lan", "wan"});
    for (auto [a, b] : {std::pair{Profile::local, Profile::lan}, {Profile::lan, Profile::wan}}) {
        CHECK(timings(a).heartbeat_every < timings(b).heartbeat_every);
        CHECK(timings(a).limit_cap < timings(b).limit_cap);
        CHECK(timings(a).suspicion < timings(b).suspicion);
    }
    for (auto profile : {Profile::local, Profile::lan, Profile::wan})
        CHECK(timings(profile).limit_floor >= 3 * timings(profile).heartbeat_every);
}
