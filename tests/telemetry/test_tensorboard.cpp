#include <doctest/doctest.h>

#include "records/storage/memory_disk.hpp"
#include "records/telemetry/tensorboard.hpp"

using namespace gossamer;
using namespace gossamer::telemetry;

namespace {

// Reads the records of a file back, checking every checksum.
std::vector<Bytes> records_of(ByteView file) {
    std::vector<Bytes> out;
    ByteReader in(file);
    while (in.left() > 0) {
        auto head = file.subspan(file.size() - in.left(), 8);
        auto size = in.get<std::uint64_t>();
        CHECK(in.get<std::uint32_t>() == masked_crc32c(head));
        auto payload = in.get_bytes(size);
        CHECK(in.get<std::uint32_t>() == masked_crc32c(payload));
        REQUIRE(in.ok());
        out.emplace_back(payload.begin(), payload.end());
    }
    return out;
}

}  // namespace

TEST_CASE("CRC-32C gives the values of RFC 3720, appendix B.4") {
    CHECK(crc32c(as_bytes("123456789")) == 0xe3069283u);
    CHECK(crc32c(Bytes(32, std::byte{0})) == 0x8a9136aau);
    CHECK(crc32c(Bytes(32, std::byte{0xff})) == 0x62a8ab43u);
    Bytes ascending, descending;
    for (int i = 0; i < 32; ++i) {
        ascending.push_back(static_cast<std::byte>(i));
        descending.push_back(static_cast<std::byte>(31 - i));
    }
    CHECK(crc32c(ascending) == 0x46dd794eu);
    CHECK(crc32c(descending) == 0x113fdb5cu);
    CHECK(crc32c({}) == 0);
}

TEST_CASE("an event is the protobuf TensorBoard expects, byte for byte") {
    // Encoded by protoc from tensorflow/core/util/event.proto:
    // wall_time: 1.5 step: 300 summary { value { tag: "a" simple_value: 2 } }
    Metric metric{"a", 300, 2};
    CHECK(to_hex(tensorboard_scalars_event({1'500'000'000}, 300, {&metric, 1})) ==
          "09000000000000f83f"  // 1: double 1.5
          "10ac02"              // 2: varint 300
          "2a0a"                // 5: summary, 10 bytes
          "0a08"                //   1: value, 8 bytes
          "0a0161"              //     1: "a"
          "1500000040");        //     2: float 2
    CHECK(to_hex(tensorboard_version_event({0})) ==
          "090000000000000000"
          "1a0d" +
              to_hex(as_bytes("brain.Event:2")));
}

TEST_CASE("a file begins with its version and holds one event a round") {
    storage::MemoryDisk disk;
    TensorBoardWriter writer(disk, "events");
    writer.add({1}, std::vector<Metric>{{"a", 1, 0.5}, {"b", 1, 2}, {"a", 2, 0.25}});
    auto records = records_of(*disk.read("events", 1000));
    REQUIRE(records.size() == 3);
    CHECK(records[0] == tensorboard_version_event({1}));
    CHECK(as_text(records[1]).find("b") != std::string_view::npos);
}

TEST_CASE("after a torn write the next events go to a file of their own, and both can be read") {
    storage::MemoryDisk disk;
    TensorBoardWriter writer(disk, "events");
    std::vector<Metric> metrics{{"a", 1, 0.5}};
    writer.add({1}, metrics);
    auto size = *disk.size_of("events");
    disk.room_bytes = size + 10;
    writer.add({2}, metrics);
    CHECK(writer.lost_count() == 1);
    CHECK(writer.first_error().code == ErrorCode::kDiskFull);
    disk.room_bytes.reset();
    writer.add({3}, metrics);
    CHECK(writer.lost_count() == 1);
    CHECK(records_of(ByteView(*disk.read("events", 1000)).first(size)).size() == 2);
    CHECK(records_of(*disk.read("events.1", 1000)).size() == 2);
}
