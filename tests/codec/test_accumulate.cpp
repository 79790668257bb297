#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "gossamer/codec/accumulate.hpp"
#include "gossamer/tensor/kernels.hpp"

using namespace gossamer;
using namespace gossamer::codec;

namespace {

std::vector<float> random_values(std::uint64_t seed, std::size_t count) {
    auto draw = stream(RunSeed{seed}, Purpose::user);
    std::vector<float> x(count);
    for (auto& v : x) v = static_cast<float>(draw.uniform() * 2 - 1);
    return x;
}

// An encoding by hand, so that bad values get past the encoder.
Bytes raw(const Codec& codec, const std::vector<float>& x) {
    std::vector<std::uint16_t> words(x.size());
    Bytes out(codec.bytes_max(x.size()));
    if (codec.traits().identity) {
        std::memcpy(out.data(), x.data(), out.size());
        return out;
    }
    if (codec.traits().name == "f16") tensor::to_half(words, x);
    if (codec.traits().name == "bf16") tensor::to_bfloat16(words, x);
    std::memcpy(out.data(), words.data(), out.size());
    return out;
}

}  // namespace

TEST_CASE("adding an encoded update is adding the decoded one") {
    auto scale = tensor::ExactScale::choose(10.0f, 100.0, 1.0);
    for (auto name : {"f32", "f16", "bf16"}) {
        auto codec = *find_codec(name);
        for (std::size_t count : {1ul, 1024ul, 3001ul}) {
            auto bytes = *encode_all(*codec, random_values(count, count));
            std::vector<std::int64_t> sum(count, 5), expected(count, 5);
            tensor::exact_add(expected, *decode_all(*codec, bytes, count), 7.0f, scale);
            CHECK(add_encoded(sum, *codec, bytes, 7.0f, scale));
            CHECK(sum == expected);
            Bytes shifted(bytes.size() + 1);  // at an odd address
            std::memcpy(shifted.data() + 1, bytes.data(), bytes.size());
            std::vector<std::int64_t> again(count, 5);
            CHECK(add_encoded(again, *codec, ByteView(shifted).subspan(1), 7.0f, scale));
            CHECK(again == expected);
        }
    }
}

TEST_CASE("a bad update is refused whole, with the position of its first bad element") {
    auto scale = tensor::ExactScale::choose(10.0f, 100.0, 1.0);
    for (auto name : {"f32", "f16", "bf16"}) {
        auto codec = *find_codec(name);
        for (std::size_t at : {0ul, 1024ul, 2999ul})
            for (auto bad : {std::numeric_limits<float>::quiet_NaN(),
                             -std::numeric_limits<float>::infinity(), 1.5f}) {
                auto x = random_values(3, 3000);
                x[at] = bad;
                auto bytes = raw(*codec, x);
                std::vector<std::int64_t> sum(x.size(), -9);
                auto status = add_encoded(sum, *codec, bytes, 7.0f, scale);
                REQUIRE(!status);
                CHECK(status.error().code ==
                      (bad == 1.5f ? ErrorCode::kUpdateTooLarge : ErrorCode::kUpdateNotFinite));
                CHECK(status.error().what.find("element " + std::to_string(at) + " ") !=
                      std::string::npos);
                CHECK(sum == std::vector<std::int64_t>(x.size(), -9));
                CHECK(check_values(*codec, bytes, x.size(), 1.0).error() == status.error());
            }
    }
    auto f16 = *find_codec("f16");
    std::vector<std::int64_t> sum(10);
    CHECK(add_encoded(sum, *f16, Bytes(19), 1.0f, scale).error().code == ErrorCode::kUpdateSize);
    CHECK(check_values(*f16, Bytes(20), 10, 1.0));
}

TEST_CASE("a codec that throws leaves the sum as it was") {
    class Throwing final : public Codec {
    public:
        explicit Throwing(CodecRef inner) : inner_(std::move(inner)) {}
        CodecTraits traits() const override { return inner_->traits(); }
        std::size_t bytes_max(std::size_t count) const override { return inner_->bytes_max(count); }
        Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                                   const EncodeState& state) const override {
            return inner_->encode(out, values, state);
        }
        Status check(ByteView encoded, std::size_t count) const override {
            return inner_->check(encoded, count);
        }
        void decode(std::span<float> out, ByteView encoded, std::size_t count,
                    std::size_t first) const override {
            if (first >= 2048) throw std::runtime_error("of the user's own");
            inner_->decode(out, encoded, count, first);
        }

    private:
        CodecRef inner_;
    };
    const Throwing codec(*find_codec("f16"));
    const auto x = random_values(3, 5000);
    const auto bytes = raw(codec, x);
    std::vector<std::int64_t> sum(x.size(), -9);
    CHECK_THROWS(add_encoded(sum, codec, bytes, 7.0f, tensor::ExactScale::choose(10.0f, 100.0, 1)));
    CHECK(sum == std::vector<std::int64_t>(x.size(), -9));
}

