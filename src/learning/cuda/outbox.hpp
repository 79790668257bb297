// What leaves the card: measured, clipped, encoded there, then copied through the pinned ring.
#pragma once

#include <algorithm>
#include <vector>

#include "learning/cuda/kernels.hpp"
#include "learning/cuda/plugin.h"

namespace gossamer::cuda {

struct OutItem {
    const float* weights;  // on the card
    const float* start;    // null: 0
    gossamer_cuda_product product;
    void* out;  // host memory
};
struct OutResult {
    double norm = 0;
    unsigned bad = 0, not_finite = 0;
    std::uint64_t bytes = 0;
};

template <class Machine>
class Outbox {
public:
    explicit Outbox(Machine& machine) : machine_(machine) {}

    // Room for so many of them as they are, the largest product: what a card lacks shows while
    // fewer at once can still be chosen, not at the end of the first training. Residuals are not
    // counted: which codec there will be is not known yet.
    void reserve(std::size_t items, std::uint64_t count) {
        (void)make_room(std::vector<OutItem>(items), count);
    }

    // All of `count` values. Seconds (null: not wanted): of the kernels, of the copies.
    std::vector<OutResult> send(const std::vector<OutItem>& items, std::uint64_t count,
                                double* seconds = nullptr) {
        std::vector<OutResult> results(items.size());
        if (!make_room(items, count)) return results;
        std::vector<Norm> norms(items.size(), Norm{0, 1.0f, 0, 0});
        machine_.upload(norms_, norms.data(), norms.size() * sizeof(Norm));
        for (std::size_t i = 0; i < items.size(); ++i)
            if (items[i].product.residual != nullptr)
                machine_.upload(residual(i), items[i].product.residual, count * sizeof(float));
        if (seconds != nullptr) machine_.begin_timing();
        for (std::size_t i = 0; i < items.size(); ++i) encode(items[i], i, count);
        if (seconds != nullptr) {
            seconds[0] = machine_.end_timing();
            machine_.begin_timing();
        }
        machine_.download(norms.data(), norms_, norms.size() * sizeof(Norm));
        for (std::size_t i = 0; i < items.size() && !machine_.failed(); ++i) {
            const auto& p = items[i].product;
            results[i] = {norms[i].norm, norms[i].bad, norms[i].not_finite, bytes_of(p, count)};
            if (norms[i].bad != 0) continue;
            machine_.download(items[i].out, out(i), results[i].bytes);
            if (p.next_residual != nullptr)
                machine_.download(p.next_residual, next_residual(i), count * sizeof(float));
        }
        if (seconds != nullptr) seconds[1] = machine_.end_timing();
        return results;
    }

private:
    static std::uint64_t bytes_of(const gossamer_cuda_product& p, std::uint64_t count) {
        return encoded_bytes(static_cast<int>(p.kind), count, p.top_count);
    }
    unsigned char* out(std::size_t i) const { return out_ + i * out_stride_; }
    float* residual(std::size_t i) const { return residuals_ + 2 * i * float_stride_; }
    float* next_residual(std::size_t i) const { return residual(i) + float_stride_; }

    bool make_room(const std::vector<OutItem>& items, std::uint64_t count) {
        bool residuals = false, tops = false;
        out_stride_ = 0;
        for (const auto& item : items) {
            residuals |= item.product.residual != nullptr || item.product.next_residual != nullptr;
            tops |= item.product.kind == GOSSAMER_CUDA_TOP;
            out_stride_ = std::max<std::size_t>(out_stride_, bytes_of(item.product, count));
        }
        out_stride_ = (out_stride_ + 255) / 256 * 256;
        float_stride_ = (count + 31) / 32 * 32;
        partials_per_ = static_cast<int>((count + kMeasurePerThread * Measure::kThreads - 1) /
                                         (kMeasurePerThread * Measure::kThreads));
        grow(out_, out_room_, items.size() * out_stride_, "encoded updates");
        grow(norms_, norms_room_, items.size() * sizeof(Norm), "norms");
        grow(partials_, partials_room_,
             items.size() * static_cast<std::size_t>(partials_per_) * sizeof(double),
             "partial sums");
        if (residuals)
            grow(residuals_, residuals_room_, items.size() * 2 * float_stride_ * sizeof(float),
                 "residuals");
        if (tops) {
            grow(values_, values_room_, float_stride_ * sizeof(float), "values");
            grow(top_, top_room_, sizeof(TopState), "bins");
            grow(counts_, counts_room_, 2 * write_blocks(count) * sizeof(unsigned), "counts");
        }
        return !machine_.failed();
    }
    template <class T>
    void grow(T*& data, std::size_t& room, std::size_t bytes, const char* purpose) {
        if (bytes <= room) return;
        machine_.release(data);
        data = static_cast<T*>(machine_.allocate(bytes, purpose));
        room = data != nullptr ? bytes : 0;
    }
    static std::size_t write_blocks(std::uint64_t count) {
        constexpr std::uint64_t kEach = kTopThreads * kTopWritePerThread;
        return static_cast<std::size_t>((count + kEach - 1) / kEach);
    }

