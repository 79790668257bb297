#include "gossamer/data/dataset.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "gossamer/base/assert.hpp"
#include "gossamer/base/prefetch.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::data {
namespace {

Result<std::size_t> product(const Dataset::Parts& parts) {
    std::size_t count = 1;
    for (auto extent : parts.shape) {
        if (extent == 0 || count > std::numeric_limits<std::uint32_t>::max() / extent)
            return fail(ErrorCode::kDataShape, parts.name + ": samples of no or absurd size");
        count *= extent;
    }
    return count;
}

Status check_finite(const std::string& name, std::span<const float> values, std::size_t width,
                    const char* what) {
    if (tensor::all_finite(values)) return {};
    std::size_t at = 0;
    while (std::isfinite(values[at])) ++at;
    return fail(ErrorCode::kDataFormat, name + ": sample " + std::to_string(at / width) + ", " +
                                            what + " " + std::to_string(at % width) +
                                            " is not a finite number");
}

Status check_labels(Dataset::Parts& parts) {
    auto limit = parts.class_count == 0 ? kClassesMax : parts.class_count;
    std::int32_t largest = 0;
    for (std::size_t i = 0; i < parts.labels.size(); ++i) {
        auto label = parts.labels[i];
        if (label == -1 && parts.label_count > 1) continue;
        if (label < 0 || static_cast<std::uint32_t>(label) >= limit)
            return fail(ErrorCode::kDataLabel, parts.name + ": label " + std::to_string(label) +
                                                   " of sample " +
                                                   std::to_string(i / parts.label_count) +
                                                   " is not in 0.." + std::to_string(limit - 1));
        largest = std::max(largest, label);
    }
    if (parts.class_count == 0) parts.class_count = static_cast<std::uint32_t>(largest) + 1;
    return {};
}

}  // namespace

Result<DatasetRef> Dataset::make(Parts parts) {
    GOSSAMER_TRY(auto features, product(parts));
    auto values = parts.bytes.empty() ? parts.floats.size() : parts.bytes.size();
    auto disagree = [&](const std::string& what) {
        return fail(ErrorCode::kDataShape, parts.name + ": " + what);
    };
    if (!parts.bytes.empty() && !parts.floats.empty()) return disagree("features in two forms");
    if (values % features != 0)
        return disagree(std::to_string(values) + " values are no whole number of samples of " +
                        std::to_string(features));
    auto samples = values / features;
    if (samples == 0) return disagree("no samples");
    if (samples > std::numeric_limits<std::uint32_t>::max()) return disagree("too many samples");
    if (parts.target_count > 0) {
        if (!parts.labels.empty() || parts.class_count > 0)
            return disagree("labels and target values exclude each other");
        if (parts.targets.size() != samples * parts.target_count)
            return disagree(std::to_string(samples) + " samples, but " +
                            std::to_string(parts.targets.size() / parts.target_count) + " targets");
        GOSSAMER_CHECK(check_finite(parts.name, parts.targets, parts.target_count, "target"));
    } else {
        if (!parts.targets.empty()) return disagree("target values, but target_count is 0");
        if (parts.label_count == 0 || parts.labels.size() / parts.label_count != samples ||
            parts.labels.size() % parts.label_count != 0)
            return disagree(std::to_string(samples) + " samples, but " +
                            std::to_string(parts.labels.size()) + " labels");
        GOSSAMER_CHECK(check_labels(parts));
    }
    GOSSAMER_CHECK(check_finite(parts.name, parts.floats, features, "feature"));
    std::shared_ptr<Dataset> made(new Dataset);
    made->parts_ = std::move(parts);
    made->sample_count_ = samples;
    made->feature_count_ = features;
    return DatasetRef(made);
}

std::size_t Dataset::memory_bytes() const {
    return parts_.bytes.size() + 4 * (parts_.floats.size() + parts_.targets.size()) +
           4 * parts_.labels.size();
}

