// Data, network and trainer of one member, out of its configuration.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "gossamer/assembly/extensions.hpp"
#include "gossamer/data/load.hpp"
#include "gossamer/job/lifecycle.hpp"
#include "gossamer/training/make_trainer.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::assembly {

// In bytes: what can never fit is refused before a start, with this figure.
std::uint64_t memory_of_machine();

struct Learning {
    std::shared_ptr<training::Trainer> trainer;
    std::shared_ptr<const codec::CodecTable> codecs;
    tensor::PoolRef pool;
    bool has_test_data = false;
    std::string remark;  // where it trains, when not plainly on the processor; for the log
    std::shared_ptr<const training::PlanStock> plans;  // null under a trainer of the user's own
};

// The built-in codecs and those of the program.
Result<std::shared_ptr<const codec::CodecTable>> make_codecs(const Extensions& extensions);

// Saves a model with all its tensors, also those that are not exchanged (model.trainable).
Status save_whole(storage::Disk& disk, const std::string& path, const training::PlanStock* plans,
                  const tensor::Layout& layout, std::span<const float> values,
                  const std::map<std::string, std::string>& metadata);

// An aggregator trains on nothing: it needs the data for the shape of the model, and the test
// samples, when there are any, for central evaluation.
Result<Learning> make_learning(const OptionSource& options, const job::RunConfig& run, Role role,
                               const Extensions& extensions);

// The same for many members in one process: they share data, network, step plans and buffers, and
// a part is a list of rows. Immutable; trainers may be made on any thread.
class LearningStock {
public:
    // `options` and `extensions` outlive the stock. Errors: as make_learning, and kDataPartition
    // when there are fewer parts than peers.
    static Result<std::shared_ptr<const LearningStock>> create(const OptionSource& options,
                                                               const job::RunConfig& run,
                                                               const Extensions& extensions,
                                                               std::size_t part_count);

    const std::shared_ptr<const codec::CodecTable>& codecs() const { return codecs_; }
    const tensor::PoolRef& pool() const { return pool_; }
    const tensor::LayoutRef& layout() const { return layout_; }
    bool has_test_data() const { return has_test_data_; }
    const training::PlanStock* plans() const { return plans_.get(); }
    std::uint64_t test_count() const { return split_.test ? split_.test->sample_count() : 0; }
    std::uint64_t sample_count(Role role, std::size_t part) const;
    std::uint32_t batch_size() const { return training_.batch_size; }
    // Train requests gain by being foreseen: they are trained side by side, on a card.
    bool stacks() const { return trainers_ && trainers_->stack_size() > 1; }
    // Where it trains, when not plainly on the processor.
    std::string remark() const { return trainers_ ? trainers_->remark() : std::string(); }
    data::View part(std::size_t part) const;  // empty under a trainer of the user's own
    Result<std::shared_ptr<training::Trainer>> trainer(Role role, std::size_t part) const;

private:
    LearningStock(const OptionSource& options, const Extensions& extensions)
        : options_(options), extensions_(extensions) {}

    const OptionSource& options_;
    const Extensions& extensions_;
    std::shared_ptr<const codec::CodecTable> codecs_;
    tensor::PoolRef pool_;
    tensor::LayoutRef layout_;
    data::Split split_;
    training::TrainingConfig training_;
    std::shared_ptr<training::PlanStock> plans_;
    std::shared_ptr<const training::TrainerStock> trainers_;
    std::vector<std::shared_ptr<const std::vector<std::uint32_t>>> parts_;
    bool has_test_data_ = false;
    // The test set is one and the same: in federated runs the aggregator's, where clients are not
    // asked on their own.
    bool peers_test_ = false;
};

}  // namespace gossamer::assembly
