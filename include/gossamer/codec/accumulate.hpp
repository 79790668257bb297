// What is done with encoded updates, block by block while the decoded values are in the first
// cache: a decoded vector is never written to memory.
#pragma once

#include <cstdint>
#include <span>

#include "gossamer/codec/codec.hpp"
#include "gossamer/tensor/exact_sum.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "gossamer/tensor/layout.hpp"

namespace gossamer::codec {

// Are all `count` values finite and |x| <= bound? For what a neighbour sent, before it is mixed.
// Errors: kUpdateSize; kUpdateNotFinite, kUpdateTooLarge with the position of the first one.
Status check_values(const Codec& codec, ByteView encoded, std::size_t count, double bound);

// sum[i] += term(weight, value[i]); the update counts whole or, on an error, not at all: the sum is
// then as it was. Errors as of check_values, the bound being scale.bound.
Status add_encoded(std::span<std::int64_t> sum, const Codec& codec, ByteView encoded, float weight,
                   tensor::ExactScale scale);

struct MixInput {
    const Codec* codec = nullptr;
    ByteView encoded;
    double weight = 0;            // multiple of 2^-24
    std::span<const float> base;  // added to what was decoded; empty = none
};

// out = Σ weight_k · (base_k + decoded_k) in double, in the order given, rounded once. One pass
// over the blocks; out may be the buffer behind one of the inputs of codec f32, or a base. Errors:
// kUpdateSize, before anything is written.
Status mix_encoded(std::span<float> out, std::span<const MixInput> inputs);

// The same for inputs that nobody has looked at yet, in the same single pass: each value but those
// of inputs[self], our own, must be finite.
struct MixCheck {
    std::size_t self = 0;
    // When a value is not, out is worthless: which input's it was. REQUIRES out to be none of them.
    std::size_t bad = 0;
    const tensor::Layout* layout = nullptr;  // of the models; null: as if all were one tensor
    // Root mean square of the others' difference from inputs[self]; of large models an estimate, of
    // some lines of each tensor.
    double distance = 0;
};
// Errors as of check_values.
Status mix_encoded(std::span<float> out, std::span<const MixInput> inputs, MixCheck& check);
// That distance alone, of vectors of `count` floats: the same bits.
double mix_distance(std::span<const tensor::Weighted> inputs, std::size_t self, std::size_t count,
                    const tensor::Layout* layout);

}  // namespace gossamer::codec
