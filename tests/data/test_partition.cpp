#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "gossamer/data/partition.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {

DatasetRef labelled(std::size_t samples, std::int32_t classes) {
    Dataset::Parts parts{.name = "labelled", .shape = {1}};
    for (std::size_t i = 0; i < samples; ++i) {
        parts.bytes.push_back(static_cast<std::uint8_t>(i));
        parts.labels.push_back(
            static_cast<std::int32_t>(i * 7 % static_cast<std::size_t>(classes)));
    }
    return *Dataset::make(std::move(parts));
}

// Every sample in exactly one part, rows ascending.
void check_whole(const Partition& parts, std::size_t samples) {
    std::vector<std::uint32_t> all;
    for (const auto& part : parts) {
        CHECK(std::is_sorted(part.begin(), part.end()));
        all.insert(all.end(), part.begin(), part.end());
    }
    std::sort(all.begin(), all.end());
    REQUIRE(all.size() == samples);
    for (std::size_t i = 0; i < samples; ++i) REQUIRE(all[i] == i);
}

std::vector<std::size_t> sizes(const Partition& parts) {
    std::vector<std::size_t> out;
    for (const auto& part : parts) out.push_back(part.size());
    return out;
}

// Mean over parts of the distance between a part's label shares and the whole's, 0 to 1.
double skew(const DatasetRef& data, const Partition& parts) {
    auto whole = label_histogram(View::all(data));
    double sum = 0;
    for (const auto& part : parts) {
        auto mine = label_histogram(View::of(data, part));
        for (std::size_t c = 0; c < mine.size(); ++c)
            sum += 0.5 * std::fabs(static_cast<double>(mine[c]) / static_cast<double>(part.size()) -
                                   static_cast<double>(whole[c]) /
                                       static_cast<double>(data->sample_count()));
    }
    return sum / static_cast<double>(parts.size());
}

}  // namespace

TEST_CASE("an iid division is even, whole and random") {
    auto data = labelled(1003, 10);
    auto parts = make_partition(*data, {.kind = PartitionKind::iid, .part_count = 10}, RunSeed{1});
    REQUIRE(parts);
    check_whole(*parts, 1003);
    for (auto size : sizes(*parts)) CHECK((size == 100 || size == 101));
    auto other = make_partition(*data, {.kind = PartitionKind::iid, .part_count = 10}, RunSeed{2});
    CHECK(*other != *parts);
    CHECK(*make_partition(*data, {.kind = PartitionKind::iid, .part_count = 10}, RunSeed{1}) ==
          *parts);
}

TEST_CASE("a Dirichlet division uses every sample once and keeps its least size") {
    auto data = labelled(5000, 10);
    for (double alpha : {1e-3, 0.1, 0.5, 100.0})
        for (std::uint64_t seed = 1; seed <= 5; ++seed) {
            CAPTURE(alpha);
            CAPTURE(seed);
            auto parts = make_partition(*data,
                                        {.kind = PartitionKind::dirichlet,
                                         .part_count = 50,
                                         .alpha = alpha,
                                         .least_samples = 20},
                                        RunSeed{seed});
            REQUIRE(parts);
            check_whole(*parts, 5000);
            for (auto size : sizes(*parts)) CHECK(size >= 20);
        }
}

