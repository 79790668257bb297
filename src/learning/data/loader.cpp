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

std::span<const std::uint32_t> Loader::rows_of(std::size_t index) const {
    const auto first = index * options_.batch_size;
    return std::span(order_).subspan(first, std::min(options_.batch_size, order_.size() - first));
}

void Loader::expect(std::uint64_t step) {
    order_rows(step / batch_count_);
    view_.data->fetch_ahead(rows_of(step % batch_count_));
}

Batch Loader::batch(std::uint64_t epoch, std::size_t index, BatchRoom& room) {
    GOSSAMER_ASSERT(index < batch_count_, "a batch of the epoch");
    order_rows(epoch);
    const auto rows = rows_of(index);
    const auto size = rows.size();
    const auto& data = *view_.data;
    const auto fit = [size](auto& values, std::size_t width) {
        values.resize(size * width);
        return std::span(values);
    };
    const auto features = fit(room.features, data.feature_count());
    const auto labels = fit(room.labels, data.has_labels() ? data.label_count() : 0);
    const auto targets = fit(room.targets, data.has_labels() ? 0 : data.target_count());
    data.gather(features, rows);
    data.has_labels() ? data.gather_labels(labels, rows) : data.gather_targets(targets, rows);
    if (index + 1 < batch_count_) data.fetch_ahead(rows_of(index + 1));
    return {size, features, labels, targets};
}

}  // namespace gossamer::data
