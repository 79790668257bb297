// Batches of a view. Which rows a batch holds depends only on (seed, peer, epoch, index): a
// training job can be repeated, resumed or moved, and gives the same result.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/rng.hpp"
#include "gossamer/data/dataset.hpp"

namespace gossamer::data {

struct LoaderOptions {
    std::size_t batch_size = 32;
    bool shuffle = true;     // anew each epoch, by stream(seed, Purpose::shuffle, epoch, peer)
    bool drop_last = false;  // leave out the last, smaller batch of an epoch
    RunSeed seed;
    PeerId peer;
};

struct Batch {
    std::size_t size = 0;                  // samples
    std::span<const float> features;       // size x feature_count
    std::span<const std::int32_t> labels;  // size x label_count, or empty
    std::span<const float> targets;        // size x target_count, or empty
};

// Where a batch is put together. One for each batch in use, lent by whoever runs many loaders: what
// is written often should not be cold.
struct BatchRoom {
    std::vector<float> features, targets;
    std::vector<std::int32_t> labels;
};

class Loader {
public:
    // REQUIRES batch_size > 0.
    Loader(View view, LoaderOptions options);

    std::size_t batch_count() const { return batch_count_; }  // in an epoch
    std::size_t sample_count() const { return view_.size(); }
    // Batch `index` < batch_count() of an epoch, in `room`.
    Batch batch(std::uint64_t epoch, std::size_t index, BatchRoom& room);
    // Batch number `step` of the endless sequence of epochs. REQUIRES batch_count() > 0.
    Batch step(std::uint64_t step, BatchRoom& room) {
        return batch(step / batch_count_, step % batch_count_, room);
    }
    // Tells of a step() to come, whose samples are not in the caches yet. Each batch does so for
    // the next one of its epoch.
    void expect(std::uint64_t step);

private:
    void order_rows(std::uint64_t epoch);
    std::span<const std::uint32_t> rows_of(std::size_t index) const;
    View view_;
    LoaderOptions options_;
    std::size_t batch_count_;
    std::uint64_t epoch_ = 0;
    std::vector<std::uint32_t> order_;  // rows of epoch_; empty before the first batch
};

}  // namespace gossamer::data
