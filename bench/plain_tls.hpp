// The limit for whole-system transfers: the same bytes over plain SSL_read / SSL_write, mutual
// TLS 1.3 with AES-128-GCM, between as many processes on the same cores. No checksum, no staging,
// no flow control, no sums: what a program gets that stops at OpenSSL's own calls.
#pragma once

#include <cstddef>

namespace gossamer::bench {

struct PlainCost {
    double seconds = 0;            // from the first byte to the last, handshakes not counted
    double processor_seconds = 0;  // of all processes, in the same time
};

// One process in the middle with `clients` others, a link each: `down_bytes` to every client, then
// `up_bytes` back from each.
PlainCost plain_star(unsigned clients, std::size_t down_bytes, std::size_t up_bytes);

// `nodes` processes in a ring, `bytes` both ways on each of the `nodes` links at the same time.
// Seconds.
double plain_ring_seconds(unsigned nodes, std::size_t bytes);

}  // namespace gossamer::bench
