#include "gossamer/data/loader.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"

namespace gossamer::data {

Loader::Loader(View view, LoaderOptions options) : view_(std::move(view)), options_(options) {
    GOSSAMER_ASSERT(options_.batch_size > 0, "a batch holds at least one sample");
    auto samples = view_.size();
    batch_count_ = samples / options_.batch_size;
    if (!options_.drop_last && samples % options_.batch_size != 0) ++batch_count_;
}

void Loader::order_rows(std::uint64_t epoch) {
    auto first_use = order_.empty();
    if (!first_use && (epoch == epoch_ || !options_.shuffle)) return;
    order_.resize(view_.size());
    for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = view_.row(i);
    if (options_.shuffle)
        stream(options_.seed, Purpose::shuffle, epoch, options_.peer).shuffle(std::span(order_));
    epoch_ = epoch;
}

Batch Loader::batch(std::uint64_t epoch, std::size_t index) {
    GOSSAMER_ASSERT(index < batch_count_, "a batch of the epoch");
    order_rows(epoch);
    auto first = index * options_.batch_size;
    auto size = std::min(options_.batch_size, order_.size() - first);
    auto rows = std::span<const std::uint32_t>(order_).subspan(first, size);
    const auto& data = *view_.data;
    features_.resize(size * data.feature_count());
    data.gather(features_, rows);
    if (data.has_labels()) {
        labels_.resize(size * data.label_count());
        data.gather_labels(labels_, rows);
    } else {
        targets_.resize(size * data.target_count());
        data.gather_targets(targets_, rows);
    }
    return {size, features_, labels_, targets_};
}

}  // namespace gossamer::data
