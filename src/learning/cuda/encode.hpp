// From trained weights to what crosses the bus: delta, clipping, error feedback and compression, in
// one or two passes over the card's memory; and mixing, the weighted sum of vectors.
//
// A warp encodes a block of 1,024 values and keeps them in registers, 32 a thread: lane l holds, of
// every 128, those at 4·l .. 4·l + 3.
#pragma once

#include "learning/cuda/arithmetic.hpp"

namespace gossamer::cuda {

constexpr int kCodecBlock = 1024;
constexpr int kEncodeThreads = 128, kEncodeBlocks = kEncodeThreads / 32;  // codec blocks a block
enum ProductKind { kWeights, kDelta, kF16, kBf16, kInt8, kSign, kTop };

GOSSAMER_BOTH std::uint64_t encoded_bytes(int kind, std::uint64_t count, std::uint64_t top) {
    const std::uint64_t blocks = (count + kCodecBlock - 1) / kCodecBlock;
    const std::uint64_t rest = count % kCodecBlock;
    switch (kind) {
        case kF16:
        case kBf16: return 2 * count;
        case kInt8: return 4 * blocks + count;
        case kSign: return 4 * blocks + count / kCodecBlock * (kCodecBlock / 8) + (rest + 7) / 8;
        case kTop: return 4 + 8 * top;
        default: return 4 * count;
    }
}

// Where the values come from: (weights - start) · factor + residual.
struct Source {
    const float* weights;
    const float* start;     // null: 0
    const float* residual;  // null: 0
    float* next_residual;   // null: not wanted
    std::int64_t count;
};
struct Norm {  // of one delta; set by `settle`
    double norm;
    float factor;
    unsigned bad;         // of threads with values that are not finite, or beyond the codec
    unsigned not_finite;  // of them those with values that are not finite
};

GOSSAMER_BODY float raw_value(const Source& s, std::int64_t e) {
    return s.start != nullptr ? s.weights[e] - s.start[e] : s.weights[e];
}
GOSSAMER_BODY float value_of(const Source& s, float factor, std::int64_t e) {
    const float v = raw_value(s, e) * factor;
    return s.residual != nullptr ? v + s.residual[e] : v;
}

// ---- Length: a partial sum of squares per block, then one block adds them up ----

struct MeasureArgs {
    Source source;
    double* partials;
    Norm* norm;
    int partial_count;
    double clip_norm;
};
constexpr int kMeasurePerThread = 32;

struct Measure {
    using Args = MeasureArgs;
    static constexpr int kThreads = 128;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* red = reinterpret_cast<double*>(block.shared);
        block.each([&](int t) {
            double sum = 0;
            const std::int64_t first = std::int64_t{block.x} * kMeasurePerThread * kThreads + t;
            GOSSAMER_UNROLL_4
            for (int i = 0; i < kMeasurePerThread; ++i) {
                const std::int64_t e = first + std::int64_t{i} * kThreads;
                const double v = e < a.source.count ? double(raw_value(a.source, e)) : 0.0;
                sum += v * v;
            }
            red[t] = sum;
        });
        sum_tree<kThreads>(block, red);
        block.each([&](int t) {
            if (t == 0) a.partials[block.x] = red[0];
        });
    }
};
struct Settle {
    using Args = MeasureArgs;
    static constexpr int kThreads = 128;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* red = reinterpret_cast<double*>(block.shared);
        block.each([&](int t) {
            double sum = 0;
            for (int i = t; i < a.partial_count; i += kThreads) sum += a.partials[i];
            red[t] = sum;
        });
        sum_tree<kThreads>(block, red);
        block.each([&](int t) {
            if (t != 0) return;
            const double norm = sqrt(red[0]);
            const bool long_one = a.clip_norm > 0 && norm > a.clip_norm;
            *a.norm = {norm, long_one ? static_cast<float>(a.clip_norm / norm) : 1.0f,
                       finite(norm) ? 0u : 1u};
        });
    }
};

// ---- Encoding ----

