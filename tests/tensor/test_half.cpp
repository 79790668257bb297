#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "gossamer/base/rng.hpp"
#include "gossamer/tensor/kernels.hpp"

using namespace gossamer;
using namespace gossamer::tensor;

namespace {

// What the bits of a half mean, by the definition.
double meaning(std::uint16_t half) {
    auto sign = half & 0x8000 ? -1.0 : 1.0;
    auto exponent = (half >> 10) & 31, fraction = half & 0x3ff;
    if (exponent == 31)
        return fraction ? std::numeric_limits<double>::quiet_NaN()
                        : sign * std::numeric_limits<double>::infinity();
    if (exponent == 0) return sign * std::ldexp(fraction, -24);
    return sign * std::ldexp(1024 + fraction, exponent - 25);
}

std::uint16_t half(float x) {
    std::uint16_t out = 0;
    to_half({&out, 1}, {&x, 1});
    return out;
}
std::uint16_t bfloat(float x) {
    std::uint16_t out = 0;
    to_bfloat16({&out, 1}, {&x, 1});
    return out;
}

std::vector<std::uint16_t> all_words() {
    std::vector<std::uint16_t> words(65536);
    for (std::size_t i = 0; i < words.size(); ++i) words[i] = static_cast<std::uint16_t>(i);
    return words;
}

}  // namespace

TEST_CASE("all 65,536 halves are read as defined and written back as they were") {
    auto words = all_words();
    std::vector<float> floats(words.size());
    from_half(floats, words);
    std::vector<std::uint16_t> back(words.size());
    to_half(back, floats);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        auto expected = meaning(words[i]);
        if (std::isnan(expected))
            wrong += !std::isnan(floats[i]) || !std::isnan(meaning(back[i])) ||
                     (back[i] & 0x8000) != (words[i] & 0x8000);
        else
            wrong += static_cast<double>(floats[i]) != expected || back[i] != words[i] ||
                     std::signbit(floats[i]) != std::signbit(expected);
    }
    CHECK(wrong == 0);
}

TEST_CASE(
    "between any two neighbouring halves the nearest is taken, and the even one in the middle") {
    std::size_t wrong = 0;
    for (unsigned h = 0; h < 0x7bff; ++h) {  // up to the pair below the largest finite
        auto low = static_cast<std::uint16_t>(h), high = static_cast<std::uint16_t>(h + 1);
        auto middle = static_cast<float>((meaning(low) + meaning(high)) / 2);  // exact in float
        auto even = low % 2 == 0 ? low : high;
        wrong += half(middle) != even;
        wrong += half(std::nextafter(middle, 0.0f)) != low;
        wrong += half(std::nextafter(middle, 1e30f)) != high;
        wrong += half(-middle) != (even | 0x8000);
        wrong += half(-std::nextafter(middle, 1e30f)) != (high | 0x8000);
    }
    CHECK(wrong == 0);
}

TEST_CASE("halves overflow to infinity, vanish to zero and keep NaN") {
    constexpr auto infinity = std::numeric_limits<float>::infinity();
    CHECK(half(65504.0f) == 0x7bff);
    CHECK(half(65519.996f) == 0x7bff);
    CHECK(half(65520.0f) == 0x7c00);
    CHECK(half(65536.0f) == 0x7c00);
    CHECK(half(3e38f) == 0x7c00);
    CHECK(half(-infinity) == 0xfc00);
    CHECK(half(0x1p-25f) == 0);  // a tie with zero
    CHECK(half(std::nextafter(0x1p-25f, 1.0f)) == 1);
    CHECK(half(std::numeric_limits<float>::denorm_min()) == 0);
    CHECK(half(-0.0f) == 0x8000);
    CHECK(std::isnan(meaning(half(std::numeric_limits<float>::quiet_NaN()))));
    CHECK(
        std::isnan(meaning(half(std::bit_cast<float>(0x7f800001u)))));  // payload in low bits only
    CHECK(std::isnan(meaning(half(std::bit_cast<float>(0xff800001u)))));
}

TEST_CASE("all bfloat16 words survive, and rounding is to nearest even") {
    auto words = all_words();
    std::vector<float> floats(words.size());
    from_bfloat16(floats, words);
    std::vector<std::uint16_t> back(words.size());
    to_bfloat16(back, floats);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        wrong += std::bit_cast<std::uint32_t>(floats[i]) != static_cast<std::uint32_t>(i) << 16;
        if (std::isnan(floats[i]))
            wrong += (back[i] & 0x7fff) <= 0x7f80;
        else
            wrong += back[i] != words[i];
    }
    CHECK(wrong == 0);
    for (std::uint32_t high : {0x3f80u, 0x3f81u, 0x0001u, 0x7f7eu}) {
        auto at = [&](std::uint32_t low) { return bfloat(std::bit_cast<float>(high << 16 | low)); };
        CHECK(at(0x7fff) == high);
        CHECK(at(0x8000) == (high % 2 ? high + 1 : high));
        CHECK(at(0x8001) == high + 1);
    }
    CHECK(bfloat(std::numeric_limits<float>::max()) == 0x7f80);
    CHECK((bfloat(std::bit_cast<float>(0x7f800001u)) & 0x7fff) > 0x7f80);
}

TEST_CASE("blocks of any length convert like single numbers") {
    auto draw = stream(RunSeed{8}, Purpose::user);
    for (std::size_t size = 0; size < 70; ++size) {
        std::vector<float> in(size);
        for (auto& v : in) v = std::bit_cast<float>(draw.next_u32());
        std::vector<std::uint16_t> h(size), b(size);
        to_half(h, in);
        to_bfloat16(b, in);
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(h[i] == half(in[i]));
            CHECK(b[i] == bfloat(in[i]));
        }
    }
}
