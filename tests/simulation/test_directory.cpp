#include <doctest/doctest.h>

#include "drivers/simulation/directory.hpp"

using namespace gossamer;
using namespace gossamer::simulation;

TEST_CASE("a directory finds places by id and address, and nobody else") {
    std::vector<PeerId> listed;
    for (std::uint64_t n : {70, 3, 12, 9}) listed.push_back(PeerId::of_number(n));
    for (const auto& directory : {Directory(3, true), Directory(3, true, listed)}) {
        CHECK(directory.size() == 4);
        for (PlaceIndex p = 0; p < 4; ++p) {
            CHECK(directory.role(p) == (p == 3 ? Role::aggregator : Role::peer));
            CHECK(directory.place_of(directory.id(p)) == p);
            CHECK(directory.place_at(directory.address(p)) == p);
        }
        PeerId stranger = directory.id(1);
        stranger.bytes[17] ^= std::byte{1};
        CHECK_FALSE(directory.place_of(stranger));
        CHECK_FALSE(directory.place_of(PeerId{}));
        CHECK_FALSE(directory.place_of(PeerId::of_number(5)));
        for (const char* address :
             {"", "peer-", "peer-3.sim:7000", "peer-1.sim:7001", "peer-1x.sim:7000",
              "peer--1.sim:7000", "peer-99999999999.sim:7000", "aggregator.sim:7001"})
            CHECK_FALSE(directory.place_at(address));
    }
    CHECK_FALSE(Directory(3, false).place_at("aggregator.sim:7000"));
}