TEST_CASE("mixing encoded models is the weighted mean of the decoded ones") {
    auto f32 = *find_codec("f32"), f16 = *find_codec("f16"), bf16 = *find_codec("bf16");
    std::size_t count = 2500;
    auto own = random_values(1, count), base = random_values(4, count);
    auto own_bytes = ByteView(std::as_bytes(std::span(own)));
    auto a = *encode_all(*f16, random_values(2, count));
    auto b = *encode_all(*bf16, random_values(3, count));
    auto da = *decode_all(*f16, a, count), db = *decode_all(*bf16, b, count);
    for (std::size_t i = 0; i < count; ++i) db[i] += base[i];
    std::vector<tensor::Weighted> rows = {{own.data(), 0.5}, {da.data(), 0.25}, {db.data(), 0.25}};
    std::vector<float> expected(count), out(count);
    tensor::weighted_mean(expected, rows);
    std::vector<MixInput> inputs = {
        {f32.get(), own_bytes, 0.5, {}}, {f16.get(), a, 0.25, {}}, {bf16.get(), b, 0.25, base}};
    CHECK(mix_encoded(out, inputs));
    CHECK(out == expected);
    inputs[1].encoded = inputs[1].encoded.first(10);
    CHECK(mix_encoded(own, inputs).error().code == ErrorCode::kUpdateSize);
    CHECK(own == random_values(1, count));
    inputs[1].encoded = a;
    CHECK(mix_encoded(own, inputs));  // in place
    CHECK(own == expected);
}

TEST_CASE(
    "mixing what came from others names whose value is not finite, else says how far they are") {
    auto f32 = *find_codec("f32"), f16 = *find_codec("f16");
    for (std::size_t count : {100u, 2500u, 80'000u}) {
        CAPTURE(count);
        auto own = random_values(1, count), near = random_values(2, count);
        auto a = *encode_all(*f32, near);
        auto b = *encode_all(*f16, random_values(3, count));
        std::vector<MixInput> inputs = {
            {f32.get(), a, 0.25, {}},
            {f32.get(), ByteView(std::as_bytes(std::span(own))), 0.5, {}},
            {f16.get(), b, 0.25, {}}};
        std::vector<float> plain(count), out(count);
        REQUIRE(mix_encoded(plain, inputs));
        MixCheck check{.self = 1};
        REQUIRE(mix_encoded(out, inputs, check));
        CHECK(out == plain);
        auto db = *decode_all(*f16, b, count);
        const auto squares =
            tensor::squared_distance(own, near) + tensor::squared_distance(own, db);
        // Of a large one some lines are looked at: near enough for who reads it.
        CHECK(check.distance ==
              doctest::Approx(std::sqrt(squares / (2.0 * static_cast<double>(count))))
                  .epsilon(count > 64 * 1024 ? 0.03 : 1e-9));
        const std::vector<tensor::Weighted> rows = {
            {near.data(), 0.25}, {own.data(), 0.5}, {db.data(), 0.25}};
        CHECK(mix_distance(rows, 1, count, nullptr) == check.distance);
        own[count - 1] = std::numeric_limits<float>::infinity();  // ours is not judged here
        CHECK(mix_encoded(out, inputs, check));
        own[count - 1] = 0;
        near[count - 1] = std::numeric_limits<float>::quiet_NaN();
        a = raw(*f32, near);
        inputs[0].encoded = a;
        auto refused = mix_encoded(out, inputs, check);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == ErrorCode::kUpdateNotFinite);
        CHECK(check.bad == 0);
    }
}

TEST_CASE("of a large model each tensor counts for the distance, be it ever so small") {
    tensor::Layout layout;
    layout.add("large", {300, 700});
    layout.add("lines", {40, 50});
    layout.add("few", {7});
    const auto count = layout.parameter_count();
    auto own = random_values(1, count), other = own, third = own;
    for (std::size_t i = 0; i < count; ++i) {
        const bool large = i < 210'000;
        other[i] += static_cast<float>(large ? 0.01 * static_cast<double>(i % 7) : 0.5);
        third[i] -= static_cast<float>(large ? 0.02 : 0.1 * static_cast<double>(i % 5));
    }
    const auto exact =
        std::sqrt((tensor::squared_distance(own, other) + tensor::squared_distance(own, third)) /
                  (2.0 * static_cast<double>(count)));
    const auto f32 = *find_codec("f32");
    const auto bytes = [](const std::vector<float>& x) {
        return ByteView(std::as_bytes(std::span(x)));
    };
    const std::vector<MixInput> inputs = {{f32.get(), bytes(other), 0.25, {}},
                                          {f32.get(), bytes(third), 0.25, {}},
                                          {f32.get(), bytes(own), 0.5, {}}};
    std::vector<float> out(count);
    MixCheck check{.self = 2, .layout = &layout};
    REQUIRE(mix_encoded(out, inputs, check));
    CHECK(check.distance == doctest::Approx(exact).epsilon(0.02));
    const std::vector<tensor::Weighted> rows = {
        {other.data(), 0.25}, {third.data(), 0.25}, {own.data(), 0.5}};
    CHECK(mix_distance(rows, 2, count, &layout) == check.distance);
}
