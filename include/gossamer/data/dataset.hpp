// A dataset: samples of one shape, each with a class label (a sequence: with one at each position)
// or with target values. Immutable once
// made, and shared; parts of it are views, lists of row numbers, not copies.
//
// Features are kept as float32, or as bytes with a scale (images: 60,000 x 784 in 47 MB, not 188),
// and become float32 when a batch is gathered.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gossamer/base/result.hpp"

namespace gossamer::data {

inline constexpr std::uint32_t kClassesMax = 1'000'000;

class Dataset;
using DatasetRef = std::shared_ptr<const Dataset>;

class Dataset {
public:
    struct Parts {
        std::string name;                  // for messages: "fashion-mnist train"
        std::vector<std::uint32_t> shape;  // of one sample, row-major: {28, 28}
        std::vector<std::uint8_t> bytes;   // samples x features, or
        std::vector<float> floats;         // samples x features
        float byte_scale = 1.0f / 255.0f;  // feature = byte · scale
        std::vector<std::int32_t> labels;  // label_count a sample, in [0, class_count); or
        std::vector<float> targets;        // samples x target_count
        std::uint32_t class_count = 0;     // 0 with labels: the largest label + 1
        std::uint32_t label_count = 1;     // with more than one a sample, -1 counts nothing
        std::uint32_t target_count = 0;    // values a sample, when there are no labels
    };
    // Errors: kDataShape (sizes do not agree), kDataLabel (with the sample), kDataFormat (a value
    // that is not finite, with sample and feature).
    static Result<DatasetRef> make(Parts parts);

    const std::string& name() const { return parts_.name; }
    std::size_t sample_count() const { return sample_count_; }
    const std::vector<std::uint32_t>& shape() const { return parts_.shape; }
    std::size_t feature_count() const { return feature_count_; }  // product of shape
    bool has_labels() const { return parts_.class_count > 0; }
    std::uint32_t class_count() const { return parts_.class_count; }    // 0: target values
    std::uint32_t label_count() const { return parts_.label_count; }    // a sample
    std::uint32_t target_count() const { return parts_.target_count; }  // 0: labels
    std::span<const std::int32_t> labels() const { return parts_.labels; }
    std::span<const float> targets() const { return parts_.targets; }
    std::size_t memory_bytes() const;

    // Row after row into `out`, rows.size() x feature_count() floats. REQUIRES rows below
    // sample_count(). Likewise labels (rows.size() x label_count()) and targets (x target_count()).
    void gather(std::span<float> out, std::span<const std::uint32_t> rows) const;
    void gather_labels(std::span<std::int32_t> out, std::span<const std::uint32_t> rows) const;
    void gather_targets(std::span<float> out, std::span<const std::uint32_t> rows) const;

    // Asks the memory for rows that are gathered soon, as far as a core's cache would keep them.
    void fetch_ahead(std::span<const std::uint32_t> rows) const;

    // A dataset of these rows alone, for a peer that keeps only its part in memory.
    DatasetRef select(std::span<const std::uint32_t> rows) const;

private:
    Dataset() = default;
    Parts parts_;
    std::size_t sample_count_ = 0, feature_count_ = 0;
};

// Some rows of a dataset, in some order. Copies share the row list.
struct View {
    DatasetRef data;
    std::shared_ptr<const std::vector<std::uint32_t>> rows;  // null: all, in order

    static View all(DatasetRef data) { return {std::move(data), nullptr}; }
    static View of(DatasetRef data, std::vector<std::uint32_t> rows) {
        return {std::move(data),
                std::make_shared<const std::vector<std::uint32_t>>(std::move(rows))};
    }
    std::size_t size() const { return rows ? rows->size() : data ? data->sample_count() : 0; }
    std::uint32_t row(std::size_t i) const {
        return rows ? (*rows)[i] : static_cast<std::uint32_t>(i);
    }
};

// Samples of each class among the rows of a view with labels.
std::vector<std::size_t> label_histogram(const View& view);

}  // namespace gossamer::data