void Dataset::gather(std::span<float> out, std::span<const std::uint32_t> rows) const {
    GOSSAMER_ASSERT(out.size() == rows.size() * feature_count_, "room for the gathered rows");
    auto* to = out.data();
    for (auto row : rows) {
        GOSSAMER_ASSERT(row < sample_count_, "a row of the dataset");
        if (parts_.bytes.empty()) {
            std::memcpy(to, parts_.floats.data() + row * feature_count_, feature_count_ * 4);
        } else {
            tensor::from_bytes({to, feature_count_},
                               {parts_.bytes.data() + row * feature_count_, feature_count_},
                               parts_.byte_scale);
        }
        to += feature_count_;
    }
}

void Dataset::fetch_ahead(std::span<const std::uint32_t> rows) const {
    constexpr std::size_t kMost = 128 << 10;
    const bool bytes = !parts_.bytes.empty();
    const auto size = feature_count_ * (bytes ? 1 : sizeof(float));
    const auto* data = bytes ? reinterpret_cast<const std::byte*>(parts_.bytes.data())
                             : reinterpret_cast<const std::byte*>(parts_.floats.data());
    for (std::size_t i = 0, fetched = 0; i < rows.size() && fetched < kMost; ++i, fetched += size)
        prefetch(data + rows[i] * size, std::min(size, kMost));
}

void Dataset::gather_labels(std::span<std::int32_t> out,
                            std::span<const std::uint32_t> rows) const {
    const std::size_t width = parts_.label_count;
    GOSSAMER_ASSERT(has_labels() && out.size() == rows.size() * width, "room for the labels");
    for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(parts_.labels.begin() + static_cast<std::ptrdiff_t>(rows[i] * width), width,
                    out.begin() + static_cast<std::ptrdiff_t>(i * width));
}

void Dataset::gather_targets(std::span<float> out, std::span<const std::uint32_t> rows) const {
    std::size_t width = parts_.target_count;
    GOSSAMER_ASSERT(out.size() == rows.size() * width, "room for the gathered targets");
    for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(parts_.targets.begin() + static_cast<std::ptrdiff_t>(rows[i] * width), width,
                    out.begin() + static_cast<std::ptrdiff_t>(i * width));
}

DatasetRef Dataset::select(std::span<const std::uint32_t> rows) const {
    std::shared_ptr<Dataset> chosen(new Dataset);
    auto& to = chosen->parts_;
    to.name = parts_.name, to.shape = parts_.shape, to.byte_scale = parts_.byte_scale;
    to.label_count = parts_.label_count;
    to.class_count = parts_.class_count, to.target_count = parts_.target_count;
    auto pick = [&](auto& into, const auto& from, std::size_t width) {
        if (from.empty()) return;
        into.reserve(rows.size() * width);
        for (auto row : rows) {
            GOSSAMER_ASSERT(row < sample_count_, "a row of the dataset");
            auto first = from.begin() + static_cast<std::ptrdiff_t>(row * width);
            into.insert(into.end(), first, first + static_cast<std::ptrdiff_t>(width));
        }
    };
    pick(to.bytes, parts_.bytes, feature_count_);
    pick(to.floats, parts_.floats, feature_count_);
    pick(to.labels, parts_.labels, parts_.label_count);
    pick(to.targets, parts_.targets, parts_.target_count);
    chosen->sample_count_ = rows.size();
    chosen->feature_count_ = feature_count_;
    return chosen;
}

std::vector<std::size_t> label_histogram(const View& view) {
    std::vector<std::size_t> histogram(view.data->class_count());
    if (histogram.empty()) return histogram;
    auto labels = view.data->labels();
    const std::size_t width = view.data->label_count();
    for (std::size_t i = 0; i < view.size(); ++i)
        for (auto label : labels.subspan(view.row(i) * width, width))
            if (label >= 0) ++histogram[static_cast<std::size_t>(label)];
    return histogram;
}

}  // namespace gossamer::data