struct EncodeArgs {
    Source source;
    Norm* norm;
    unsigned char* out;
    std::uint64_t rounding = 0;  // of int8
};

struct Values {
    float v[32];
    float scale;  // of the block, in the form stored
};

GOSSAMER_BODY void load_values(Values& to, const Source& s, float factor, std::int64_t first,
                               int lane) {
    if (first + kCodecBlock <= s.count) {  // whole blocks begin on 16 bytes
        GOSSAMER_UNROLL
        for (int i = 0; i < 8; ++i) {
            const std::int64_t at = first + i * 128 + lane * 4;
            Four x = *reinterpret_cast<const Four*>(s.weights + at);
            if (s.start != nullptr) {
                const Four y = *reinterpret_cast<const Four*>(s.start + at);
                GOSSAMER_UNROLL
                for (int j = 0; j < 4; ++j) x.v[j] -= y.v[j];
            }
            GOSSAMER_UNROLL
            for (int j = 0; j < 4; ++j) x.v[j] *= factor;
            if (s.residual != nullptr) {
                const Four y = *reinterpret_cast<const Four*>(s.residual + at);
                GOSSAMER_UNROLL
                for (int j = 0; j < 4; ++j) x.v[j] += y.v[j];
            }
            GOSSAMER_UNROLL
            for (int j = 0; j < 4; ++j) to.v[4 * i + j] = x.v[j];
        }
        return;
    }
    GOSSAMER_UNROLL
    for (int i = 0; i < 32; ++i) {
        const std::int64_t e = first + i / 4 * 128 + lane * 4 + i % 4;
        to.v[i] = e < s.count ? value_of(s, factor, e) : 0.0f;
    }
}

GOSSAMER_BODY float larger(float a, float b) { return a > b ? a : b; }

template <int Kind>
struct Encode {
    using Args = EncodeArgs;
    static constexpr int kThreads = kEncodeThreads;

    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        PerThread<Values, kThreads> values;
        PerThread<float, kThreads> most;
        PerThread<double, kThreads> total;
        const float factor = a.norm->factor;  // written by another kernel
        block.each([&](int t) {
            const std::int64_t first = block_of(block, t) * kCodecBlock;
            load_values(values[t], a.source, factor, first, t % 32);
            float m = 0;
            double sum[4] = {0, 0, 0, 0};
            bool good = true, whole = true;
            GOSSAMER_UNROLL
            for (int i = 0; i < 32; ++i) {
                const float size = size_of(values[t].v[i]);
                whole = whole && finite(size);
                good = good && fits(size);
                if (Kind == kInt8) m = larger(m, size);
                if (Kind == kSign) sum[i % 4] += double(size);
            }
            most[t] = m, total[t] = (sum[0] + sum[2]) + (sum[1] + sum[3]);
            if (!good || !whole) Block::add(&a.norm->bad, 1u);
            if (!whole) Block::add(&a.norm->not_finite, 1u);
        });
        if constexpr (Kind == kInt8)
            for (int d = 16; d > 0; d /= 2)
                block.exchange(most, d, [](float x, float y) { return larger(x, y); });
        if constexpr (Kind == kSign)
            for (int d = 16; d > 0; d /= 2)
                block.exchange(total, d, [](double x, double y) { return x + y; });
        PerThread<std::uint32_t, kThreads> words[Kind == kSign ? 8 : 1];
        block.each([&](int t) {
            const std::int64_t b = block_of(block, t), first = b * kCodecBlock;
            const std::int64_t left = a.source.count - first;
            if (left <= 0) return;
            const auto count = static_cast<int>(left < kCodecBlock ? left : kCodecBlock);
            Values& v = values[t];
            if (Kind == kInt8) v.scale = most[t] >= kInt8Least ? most[t] / 127.0f : 0.0f;
            if (Kind == kSign) v.scale = static_cast<float>(total[t] / double(count));
            if (Kind == kInt8) write_bytes(a, v, most[t], b, count, t % 32);
            if (Kind == kSign) GOSSAMER_UNROLL
            for (int i = 0; i < 8; ++i)
                words[Kind == kSign ? i : 0][t] = nibble(v, i, t % 32, count);
            if (Kind != kInt8 && Kind != kSign) write_plain(a, v, first, count, t % 32);
            if (a.source.next_residual != nullptr) GOSSAMER_UNROLL
            for (int i = 0; i < 32; ++i) {
                const int at = i / 4 * 128 + t % 32 * 4 + i % 4;
                if (at < count)
                    a.source.next_residual[first + at] =
                        v.v[i] - decoded(v, most[t], i, key_of(a, b), at);
            }
        });
        if constexpr (Kind == kSign) {
            GOSSAMER_UNROLL
            for (int i = 0; i < 8; ++i)
                for (int d = 4; d > 0; d /= 2)
                    block.exchange(words[i], d,
                                   [](std::uint32_t x, std::uint32_t y) { return x | y; });
            block.each([&](int t) {
                const std::int64_t b = block_of(block, t), left = a.source.count - b * kCodecBlock;
                if (left <= 0 || t % 8 != 0) return;
                const auto count = static_cast<int>(left < kCodecBlock ? left : kCodecBlock);
                unsigned char* out = a.out + b * (4 + kCodecBlock / 8);
                if (t % 32 == 0) memcpy(out, &values[t].scale, 4);
                GOSSAMER_UNROLL
                for (int i = 0; i < 8; ++i)
                    for (int byte = 0; byte < 4; ++byte) {
                        const int at = (i * 4 + t % 32 / 8) * 4 + byte;
                        if (at < (count + 7) / 8)
                            out[4 + at] = static_cast<unsigned char>(words[i][t] >> (8 * byte));
                    }
            });
        }
    }

