#include <doctest/doctest.h>

#include <limits>

#include "gossamer/data/dataset.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {
Dataset::Parts small() {  // four samples of 2 x 3 bytes, three classes
    Dataset::Parts parts{.name = "small", .shape = {2, 3}};
    for (int i = 0; i < 24; ++i) parts.bytes.push_back(static_cast<std::uint8_t>(i * 10));
    parts.labels = {0, 2, 1, 2};
    return parts;
}
}  // namespace

TEST_CASE("bytes become floats when they are gathered, in the order asked for") {
    auto data = *Dataset::make(small());
    CHECK(data->sample_count() == 4);
    CHECK(data->feature_count() == 6);
    CHECK(data->class_count() == 3);
    std::vector<std::uint32_t> rows = {3, 0, 3};
    std::vector<float> out(18);
    data->gather(out, rows);
    CHECK(out[0] == doctest::Approx(180.0 / 255));
    CHECK(out[6] == 0.0f);
    CHECK(out[17] == doctest::Approx(230.0 / 255));
    std::vector<std::int32_t> labels(3);
    data->gather_labels(labels, rows);
    CHECK(labels == std::vector<std::int32_t>{2, 0, 2});
}

TEST_CASE("a selection holds the same samples in less memory") {
    auto data = *Dataset::make(small());
    std::vector<std::uint32_t> rows = {2, 1}, all = {0, 1};
    auto part = data->select(rows);
    CHECK(part->sample_count() == 2);
    CHECK(part->class_count() == 3);  // of the whole, though label 0 does not occur
    CHECK(part->memory_bytes() == data->memory_bytes() / 2);
    std::vector<float> from_whole(12), from_part(12);
    data->gather(from_whole, rows);
    part->gather(from_part, all);
    CHECK(from_whole == from_part);
    CHECK(part->labels()[0] == 1);
}

TEST_CASE("a label out of range is refused with its sample") {
    auto parts = small();
    parts.class_count = 2;
    auto made = Dataset::make(parts);
    REQUIRE(!made);
    CHECK(made.error().code == ErrorCode::kDataLabel);
    CHECK(made.error().what == "small: label 2 of sample 1 is not in 0..1");
    parts = small();
    parts.labels[3] = -1;
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataLabel);
    parts.labels[3] = 2'000'000'000;
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataLabel);
}

TEST_CASE("sizes that do not agree are refused") {
    auto parts = small();
    parts.labels.pop_back();
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataShape);
    parts = small();
    parts.bytes.pop_back();
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataShape);
    parts = small();
    parts.shape = {0xffffffffu, 0xffffffffu};
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataShape);
    parts.shape = {0};
    CHECK(Dataset::make(parts).error().code == ErrorCode::kDataShape);
    CHECK(Dataset::make({.name = "none", .shape = {1}}).error().code == ErrorCode::kDataShape);
}

TEST_CASE("target values make a dataset for regression, and must be finite") {
    Dataset::Parts parts{.name = "line", .shape = {2}};
    parts.floats = {1, 2, 3, 4, 5, 6};
    parts.targets = {0.5f, 1.5f, 2.5f};
    parts.target_count = 1;
    auto data = *Dataset::make(parts);
    CHECK(!data->has_labels());
    std::vector<std::uint32_t> rows = {2, 0};
    std::vector<float> targets(2);
    data->gather_targets(targets, rows);
    CHECK(targets == std::vector<float>{2.5f, 0.5f});
    CHECK(label_histogram(View::all(data)).empty());
    parts.floats[3] = std::numeric_limits<float>::quiet_NaN();
    auto broken = Dataset::make(parts);
    REQUIRE(!broken);
    CHECK(broken.error().what == "line: sample 1, feature 1 is not a finite number");
}

TEST_CASE("a histogram counts the rows of its view alone") {
    auto data = *Dataset::make(small());
    CHECK(label_histogram(View::all(data)) == std::vector<std::size_t>{1, 1, 2});
    CHECK(label_histogram(View::of(data, {1, 3})) == std::vector<std::size_t>{0, 0, 2});
}
