// Stream kernels over flat float32 buffers. Compiled without contraction, so that the bits are the
// same on every instruction set; sizes of all spans are equal unless said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gossamer::tensor {

struct Weighted {
    const float* values;
    double weight;  // exact multiple of 2^-24 from topology
};

// A result that is too large to be found in the caches later is better written past them: its lines
// need not be read first.
enum class Writes : std::uint8_t { cached, past_caches };
constexpr Writes writes_of(std::size_t bytes) {
    return bytes < (std::size_t{4} << 20) ? Writes::cached : Writes::past_caches;
}

// out = Σ weight_k · values_k in double, in the order given, rounded once. One pass, any number of
// inputs; out may be one of the inputs. Says whether every element of the result is finite, as it
// is when all values are and the weights are a mean's.
bool weighted_mean(std::span<float> out, std::span<const Weighted> inputs);
// The same for one block of a larger result.
bool weighted_mean(std::span<float> out, std::span<const Weighted> inputs, Writes writes);

// One of several such means over vectors of one length.
struct Mean {
    float* out;
    std::span<const Weighted> inputs;
};
// The elements [from, to) of all of them, block by block: a block of all is made in `scratch`
// before any of it is written, so an output may be an input of any of them. Vectors that are
// outputs pass through the cache once, however many means read them. REQUIRES distinct outputs, and
// scratch.size() >= means_scratch(means.size()).
void weighted_means(std::span<const Mean> means, std::size_t from, std::size_t to,
                    std::span<float> scratch);
std::size_t means_scratch(std::size_t mean_count);

// In all three out may be an input. subtract() says whether every difference is finite.
bool subtract(std::span<float> out, std::span<const float> a, std::span<const float> b);
void add(std::span<float> out, std::span<const float> a, std::span<const float> b);
// out += scale · x
void add_scaled(std::span<float> out, float scale, std::span<const float> x);

// Sums in double over a fixed tree: the same bits whatever the vector width.
double squared_norm(std::span<const float> x);
double squared_distance(std::span<const float> a, std::span<const float> b);
// Some lines of two vectors, of which a and b are the part from element `from` on:
// lanes[i] += scale · (difference of element first + i)².
struct Line {
    static constexpr std::size_t kFloats = 16;
    std::size_t first;
    double scale;
};
void add_squared_differences(std::span<double, Line::kFloats> lanes, const float* a, const float* b,
                             std::size_t from, std::span<const Line> lines);
bool all_finite(std::span<const float> x);

// out = scale · byte: pixels to features
void from_bytes(std::span<float> out, std::span<const std::uint8_t> in, float scale);

// IEEE half and bfloat16, round to nearest even; NaN stays NaN.
void to_half(std::span<std::uint16_t> out, std::span<const float> in);
void from_half(std::span<float> out, std::span<const std::uint16_t> in);
void to_bfloat16(std::span<std::uint16_t> out, std::span<const float> in);
void from_bfloat16(std::span<float> out, std::span<const std::uint16_t> in);

}  // namespace gossamer::tensor
