// Counter-based randomness: a draw depends on what it is for, never on what was drawn before.
//
// stream(seed, purpose, round, peer) names a stream; streams with different names are independent.
// The generator is Philox4x32-10 (Salmon et al., SC'11). Transforms use no libm, so that the same
// name gives the same bits on every machine. None of this is for keys or masks.
#pragma once

#include <cstdint>
#include <span>

#include "gossamer/base/peer_id.hpp"

namespace gossamer {

struct RunSeed {
    std::uint64_t value = 0;
    auto operator<=>(const RunSeed&) const = default;
};

// One per independent use; append, never renumber.
enum class Purpose : std::uint32_t {
    model_init = 1,
    shuffle = 2,
    partition = 3,
    selection = 4,
    topology = 5,
    jitter = 6,
    dropout = 7,
    codec = 8,
    data = 10,  // 9 is free
    scenario = 11,
    user = 100,  // algorithms outside the tree start here
};

class RngStream {
public:
    RngStream(RunSeed seed, Purpose purpose, std::uint64_t round, std::uint64_t who);

    std::uint32_t next_u32();
    std::uint64_t next_u64();
    std::uint64_t below(std::uint64_t bound);  // uniform in [0, bound), unbiased; bound > 0
    double uniform();                          // [0, 1), 53 bits
    double normal();                           // mean 0, variance 1
    double exponential();                      // mean 1
    double gamma(double shape);                // scale 1, shape > 0 (Marsaglia–Tsang)
    template <class T>
    void shuffle(std::span<T> items) {  // Fisher–Yates
        for (std::size_t i = items.size(); i > 1; --i) {
            auto j = static_cast<std::size_t>(below(i));
            std::swap(items[i - 1], items[j]);
        }
    }

private:
    void refill();
    std::uint32_t key_[2];
    std::uint32_t counter_[4];
    std::uint32_t block_[4];
    unsigned used_ = 4;
};

RngStream stream(RunSeed seed, Purpose purpose, std::uint64_t round = 0, std::uint64_t who = 0);
RngStream stream(RunSeed seed, Purpose purpose, std::uint64_t round, const PeerId& who);

// Natural logarithm and exponential that give the same bits everywhere (about 1 ulp off).
double portable_log(double x);  // x > 0
double portable_exp(double x);

}  // namespace gossamer
