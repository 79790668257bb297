// Weighted means of vectors. What a machine can do is given by how fast it reads the inputs, so the
// tiles keep to whole lines, and a large result is written past the caches: otherwise each of its
// lines is read before it is written.
#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/tensor/kernel_clones.hpp"

#if defined(GOSSAMER_CLONES)
#include <immintrin.h>
#endif

namespace gossamer::tensor {
namespace {

struct Tiled {
    std::size_t columns;   // done
    std::int32_t largest;  // magnitude of their means, as bits
};

// Columns that are summed before the next are looked at: the doubles stay in the first cache.
constexpr std::size_t kColumns = 1024;
// Up to so many inputs are added up in registers; more go through `acc` in groups.
constexpr std::size_t kGroup = 8;

// acc += w0·x0 + w1·x1 + w2·x2 + w3·x3, added one after another.
template <std::size_t N>
__attribute__((always_inline)) inline void mean_of_few(float* out, const double* acc,
                                                       double* acc_out, const Weighted* in,
                                                       std::size_t at, std::size_t count) {
    const float* x[N];
    double w[N];
    for (std::size_t k = 0; k < N; ++k) x[k] = in[k].values + at, w[k] = in[k].weight;
#pragma GCC ivdep  // out may be an input: then each value is read before it is written
    for (std::size_t i = 0; i < count; ++i) {
        double sum = acc ? acc[i] : 0.0;
        for (std::size_t k = 0; k < N; ++k) sum += w[k] * static_cast<double>(x[k][i]);
        if (acc_out)
            acc_out[i] = sum;
        else
            out[i] = static_cast<float>(sum);
    }
}

template <std::size_t... N>
__attribute__((always_inline)) inline void mean_of_group(std::size_t n, std::index_sequence<N...>,
                                                         float* out, const double* acc,
                                                         double* acc_out, const Weighted* in,
                                                         std::size_t at, std::size_t count) {
    ((n == N + 1 ? mean_of_few<N + 1>(out, acc, acc_out, in, at, count) : void()), ...);
}

// Without tiles: on other machines, and of the columns that fill no tile.
void mean_of_columns(float* out, std::size_t from, std::size_t size, const Weighted* inputs,
                     std::size_t input_count) {
    alignas(64) double acc[kColumns];
    for (std::size_t at = from; at < size; at += kColumns) {
        const auto count = std::min(kColumns, size - at);
        std::size_t k = 0;
        for (; input_count - k > kGroup; k += kGroup)
            mean_of_few<kGroup>(nullptr, k ? acc : nullptr, acc, inputs + k, at, count);
        mean_of_group(input_count - k, std::make_index_sequence<kGroup>(), out + at,
                      k ? acc : nullptr, nullptr, inputs + k, at, count);
    }
}

std::int32_t largest_magnitude(const float* x, std::size_t from, std::size_t size) {
    std::int32_t largest = 0;
    for (std::size_t i = from; i < size; ++i)
        largest = std::max(largest, std::bit_cast<std::int32_t>(x[i]) & 0x7fffffff);
    return largest;
}

#if defined(GOSSAMER_CLONES)
namespace v4 {
#define GOSSAMER_SET __attribute__((target("arch=x86-64-v4")))
constexpr std::size_t kDoubles = 8;
using Doubles = __m512d;
using Floats = __m256;
// With a mask of all lanes: without one GCC 12 warns of its own headers.
GOSSAMER_SET inline Doubles widen(const float* x) {
    return _mm512_maskz_cvtps_pd(0xff, _mm256_loadu_ps(x));
}
GOSSAMER_SET inline Floats narrow(Doubles x) { return _mm512_maskz_cvtpd_ps(0xff, x); }
GOSSAMER_SET inline void stream(float* out, Floats x) { _mm256_stream_ps(out, x); }
#include "learning/tensor/mean_tiles.inc"
#undef GOSSAMER_SET
}  // namespace v4

namespace v3 {
#define GOSSAMER_SET __attribute__((target("arch=x86-64-v3")))
constexpr std::size_t kDoubles = 4;
using Doubles = __m256d;
using Floats = __m128;
GOSSAMER_SET inline Doubles widen(const float* x) { return _mm256_cvtps_pd(_mm_loadu_ps(x)); }
GOSSAMER_SET inline Floats narrow(Doubles x) { return _mm256_cvtpd_ps(x); }
GOSSAMER_SET inline void stream(float* out, Floats x) { _mm_stream_ps(out, x); }
#include "learning/tensor/mean_tiles.inc"
#undef GOSSAMER_SET
}  // namespace v3

__attribute__((target("arch=x86-64-v4"))) Tiled tiles_of(float* out, std::size_t size,
                                                         const Weighted* inputs,
                                                         std::size_t input_count,
                                                         bool past_caches) {
    return v4::mean_of_tiles(out, size, inputs, input_count, past_caches);
}
__attribute__((target("arch=x86-64-v3"))) Tiled tiles_of(float* out, std::size_t size,
                                                         const Weighted* inputs,
                                                         std::size_t input_count,
                                                         bool past_caches) {
    return v3::mean_of_tiles(out, size, inputs, input_count, past_caches);
}
__attribute__((target("default"))) Tiled tiles_of(float*, std::size_t, const Weighted*, std::size_t,
                                                  bool) {
    return {0, 0};
}
constexpr std::size_t kStreamAlignment = 32;
void order_streams() { _mm_sfence(); }  // they would overtake the news that they are done
#else
Tiled tiles_of(float*, std::size_t, const Weighted*, std::size_t, bool) { return {0, 0}; }
constexpr std::size_t kStreamAlignment = 1;
void order_streams() {}
#endif

}  // namespace

bool weighted_mean(std::span<float> out, std::span<const Weighted> inputs, Writes writes) {
    // A line that was just read is at hand, and half a vector cannot pass the caches.
    const bool in_place = std::ranges::any_of(
        inputs, [&](const Weighted& input) { return input.values == out.data(); });
    const bool aligned = reinterpret_cast<std::uintptr_t>(out.data()) % kStreamAlignment == 0;
    const bool past_caches = writes == Writes::past_caches && !in_place && aligned;
    const auto tiled = tiles_of(out.data(), out.size(), inputs.data(), inputs.size(), past_caches);
    if (past_caches) order_streams();
    const auto from = tiled.columns;
    if (inputs.empty())
        std::ranges::fill(out.subspan(from), 0.0f);
    else
        mean_of_columns(out.data(), from, out.size(), inputs.data(), inputs.size());
    return std::max(tiled.largest, largest_magnitude(out.data(), from, out.size())) < 0x7f800000;
}

bool weighted_mean(std::span<float> out, std::span<const Weighted> inputs) {
    return weighted_mean(out, inputs, writes_of(out.size_bytes()));
}

// ---- several ------------------------------------------------------------------------------------

namespace {

// Few enough that a block of every vector, and of what is made of it, stay in the second cache.
constexpr std::size_t kBlock = 256, kSmallBlock = 128, kManyMeans = 160;
constexpr std::size_t kLine = 64 / sizeof(float);

constexpr std::size_t block_for(std::size_t means) {
    return means > kManyMeans ? kSmallBlock : kBlock;
}

}  // namespace

std::size_t means_scratch(std::size_t mean_count) { return mean_count * block_for(mean_count); }

void weighted_means(std::span<const Mean> means, std::size_t from, std::size_t to,
                    std::span<float> scratch) {
    GOSSAMER_ASSERT(scratch.size() >= means_scratch(means.size()), "too little scratch");
    const auto block = block_for(means.size());
    std::vector<Weighted> rows;
    for (auto at = from; at < to; at += block) {
        const auto count = std::min(block, to - at), next = at + block;
        for (std::size_t m = 0; m < means.size(); ++m) {
            // The next block comes from memory meanwhile; no processor foresees such jumps.
            for (auto i = next; i < std::min(next + block, to); i += kLine)
                __builtin_prefetch(means[m].out + i, 1, 2);
            rows.assign(means[m].inputs.begin(), means[m].inputs.end());
            for (auto& row : rows) row.values += at;
            weighted_mean(scratch.subspan(m * block, count), rows, Writes::cached);
        }
        for (std::size_t m = 0; m < means.size(); ++m)
            std::memcpy(means[m].out + at, &scratch[m * block], count * sizeof(float));
    }
}

}  // namespace gossamer::tensor
