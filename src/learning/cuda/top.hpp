// The k values of largest magnitude, exactly, ties to the lowest index: three counting passes over
// the bits of the magnitude find the smallest one that is kept; a scan tells everyone its place.
#pragma once

#include "learning/cuda/encode.hpp"

namespace gossamer::cuda {

constexpr int kTopBins = 2048;
constexpr int kTopThreads = 128, kTopPerThread = 32, kTopWritePerThread = 8;

struct TopState {
    unsigned bins[kTopBins];
    unsigned prefix;     // the leading bits of the threshold found so far
    unsigned remaining;  // how many are still to be taken among those with this prefix
};

struct TopArgs {
    const float* values;
    std::int64_t count;
    TopState* state;
    int shift, bits;   // of this pass: the bits [shift, shift + bits) of the magnitude
    unsigned* counts;  // two of each write block: above the threshold, and equal to it
    int block_count;
    unsigned wanted;
    unsigned char* out;
    float* next_residual;  // null: not wanted
};

GOSSAMER_BODY unsigned magnitude_of(float v) { return bits_of<std::uint32_t>(v) & 0x7fffffffu; }

struct TopHistogram {
    using Args = TopArgs;
    static constexpr int kThreads = kTopThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* bins = reinterpret_cast<unsigned*>(block.shared);
        const unsigned prefix = a.state->prefix;
        const int upper = a.shift + a.bits;
        block.each([&](int t) {
            for (int i = t; i < kTopBins; i += kThreads) bins[i] = 0;
        });
        block.each([&](int t) {
            for (int i = 0; i < kTopPerThread; ++i) {
                const std::int64_t e = (std::int64_t{block.x} * kTopPerThread + i) * kThreads + t;
                if (e >= a.count) break;
                const unsigned m = magnitude_of(a.values[e]);
                if (upper >= 31 || m >> upper == prefix)
                    Block::add(bins + ((m >> a.shift) & ((1u << a.bits) - 1)), 1u);
            }
        });
        block.each([&](int t) {
            for (int i = t; i < kTopBins; i += kThreads)
                if (bins[i] != 0) Block::add(a.state->bins + i, bins[i]);
        });
    }
};

struct TopPick {  // one block
    using Args = TopArgs;
    static constexpr int kThreads = kTopThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* sums = reinterpret_cast<unsigned*>(block.shared);
        constexpr int kEach = kTopBins / kThreads;
        TopState& s = *a.state;
        block.each([&](int t) {
            unsigned sum = 0;
            for (int i = 0; i < kEach; ++i) sum += s.bins[t * kEach + i];
            sums[t] = sum;
        });
        block.each([&](int t) {
            if (t != 0) return;
            unsigned left = s.remaining;
            int part = kThreads - 1;
            while (part > 0 && sums[part] < left) left -= sums[part--];
            int bin = part * kEach + kEach - 1;
            while (bin > part * kEach && s.bins[bin] < left) left -= s.bins[bin--];
            s.remaining = left;
            s.prefix = s.prefix << a.bits | static_cast<unsigned>(bin);
        });
        block.each([&](int t) {
            for (int i = t; i < kTopBins; i += kThreads) s.bins[i] = 0;
        });
    }
};

struct TopCounts {
    unsigned above, equal;  // to the threshold
};
// Among the values of one thread of a writing block, which begin at `first`.
GOSSAMER_BODY TopCounts count_top(const TopArgs& a, unsigned least, std::int64_t first) {
    TopCounts c{0, 0};
    for (int i = 0; i < kTopWritePerThread && first + i < a.count; ++i) {
        const unsigned m = magnitude_of(a.values[first + i]);
        c.above += m > least, c.equal += m == least;
    }
    return c;
}
// Pairs of counts become how many there are before each, from `before` on. In a phase: t is 0 or 1.
GOSSAMER_BODY void scan_top(unsigned* sums, int threads, int t, unsigned before) {
    for (int i = 0; i < threads; ++i) {
        const unsigned here = sums[2 * i + t];
        sums[2 * i + t] = before;
        before += here;
    }
}

struct TopCount {
    using Args = TopArgs;
    static constexpr int kThreads = kTopThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* counts = reinterpret_cast<unsigned*>(block.shared);
        const unsigned least = a.state->prefix;
        block.each([&](int t) {
            if (t < 2) counts[t] = 0;
        });
        block.each([&](int t) {
            const auto c =
                count_top(a, least, (std::int64_t{block.x} * kThreads + t) * kTopWritePerThread);
            if (c.above != 0) Block::add(counts, c.above);
            if (c.equal != 0) Block::add(counts + 1, c.equal);
        });
        block.each([&](int t) {
            if (t < 2) a.counts[2 * block.x + t] = counts[t];
        });
    }
};

struct TopScan {  // one block: counts become how many there are before each
    using Args = TopArgs;
    static constexpr int kThreads = kTopThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* sums = reinterpret_cast<unsigned*>(block.shared);
        const int each = (a.block_count + kThreads - 1) / kThreads;
        block.each([&](int t) {
            unsigned above = 0, equal = 0;
            for (int b = t * each; b < (t + 1) * each && b < a.block_count; ++b)
                above += a.counts[2 * b], equal += a.counts[2 * b + 1];
            sums[2 * t] = above, sums[2 * t + 1] = equal;
        });
        block.each([&](int t) {
            if (t < 2) scan_top(sums, kThreads, t, 0);
        });
        block.each([&](int t) {
            unsigned above = sums[2 * t], equal = sums[2 * t + 1];
            for (int b = t * each; b < (t + 1) * each && b < a.block_count; ++b) {
                const unsigned above_here = a.counts[2 * b], equal_here = a.counts[2 * b + 1];
                a.counts[2 * b] = above, a.counts[2 * b + 1] = equal;
                above += above_here, equal += equal_here;
            }
        });
    }
};

struct TopWrite {
    using Args = TopArgs;
    static constexpr int kThreads = kTopThreads;
    GOSSAMER_BODY static void run(Block& block, const Args& a) {
        auto* sums = reinterpret_cast<unsigned*>(block.shared);
        const unsigned least = a.state->prefix, ties = a.state->remaining;
        auto* indices = reinterpret_cast<unsigned*>(a.out) + 1;
        auto* kept = reinterpret_cast<float*>(a.out) + 1 + a.wanted;
        auto first_of = [&](int t) {
            return (std::int64_t{block.x} * kThreads + t) * kTopWritePerThread;
        };
        block.each([&](int t) {
            const auto c = count_top(a, least, first_of(t));
            sums[2 * t] = c.above, sums[2 * t + 1] = c.equal;
            if (block.x == 0 && t == 0) *reinterpret_cast<unsigned*>(a.out) = a.wanted;
        });
        block.each([&](int t) {
            if (t < 2) scan_top(sums, kThreads, t, a.counts[2 * block.x + t]);
        });
        block.each([&](int t) {
            unsigned above = sums[2 * t], equal = sums[2 * t + 1];
            for (int i = 0; i < kTopWritePerThread && first_of(t) + i < a.count; ++i) {
                const std::int64_t e = first_of(t) + i;
                const float v = a.values[e];
                const unsigned m = magnitude_of(v);
                const bool taken = m > least || (m == least && equal < ties);
                const unsigned place = above + (equal < ties ? equal : ties);
                if (taken && place < a.wanted) {
                    indices[place] = static_cast<unsigned>(e);
                    kept[place] = v;
                }
                if (a.next_residual != nullptr) a.next_residual[e] = taken ? 0.0f : v;
                above += m > least, equal += m == least;
            }
        });
    }
};

}  // namespace gossamer::cuda
