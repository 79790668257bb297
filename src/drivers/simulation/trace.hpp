// The trace hash: of everything a world saw, so that two runs that differ in anything that matters
// differ here. Each place hashes its own events; the whole is the hash of those in order, so that
// it does not depend on which thread turned which place.
#pragma once

#include <bit>
#include <cstdint>

#include "gossamer/base/bytes.hpp"
#include "gossamer/message/notice.hpp"

namespace gossamer::simulation {

class Trace {
public:
    void add(std::uint64_t x) {
        x *= 0x9E3779B97F4A7C15ull;
        x ^= x >> 29;
        hash_ = std::rotl(hash_ ^ x, 27) * 0xBF58476D1CE4E5B9ull + 0x94D049BB133111EBull;
    }
    void add(double x) { add(std::bit_cast<std::uint64_t>(x)); }
    void add(ByteView bytes) { add(digest128(bytes).low); }
    std::uint64_t value() const { return hash_; }

private:
    std::uint64_t hash_ = 0x243F6A8885A308D3ull;
};

void add(Trace& trace, const message::Notice& notice);  // what of it matters

}  // namespace gossamer::simulation
