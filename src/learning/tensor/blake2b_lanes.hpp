// BLAKE2b-256 (RFC 7693) of several inputs of one length at once, a lane of a vector each: one hash
// is a chain of dependent additions that leaves most of a core idle, eight of them are not.
#pragma once

#include <cstddef>
#include <span>

#include "gossamer/base/bytes.hpp"

namespace gossamer::tensor {

inline constexpr std::size_t kBlakeBlockBytes = 128;

// How many inputs at once this machine has vectors for, most first; none where vectors are too
// narrow to be faster than one input after the other.
std::span<const std::size_t> blake2b_lane_counts();

// The same digests as libsodium gives for each input alone, without key and salt. REQUIRES as many
// inputs and digests as one of blake2b_lane_counts(), `byte_count` a positive multiple of
// kBlakeBlockBytes, `personal` of 16 bytes.
void blake2b_256_lanes(std::span<Digest256> out, std::span<const std::byte* const> inputs,
                       std::size_t byte_count, const char* personal);

}  // namespace gossamer::tensor
