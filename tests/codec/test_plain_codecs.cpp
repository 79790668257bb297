#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "gossamer/codec/codec.hpp"

using namespace gossamer;
using namespace gossamer::codec;

namespace {
std::vector<float> random_values(std::uint64_t seed, std::size_t count) {
    auto draw = stream(RunSeed{seed}, Purpose::user);
    std::vector<float> x(count);
    for (auto& v : x) v = static_cast<float>(draw.normal());
    return x;
}
}  // namespace

TEST_CASE("codecs are found by name and by id, and an unknown one lists what there is") {
    for (auto name : {"f32", "f16", "bf16"}) {
        auto codec = find_codec(name);
        REQUIRE(codec);
        CHECK((*codec)->traits().name == name);
        auto same = find_codec((*codec)->traits().wire_id);
        REQUIRE(same);
        CHECK((*same)->traits().name == name);
    }
    auto unknown = find_codec("f8");
    REQUIRE(!unknown);
    CHECK(unknown.error().code == ErrorCode::kCodecUnknown);
    CHECK(unknown.error().what.find("f32, f16, bf16") != std::string::npos);
    CHECK(!find_codec(std::uint8_t{0}));
    CHECK(!find_codec(std::uint8_t{255}));
}

TEST_CASE("f32 is the floats themselves") {
    auto codec = *find_codec("f32");
    CHECK(codec->traits().identity);
    auto x = random_values(1, 3000);
    auto bytes = encode_all(*codec, x);
    REQUIRE(bytes);
    CHECK(bytes->size() == 12'000);
    CHECK(std::memcmp(bytes->data(), x.data(), 12'000) == 0);
    CHECK(*decode_all(*codec, *bytes, x.size()) == x);
}

TEST_CASE("the sixteen-bit codecs round once and keep their error bound") {
    struct Bound {
        const char* name;
        double relative, absolute;
    };
    for (auto bound : {Bound{"f16", 0x1p-11, 0x1p-25}, Bound{"bf16", 0x1p-8, 0}}) {
        auto codec = *find_codec(bound.name);
        for (std::size_t count : {0ul, 1ul, 1023ul, 1024ul, 1025ul, 5000ul}) {
            auto x = random_values(count + 1, count);
            auto bytes = encode_all(*codec, x);
            REQUIRE(bytes);
            CHECK(bytes->size() == 2 * count);
            auto back = *decode_all(*codec, *bytes, count);
            for (std::size_t i = 0; i < count; ++i)
                CHECK(std::fabs(back[i] - x[i]) <=
                      std::fabs(x[i]) * bound.relative + bound.absolute);
            CHECK(*encode_all(*codec, back) == *bytes);  // a second rounding changes nothing
        }
    }
}

TEST_CASE("a range of blocks decodes and encodes like that part of the whole") {
    for (auto name : {"f32", "f16", "bf16"}) {
        auto codec = *find_codec(name);
        auto x = random_values(5, 5000);
        auto bytes = *encode_all(*codec, x);
        auto whole = *decode_all(*codec, bytes, x.size());
        for (auto [first, count] : {std::pair{0ul, 10ul}, {1024ul, 2048ul}, {4096ul, 904ul}}) {
            std::vector<float> part(count);
            codec->decode(part, bytes, x.size(), first);
            CHECK(std::equal(part.begin(), part.end(), whole.begin() + static_cast<long>(first)));
        }
        auto block_bytes = codec->traits().block_bytes;
        auto part = *encode_all(*codec, std::span<const float>(x).subspan(2048, 1024));
        CHECK(part.size() == block_bytes);
        CHECK(std::equal(part.begin(), part.end(),
                         bytes.begin() + static_cast<long>(2 * block_bytes)));
    }
}

TEST_CASE("bytes of a wrong size are refused with both sizes") {
    for (auto name : {"f32", "f16", "bf16"}) {
        auto codec = *find_codec(name);
        auto bytes = *encode_all(*codec, random_values(7, 100));
        CHECK(codec->check(bytes, 100));
        for (std::size_t count : {0ul, 99ul, 101ul}) {
            auto status = codec->check(bytes, count);
            REQUIRE(!status);
            CHECK(status.error().code == ErrorCode::kUpdateSize);
        }
        bytes.pop_back();
        CHECK(!codec->check(bytes, 100));
        CHECK(!decode_all(*codec, bytes, 100));
    }
}

TEST_CASE("what does not fit sixteen bits is refused by name, not turned into infinity") {
    auto f16 = *find_codec("f16"), bf16 = *find_codec("bf16");
    std::vector<float> x(3000, 1.0f);
    x[2500] = 65520.0f;
    auto refused = encode_all(*f16, x);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::kUpdateTooLarge);
    CHECK(refused.error().what.find("element 2500") != std::string::npos);
    CHECK(encode_all(*bf16, x));
    x[2500] = std::nextafter(65520.0f, 0.0f);
    CHECK(encode_all(*f16, x));
    x[2500] = std::numeric_limits<float>::max();
    CHECK(encode_all(*bf16, x).error().code == ErrorCode::kUpdateTooLarge);
    x[2500] = -0x1.fefffep127f;
    CHECK(encode_all(*bf16, x));
    x[2500] = std::numeric_limits<float>::quiet_NaN();
    CHECK(encode_all(*f16, x).error().code == ErrorCode::kUpdateNotFinite);
}

namespace {
class MyCodec : public Codec {
public:
    MyCodec(std::string_view name, std::uint8_t id) : name_(name), id_(id) {}
    CodecTraits traits() const override { return {.name = name_, .wire_id = id_}; }
    std::size_t bytes_max(std::size_t) const override { return 0; }
    Result<std::size_t> encode(std::span<std::byte>, std::span<const float>,
                               const EncodeState&) const override {
        return std::size_t{0};
    }
    Status check(ByteView, std::size_t) const override { return {}; }
    void decode(std::span<float>, ByteView, std::size_t, std::size_t) const override {}

private:
    std::string_view name_;
    std::uint8_t id_;
};
}  // namespace

TEST_CASE("a user's codec joins the table unless it takes a name or id in use") {
    CodecTable table;
    CHECK(table.add(std::make_shared<MyCodec>("mine", 200)));
    CHECK(table.find("mine"));
    CHECK(table.find(std::uint8_t{200}));
    CHECK(table.add(std::make_shared<MyCodec>("other", 150)));
    CHECK(table.ids() == std::vector<std::uint8_t>{1, 2, 3, 4, 5, 16, 17, 150, 200});
    CHECK(!table.add(std::make_shared<MyCodec>("mine", 201)));
    CHECK(!table.add(std::make_shared<MyCodec>("third", 200)));
    CHECK(!table.add(std::make_shared<MyCodec>("low", 4)));
}

TEST_CASE("a table takes as many codecs as a HELLO can list") {
    CodecTable table;
    std::vector<std::string> names;
    for (int i = 0; i < 100; ++i) names.push_back("mine" + std::to_string(i));
    std::uint8_t id = 128;
    for (auto left = kCodecsMax - table.ids().size(); left > 0; --left, ++id)
        CHECK(table.add(std::make_shared<MyCodec>(names[id - 128u], id)));
    const auto refused = table.add(std::make_shared<MyCodec>("one more", id));
    REQUIRE(!refused);
    CHECK(refused.error().what.find("32 are the most") != std::string::npos);
    CHECK(table.ids().size() == kCodecsMax);
}
