#include <doctest/doctest.h>
#include <zlib.h>

#include <limits>

#include "gossamer/data/readers.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {

Bytes idx(std::uint8_t type, std::vector<std::uint32_t> shape, std::size_t data_bytes) {
    ByteWriter out;
    out.put(std::uint16_t{0});
    out.put(type);
    out.put(static_cast<std::uint8_t>(shape.size()));
    for (auto extent : shape) out.put(__builtin_bswap32(extent));
    for (std::size_t i = 0; i < data_bytes; ++i) out.put(static_cast<std::uint8_t>(i));
    return out.take();
}

Bytes gzip(ByteView content) {
    z_stream z{};
    REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    Bytes out(deflateBound(&z, content.size()) + 64);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(content.data()));
    z.avail_in = static_cast<uInt>(content.size());
    z.next_out = reinterpret_cast<Bytef*>(out.data());
    z.avail_out = static_cast<uInt>(out.size());
    REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
    out.resize(z.total_out);
    deflateEnd(&z);
    return out;
}

ErrorCode code_of(const Result<Array>& result) {
    REQUIRE(!result);
    return result.error().code;
}

}  // namespace

TEST_CASE("an IDX file of bytes is read, plain and compressed") {
    auto file = idx(0x08, {5, 2, 3}, 30);
    for (const auto& form : {file, gzip(file)}) {
        auto array = parse_idx(form, "images");
        REQUIRE(array);
        CHECK(array->shape == std::vector<std::size_t>{5, 2, 3});
        auto& bytes = std::get<std::vector<std::uint8_t>>(array->values);
        REQUIRE(bytes.size() == 30);
        CHECK(bytes[29] == 29);
    }
}

TEST_CASE("IDX numbers are big-endian") {
    auto integers = idx(0x0c, {2}, 8);
    auto array = parse_idx(integers, "labels");
    REQUIRE(array);
    CHECK(std::get<std::vector<std::int64_t>>(array->values) ==
          std::vector<std::int64_t>{0x00010203, 0x04050607});
    auto shorts = idx(0x0b, {1}, 0);
    shorts.push_back(std::byte{0xff});
    shorts.push_back(std::byte{0xfe});
    CHECK(std::get<std::vector<std::int64_t>>(parse_idx(shorts, "s")->values)[0] == -2);
    auto reals = idx(0x0d, {1}, 0);
    for (auto b : {0x3f, 0xc0, 0x00, 0x00}) reals.push_back(static_cast<std::byte>(b));
    CHECK(std::get<std::vector<float>>(parse_idx(reals, "r")->values)[0] == 1.5f);
}

TEST_CASE("a truncated IDX file is named with both sizes") {
    auto file = idx(0x08, {60'000, 28, 28}, 1000);
    auto plain = parse_idx(file, "train-images");
    REQUIRE(!plain);
    CHECK(plain.error().code == ErrorCode::kDataTruncated);
    CHECK(plain.error().what == "train-images: 1000 bytes of data, its header says 47040000");
    auto whole = idx(0x08, {10, 10}, 100);
    for (std::size_t size = 0; size < whole.size(); ++size)
        CHECK(code_of(parse_idx(ByteView(whole).first(size), "f")) == ErrorCode::kDataTruncated);
}

TEST_CASE("compressed files that break off, lie or go on are refused") {
    auto whole = gzip(idx(0x08, {100, 100}, 10'000));
    for (std::size_t size = 2; size < whole.size(); ++size)
        CHECK(code_of(parse_idx(ByteView(whole).first(size), "f")) == ErrorCode::kDataTruncated);
    auto broken = whole;
    broken[broken.size() - 6] ^= std::byte{1};  // in the checksum
    CHECK(code_of(parse_idx(broken, "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(gzip(idx(0x08, {10}, 11)), "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(gzip(idx(0x08, {200}, 11)), "f")) == ErrorCode::kDataTruncated);
    // 1 TB announced in some tens of bytes: refused before room is made for it.
    CHECK(code_of(parse_idx(gzip(idx(0x08, {1u << 20, 1u << 20}, 0)), "f")) ==
          ErrorCode::kDataTruncated);
}

TEST_CASE("headers of absurd sizes and foreign files are refused") {
    auto huge = idx(0x0e, {0xffffffffu, 0xffffffffu, 0xffffffffu}, 10);
    CHECK(code_of(parse_idx(huge, "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(idx(0x08, {0xffffffffu, 0xffffffffu}, 10), "f")) ==
          ErrorCode::kDataTruncated);
    CHECK(code_of(parse_idx(idx(0x0a, {2}, 2), "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(idx(0x08, {}, 2), "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(idx(0x08, {2}, 3), "f")) == ErrorCode::kDataFormat);
    CHECK(code_of(parse_idx(as_bytes("P5 28 28 255 ..."), "f")) == ErrorCode::kDataFormat);
}

TEST_CASE("gunzip reads several members and stops at its bound") {
    auto one = gzip(as_bytes("one ")), two = gzip(as_bytes("two"));
    auto both = one;
    both.insert(both.end(), two.begin(), two.end());
    CHECK(as_text(*gunzip(both, 100, "f")) == "one two");
    auto bomb = gzip(Bytes(10'000'000));
    CHECK(gunzip(bomb, 1 << 20, "f").error().code == ErrorCode::kDataFormat);
    CHECK(gunzip(bomb, 10'000'000, "f")->size() == 10'000'000);
}

TEST_CASE("images and labels join into a dataset, and a label that is no class is named") {
    auto images = *parse_idx(idx(0x08, {4, 2, 2}, 16), "i");
    auto labels = *parse_idx(idx(0x08, {4}, 4), "l");
    auto parts = join_arrays(images, labels, Task::classes, "mnist");
    REQUIRE(parts);
    CHECK(parts->shape == std::vector<std::uint32_t>{2, 2});
    CHECK(parts->labels == std::vector<std::int32_t>{0, 1, 2, 3});
    CHECK(Dataset::make(*parts));
    auto three = *parse_idx(idx(0x08, {3}, 3), "l");
    CHECK(join_arrays(images, three, Task::classes, "m").error().code == ErrorCode::kDataShape);
    for (auto bad : {0.5f, -1.0f, 1e10f, std::numeric_limits<float>::quiet_NaN()}) {
        Array reals{{4}, std::vector<float>{0, 1, bad, 2}};
        auto refused = join_arrays(images, reals, Task::classes, "m");
        REQUIRE(!refused);
        CHECK(refused.error().code == ErrorCode::kDataLabel);
        CHECK(refused.error().what.find("sample 2") != std::string::npos);
    }
    Array targets{{4, 2}, std::vector<float>(8, 0.5f)};
    CHECK(join_arrays(images, targets, Task::values, "m")->target_count == 2);
    CHECK(!join_arrays(images, targets, Task::classes, "m"));
}