TEST_CASE("a smaller alpha skews the labels more") {
    auto data = labelled(20'000, 10);
    std::vector<double> skews;
    for (double alpha : {0.1, 0.5, 5.0, 1000.0})
        skews.push_back(skew(
            data, *make_partition(
                      *data, {.kind = PartitionKind::dirichlet, .part_count = 20, .alpha = alpha},
                      RunSeed{3})));
    CHECK(skews[0] > skews[1]);
    CHECK(skews[1] > skews[2]);
    CHECK(skews[2] > skews[3]);
    CHECK(skews[0] > 0.5);
    CHECK(skews[3] < 0.1);
}

TEST_CASE("the shares of one class have the mean and variance of the Dirichlet distribution") {
    // A share's variance is (1/n)(1 - 1/n) / (n·alpha + 1).
    auto data = labelled(100'000, 100);
    const double n = 10, alpha = 0.5;
    auto parts = *make_partition(
        *data, {.kind = PartitionKind::dirichlet, .part_count = 10, .alpha = alpha}, RunSeed{7});
    double square = 0;
    for (const auto& part : parts)
        for (auto count : label_histogram(View::of(data, part)))
            square += std::pow(static_cast<double>(count) / 1000.0 - 1 / n, 2);
    auto variance = square / (n * 100);
    auto expected = (1 / n) * (1 - 1 / n) / (n * alpha + 1);
    CHECK(variance == doctest::Approx(expected).epsilon(0.15));
}

TEST_CASE("label shards give each part a few classes") {
    auto data = labelled(6000, 10);
    auto parts = make_partition(
        *data, {.kind = PartitionKind::shards, .part_count = 100, .shards_per_part = 2},
        RunSeed{4});
    REQUIRE(parts);
    check_whole(*parts, 6000);
    for (const auto& part : *parts) {
        CHECK(part.size() == 60);
        auto histogram = label_histogram(View::of(data, part));
        CHECK(std::count_if(histogram.begin(), histogram.end(), [](auto n) { return n > 0; }) <= 4);
    }
    CHECK(skew(data, *parts) > 0.6);
}

TEST_CASE("a whole division gives everybody everything") {
    auto data = labelled(30, 3);
    auto parts = make_partition(*data, {.kind = PartitionKind::whole, .part_count = 4}, RunSeed{});
    REQUIRE(parts);
    CHECK(sizes(*parts) == std::vector<std::size_t>{30, 30, 30, 30});
}

TEST_CASE("what cannot be divided says so") {
    auto data = labelled(100, 10);
    auto code = [&](PartitionOptions options, const DatasetRef& from) {
        auto parts = make_partition(*from, options, RunSeed{1});
        REQUIRE(!parts);
        return parts.error().code;
    };
    using K = PartitionKind;
    CHECK(code({.kind = K::iid, .part_count = 0}, data) == ErrorCode::kDataPartition);
    CHECK(code({.kind = K::iid, .part_count = 11}, data) == ErrorCode::kDataPartition);
    CHECK(code({.kind = K::iid, .part_count = 101, .least_samples = 0}, data) ==
          ErrorCode::kDataPartition);
    CHECK(code({.kind = K::dirichlet, .part_count = 5, .alpha = 0}, data) ==
          ErrorCode::kDataPartition);
    CHECK(code({.kind = K::shards, .part_count = 60}, data) == ErrorCode::kDataPartition);
    CHECK(code({.kind = K::shards, .part_count = 60, .shards_per_part = 0}, data) ==
          ErrorCode::kDataPartition);
    CHECK(code({.kind = K::explicit_}, data) == ErrorCode::kDataPartition);
    Dataset::Parts line{.name = "line",
                        .shape = {1},
                        .floats = std::vector<float>(50),
                        .targets = std::vector<float>(50),
                        .target_count = 1};
    CHECK(code({.kind = K::dirichlet, .part_count = 2}, *Dataset::make(line)) ==
          ErrorCode::kDataPartition);
}

TEST_CASE("an explicit division is read line by line, and its errors name the line") {
    auto parse = [](const char* text) { return parse_partition(as_bytes(text), 10, "parts.txt"); };
    auto parts = parse("# three peers\n3, 1 2\n\n4\t5 # the second\n9\r\n");
    REQUIRE(parts);
    CHECK(*parts == Partition{{1, 2, 3}, {4, 5}, {9}});
    for (auto text : {"1 2\n2 3\n", "1\n10\n", "1\nx\n", "1\n2x\n", "1\n-1\n", "1\n2.5\n",
                      "1\n99999999999999999999\n"}) {
        auto bad = parse(text);
        REQUIRE(!bad);
        CHECK(bad.error().code == ErrorCode::kDataPartition);
        CHECK(bad.error().what.find("parts.txt: line 2: ") == 0);
    }
    CHECK(!parse("# nothing\n"));
}