    void encode(const OutItem& item, std::size_t i, std::uint64_t count) {
        const auto& p = item.product;
        const Source source{item.weights, item.start, p.residual != nullptr ? residual(i) : nullptr,
                            p.next_residual != nullptr ? next_residual(i) : nullptr,
                            static_cast<std::int64_t>(count)};
        Norm* norm = norms_ + i;
        if (p.clip_norm > 0) {
            const MeasureArgs args{source, partials_ + i * static_cast<std::size_t>(partials_per_),
                                   norm, partials_per_, p.clip_norm};
            machine_.template launch<Measure>({.x = static_cast<unsigned>(partials_per_),
                                               .threads = Measure::kThreads,
                                               .shared_bytes = Measure::kThreads * sizeof(double)},
                                              args);
            machine_.template launch<Settle>(
                {.threads = Settle::kThreads, .shared_bytes = Settle::kThreads * sizeof(double)},
                args);
        }
        switch (p.kind) {
            case GOSSAMER_CUDA_F16: return launch<kF16>({source, norm, out(i)});
            case GOSSAMER_CUDA_BF16: return launch<kBf16>({source, norm, out(i)});
            case GOSSAMER_CUDA_INT8: return launch<kInt8>({source, norm, out(i), p.rounding});
            case GOSSAMER_CUDA_SIGN: return launch<kSign>({source, norm, out(i)});
            case GOSSAMER_CUDA_TOP: return top(source, norm, i, p.top_count);
            default: return launch<kDelta>({source, norm, out(i)});
        }
    }
    template <int Kind>
    void launch(const EncodeArgs& args) {
        constexpr std::int64_t kEach = std::int64_t{kEncodeBlocks} * kCodecBlock;
        machine_.template launch<Encode<Kind>>(
            {.x = static_cast<unsigned>((args.source.count + kEach - 1) / kEach),
             .threads = Encode<Kind>::kThreads},
            args);
    }

    void top(Source source, Norm* norm, std::size_t i, std::uint32_t wanted) {
        float* next = source.next_residual;
        source.next_residual = nullptr;
        launch<kDelta>({source, norm, reinterpret_cast<unsigned char*>(values_)});
        machine_.clear(top_, sizeof(TopState));
        machine_.upload(&top_->remaining, &wanted, sizeof wanted);
        const auto count = static_cast<std::uint64_t>(source.count);
        TopArgs args{
            values_, source.count, top_, 0, 0, counts_, static_cast<int>(write_blocks(count)),
            wanted,  out(i),       next};
        constexpr std::uint64_t kEach = kTopThreads * kTopPerThread;
        const Grid counting{.x = static_cast<unsigned>((count + kEach - 1) / kEach),
                            .threads = kTopThreads,
                            .shared_bytes = kTopBins * sizeof(unsigned)};
        constexpr int kShift[] = {20, 10, 0}, kBits[] = {11, 10, 10};
        for (int pass = 0; pass < 3; ++pass) {
            args.shift = kShift[pass], args.bits = kBits[pass];
            machine_.template launch<TopHistogram>(counting, args);
            machine_.template launch<TopPick>(one_block(), args);
        }
        const Grid writing{.x = static_cast<unsigned>(write_blocks(count)),
                           .threads = kTopThreads,
                           .shared_bytes = 2 * kTopThreads * sizeof(unsigned)};
        machine_.template launch<TopCount>(writing, args);
        machine_.template launch<TopScan>(one_block(), args);
        machine_.template launch<TopWrite>(writing, args);
    }
    static Grid one_block() {
        return {.threads = kTopThreads, .shared_bytes = 2 * kTopThreads * sizeof(unsigned)};
    }

    Machine& machine_;
    unsigned char* out_ = nullptr;
    Norm* norms_ = nullptr;
    double* partials_ = nullptr;
    float *residuals_ = nullptr, *values_ = nullptr;
    TopState* top_ = nullptr;
    unsigned* counts_ = nullptr;
    std::size_t out_room_ = 0, norms_room_ = 0, partials_room_ = 0, residuals_room_ = 0;
    std::size_t values_room_ = 0, top_room_ = 0, counts_room_ = 0;
    std::size_t out_stride_ = 0, float_stride_ = 0;
    int partials_per_ = 0;
};

}  // namespace gossamer::cuda