private:
    GOSSAMER_BODY static std::int64_t block_of(const Block& block, int thread) {
        return std::int64_t{block.x} * kEncodeBlocks + thread / 32;
    }
    GOSSAMER_BODY static bool positive(float x) { return bits_of<std::uint32_t>(x) >> 31 == 0; }
    GOSSAMER_BODY static bool fits(float size) {
        if (Kind == kF16) return half_of(size) < 0x7c00u;
        if (Kind == kBf16) return bfloat16_of(size) < 0x7f80u;
        if (Kind == kInt8) return size < kInt8Most;
        return true;
    }
    GOSSAMER_BODY static float int8_factor(float most) {
        return most >= kInt8Least ? 127.0f / most : 0.0f;
    }
    GOSSAMER_BODY static std::uint64_t key_of(const Args& a, std::int64_t block) {
        return spread(a.rounding + static_cast<std::uint64_t>(block) * 0x9e3779b97f4a7c15ull);
    }
    GOSSAMER_BODY static float decoded(const Values& v, float most, int i, std::uint64_t key,
                                       int place) {
        const float x = v.v[i];
        if (Kind == kF16) return float_of_half(half_of(x));
        if (Kind == kBf16) return float_of_bfloat16(bfloat16_of(x));
        if (Kind == kInt8)
            return static_cast<float>(int8_of(x, int8_factor(most),
                                              int8_draw(key, static_cast<std::uint32_t>(place)))) *
                   v.scale;
        if (Kind == kSign) return positive(x) ? v.scale : -v.scale;
        return x;
    }
    GOSSAMER_BODY static void write_plain(const Args& a, const Values& v, std::int64_t first,
                                          int count, int lane) {
        GOSSAMER_UNROLL
        for (int i = 0; i < 32; ++i) {
            const int at = i / 4 * 128 + lane * 4 + i % 4;
            if (at >= count) continue;
            if (Kind == kF16)
                reinterpret_cast<std::uint16_t*>(a.out)[first + at] = half_of(v.v[i]);
            else if (Kind == kBf16)
                reinterpret_cast<std::uint16_t*>(a.out)[first + at] = bfloat16_of(v.v[i]);
            else
                reinterpret_cast<float*>(a.out)[first + at] = v.v[i];
        }
    }
    GOSSAMER_BODY static void write_bytes(const Args& a, const Values& v, float most,
                                          std::int64_t b, int count, int lane) {
        unsigned char* out = a.out + b * (4 + kCodecBlock);
        const float factor = int8_factor(most);
        const std::uint64_t key = key_of(a, b);
        if (lane == 0) memcpy(out, &v.scale, 4);
        GOSSAMER_UNROLL
        for (int i = 0; i < 8; ++i) {
            const int at = i * 128 + lane * 4;
            std::uint32_t word = 0;
            GOSSAMER_UNROLL
            for (int j = 0; j < 4; ++j)
                word |= (static_cast<std::uint32_t>(
                             int8_of(v.v[4 * i + j], factor,
                                     int8_draw(key, static_cast<std::uint32_t>(at + j)))) &
                         0xffu)
                        << (8 * j);
            if (at + 4 <= count) {
                *reinterpret_cast<std::uint32_t*>(out + 4 + at) = word;
            } else {
                for (int j = 0; j < 4; ++j)
                    if (at + j < count) out[4 + at + j] = static_cast<unsigned char>(word >> 8 * j);
            }
        }
    }
    // Four signs of lane `lane` in the i-th 128 values, where they belong in their word.
    GOSSAMER_BODY static std::uint32_t nibble(const Values& v, int i, int lane, int count) {
        std::uint32_t bits = 0;
        GOSSAMER_UNROLL
        for (int j = 0; j < 4; ++j)
            bits |= static_cast<std::uint32_t>(positive(v.v[4 * i + j]) &&
                                               i * 128 + lane * 4 + j < count)
                    << j;
        return bits << (lane % 8 * 4);
    }
};

