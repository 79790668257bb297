#include "gossamer/base/rng.hpp"

#include <bit>
#include <cmath>
#include <cstring>

#include "gossamer/base/assert.hpp"

namespace gossamer {
namespace {

// SplitMix64's finaliser: spreads the parts of a stream's name over key and counter.
std::uint64_t mix(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

}  // namespace

RngStream::RngStream(RunSeed seed, Purpose purpose, std::uint64_t round, std::uint64_t who) {
    auto key = mix(seed.value ^ mix(static_cast<std::uint64_t>(purpose)));
    auto name = mix(mix(round) ^ std::rotl(mix(who ^ key), 17));
    key_[0] = static_cast<std::uint32_t>(key);
    key_[1] = static_cast<std::uint32_t>(key >> 32);
    counter_[0] = counter_[1] = 0;
    counter_[2] = static_cast<std::uint32_t>(name);
    counter_[3] = static_cast<std::uint32_t>(name >> 32);
}

// Philox4x32-10.
void RngStream::refill() {
    std::uint32_t c[4] = {counter_[0], counter_[1], counter_[2], counter_[3]};
    std::uint32_t k0 = key_[0], k1 = key_[1];
    for (int i = 0; i < 10; ++i) {
        auto p0 = std::uint64_t{0xD2511F53} * c[0], p1 = std::uint64_t{0xCD9E8D57} * c[2];
        auto next0 = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
        auto next2 = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
        c[1] = static_cast<std::uint32_t>(p1);
        c[3] = static_cast<std::uint32_t>(p0);
        c[0] = next0;
        c[2] = next2;
        k0 += 0x9E3779B9;
        k1 += 0xBB67AE85;
    }
    std::memcpy(block_, c, sizeof c);
    used_ = 0;
    if (++counter_[0] == 0) ++counter_[1];
}

std::uint32_t RngStream::next_u32() {
    if (used_ == 4) refill();
    return block_[used_++];
}

std::uint64_t RngStream::next_u64() {
    auto low = next_u32();
    return low | std::uint64_t{next_u32()} << 32;
}

std::uint64_t RngStream::below(std::uint64_t bound) {  // Lemire's method with rejection
    GOSSAMER_ASSERT(bound > 0, "below(0)");
    auto threshold = (0 - bound) % bound;
    for (;;) {
        auto product = static_cast<unsigned __int128>(next_u64()) * bound;
        if (static_cast<std::uint64_t>(product) >= threshold)
            return static_cast<std::uint64_t>(product >> 64);
    }
}

double RngStream::uniform() { return static_cast<double>(next_u64() >> 11) * 0x1p-53; }

double RngStream::normal() {  // Marsaglia's polar method; the second value is thrown away
    for (;;) {
        double u = 2 * uniform() - 1, v = 2 * uniform() - 1, s = u * u + v * v;
        if (s < 1 && s > 0) return u * std::sqrt(-2 * portable_log(s) / s);
    }
}

double RngStream::exponential() { return -portable_log(1 - uniform()); }

double RngStream::gamma(double shape) {
    GOSSAMER_ASSERT(shape > 0, "gamma needs a positive shape");
    if (shape < 1) {  // boost: G(a) = G(a + 1) · U^(1/a)
        double g = gamma(shape + 1);
        return g * portable_exp(portable_log(1 - uniform()) / shape);
    }
    double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
    for (;;) {
        double x = normal(), t = 1 + c * x;
        if (t <= 0) continue;
        double v = t * t * t, u = 1 - uniform();
        if (portable_log(u) < 0.5 * x * x + d - d * v + d * portable_log(v)) return d * v;
    }
}

RngStream stream(RunSeed seed, Purpose purpose, std::uint64_t round, std::uint64_t who) {
    return {seed, purpose, round, who};
}

RngStream stream(RunSeed seed, Purpose purpose, std::uint64_t round, const PeerId& who) {
    std::uint64_t part[4], name = 0;
    std::memcpy(part, who.bytes.data(), sizeof part);
    for (auto p : part) name = mix(name ^ p);
    return {seed, purpose, round, name};
}

double portable_log(double x) {
    GOSSAMER_ASSERT(x > 0, "portable_log of a number that is not positive");
    int exponent = 0;
    double m = std::frexp(x, &exponent);  // exact
    if (m < 0.70710678118654752) m *= 2, --exponent;
    double f = (m - 1) / (m + 1), f2 = f * f;  // log m = 2 artanh f, |f| < 0.172
    double s = 0;
    for (int k = 19; k >= 1; k -= 2) s = s * f2 + 1.0 / k;
    return 2 * f * s + exponent * 0.69314718055994530942;
}

double portable_exp(double x) {
    if (x > 709) return std::ldexp(1.0, 1023);  // saturates; nobody here needs infinities
    if (x < -745) return 0;
    double n = std::floor(x * 1.4426950408889634 + 0.5);
    double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double s = 1;
    for (int k = 14; k >= 1; --k) s = 1 + s * r / k;
    return std::ldexp(s, static_cast<int>(n));
}

}  // namespace gossamer
