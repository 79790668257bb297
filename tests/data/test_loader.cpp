#include <doctest/doctest.h>

#include <algorithm>

#include "gossamer/data/loader.hpp"

using namespace gossamer;
using namespace gossamer::data;

namespace {
DatasetRef counting(std::size_t samples) {  // feature and label of sample i say i
    Dataset::Parts parts{.name = "counting", .shape = {2}};
    for (std::size_t i = 0; i < samples; ++i) {
        parts.floats.push_back(static_cast<float>(i));
        parts.floats.push_back(-static_cast<float>(i));
        parts.labels.push_back(static_cast<std::int32_t>(i));
    }
    return *Dataset::make(std::move(parts));
}

std::vector<std::int32_t> epoch_labels(Loader& loader, std::uint64_t epoch) {
    std::vector<std::int32_t> all;
    BatchRoom room;
    for (std::size_t i = 0; i < loader.batch_count(); ++i) {
        auto batch = loader.batch(epoch, i, room);
        CHECK(batch.labels.size() == batch.size);
        CHECK(batch.features.size() == 2 * batch.size);
        CHECK(batch.targets.empty());
        for (std::size_t k = 0; k < batch.size; ++k) {
            CHECK(batch.features[2 * k] == static_cast<float>(batch.labels[k]));
            all.push_back(batch.labels[k]);
        }
    }
    return all;
}
}  // namespace

TEST_CASE("an epoch shows every sample once, in an order of its own") {
    auto data = counting(103);
    Loader loader(View::all(data), {.batch_size = 10, .seed = RunSeed{1}});
    CHECK(loader.batch_count() == 11);
    auto first = epoch_labels(loader, 0), second = epoch_labels(loader, 1);
    CHECK(first != second);
    for (auto epoch : {first, second}) {
        std::sort(epoch.begin(), epoch.end());
        REQUIRE(epoch.size() == 103);
        for (std::int32_t i = 0; i < 103; ++i) CHECK(epoch[static_cast<std::size_t>(i)] == i);
    }
}

TEST_CASE("the order depends on seed, peer and epoch, and not on what was asked before") {
    auto view = View::of(counting(60), {5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16});
    auto make = [&](std::uint64_t seed, std::uint64_t peer) {
        return Loader(view, {.batch_size = 5, .seed = {seed}, .peer = PeerId::of_number(peer)});
    };
    auto a = make(1, 1), b = make(1, 1), other_peer = make(1, 2), other_seed = make(2, 1);
    BatchRoom room;
    b.batch(7, 2, room), b.batch(0, 1, room);
    CHECK(epoch_labels(a, 3) == epoch_labels(b, 3));
    CHECK(epoch_labels(a, 3) != epoch_labels(other_peer, 3));
    CHECK(epoch_labels(a, 3) != epoch_labels(other_seed, 3));
    a.expect(4 * 3 + 1);  // only asks the memory
    auto last = a.batch(4, 2, room);
    CHECK(last.size == 2);
    std::vector<std::int32_t> labels(last.labels.begin(), last.labels.end());
    auto same = b.step(4 * 3 + 2, room);
    CHECK(std::equal(same.labels.begin(), same.labels.end(), labels.begin(), labels.end()));
}

TEST_CASE("without shuffling the rows come in order, and a short last batch can be left out") {
    auto data = counting(23);
    Loader plain(View::all(data), {.batch_size = 10, .shuffle = false});
    auto labels = epoch_labels(plain, 9);
    CHECK(std::is_sorted(labels.begin(), labels.end()));
    CHECK(labels.size() == 23);
    Loader whole(View::all(data), {.batch_size = 10, .shuffle = false, .drop_last = true});
    CHECK(whole.batch_count() == 2);
    CHECK(epoch_labels(whole, 0).size() == 20);
    CHECK(Loader(View::of(data, {}), {}).batch_count() == 0);
}