// ---- Mixing ----

constexpr int kMixMax = 64;  // vectors at once
struct MixArgs {
    const float* inputs[kMixMax];
    double weights[kMixMax];
    float* out;
    std::int64_t count;
    int input_count;
    // Where there are more inputs than fit: the sums so far, in and out; null: 0, and `out`.
    const double* before;
    double* after;
};

// Sums in the order of the inputs, in double, without contraction: the bits do not depend on where.
struct Mix {
    using Args = MixArgs;
    static constexpr int kThreads = 256;
    static constexpr int kFours = 2;  // of each thread
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        block.each([&](int t) {
            for (int f = 0; f < kFours; ++f) {
                const std::int64_t at = ((std::int64_t{block.x} * kFours + f) * kThreads + t) * 4;
                if (at >= a.count) return;
                const bool whole = at + 4 <= a.count;
                double sum[4] = {0, 0, 0, 0};
                if (a.before != nullptr)
                    for (int j = 0; j < 4; ++j)
                        if (at + j < a.count) sum[j] = a.before[at + j];
                GOSSAMER_UNROLL_4
                for (int k = 0; k < a.input_count; ++k) {
                    Four x = {{0, 0, 0, 0}};
                    if (whole)
                        x = *reinterpret_cast<const Four*>(a.inputs[k] + at);
                    else
                        for (int j = 0; j < 4; ++j)
                            if (at + j < a.count) x.v[j] = a.inputs[k][at + j];
                    GOSSAMER_UNROLL
                    for (int j = 0; j < 4; ++j) sum[j] += a.weights[k] * double(x.v[j]);
                }
                if (a.after != nullptr) {
                    for (int j = 0; j < 4; ++j)
                        if (at + j < a.count) a.after[at + j] = sum[j];
                } else if (whole) {
                    Four y;
                    GOSSAMER_UNROLL
                    for (int j = 0; j < 4; ++j) y.v[j] = static_cast<float>(sum[j]);
                    *reinterpret_cast<Four*>(a.out + at) = y;
                } else {
                    for (int j = 0; j < 4; ++j)
                        if (at + j < a.count) a.out[at + j] = static_cast<float>(sum[j]);
                }
            }
        });
    }
};

}  // namespace gossamer::cuda
