#include "drivers/assembly/learning.hpp"

#include "gossamer/data/load.hpp"
#include "gossamer/model/options.hpp"
#include "gossamer/training/options.hpp"

namespace gossamer::assembly {
namespace {

Result<std::shared_ptr<training::Trainer>> built_in_trainer(const OptionSource& options,
                                                            const job::RunConfig& run, Role role,
                                                            const tensor::PoolRef& pool,
                                                            bool& has_test_data) {
    auto config = data::data_config(options);
    GOSSAMER_TRY(auto split, data::load_dataset(config, run.seed));
    auto outputs =
        split.train->has_labels() ? split.train->class_count() : split.train->target_count();
    GOSSAMER_TRY(auto spec, model::network_spec(options, split.train->shape(), outputs));
    GOSSAMER_TRY(auto network, model::Network::create(std::move(spec)));
    GOSSAMER_TRY(auto training, training::training_config(options));

    data::View train;  // of an aggregator: empty
    if (role == Role::peer) {
        // data.part names the part; without it the data is this peer's as it is.
        auto place = config.part < 0 ? 0 : static_cast<std::size_t>(config.part);
        auto parts = config.partition.part_count ? config.partition.part_count : run.peers;
        if (config.partition.kind != data::PartitionKind::whole && config.part < 0)
            return fail(ErrorCode::kConfigMissing,
                        "data.part is not set: which of the " + std::to_string(parts) +
                            " parts is this peer's?",
                        "set data.part to 0 .. " + std::to_string(parts - 1) +
                            ", or data.partition to \"whole\"");
        GOSSAMER_TRY(auto part, data::load_part(config, split.train, place, parts, run.seed));
        train = data::View::all(std::move(part));
    }
    data::View test;
    if (split.test) test = data::View::all(split.test);
    has_test_data = test.size() > 0;
    auto batch = training.batch_size;
    auto plans = std::make_shared<training::PlanStock>(std::move(network), batch, pool);
    GOSSAMER_TRY(auto trainer, training::CpuTrainer::create(std::move(plans), std::move(train),
                                                            std::move(test), std::move(training)));
    return std::shared_ptr<training::Trainer>(std::move(trainer));
}

}  // namespace

Result<Learning> make_learning(const OptionSource& options, const job::RunConfig& run, Role role,
                               const Extensions& extensions) {
    Learning learning;
    auto codecs = std::make_shared<codec::CodecTable>();
    for (const auto& codec : extensions.codecs) GOSSAMER_CHECK(codecs->add(codec));
    learning.codecs = std::move(codecs);
    // Kept for reuse: what a step or a round frees, it needs again at once.
    learning.pool = tensor::BufferPool::create(std::size_t{256} << 20);
    if (extensions.trainer) {
        GOSSAMER_TRY(learning.trainer, extensions.trainer(options));
        learning.has_test_data = true;  // it says so itself: a sample count of 0 where it has none
    } else {
        GOSSAMER_TRY(learning.trainer,
                     built_in_trainer(options, run, role, learning.pool, learning.has_test_data));
    }
    return learning;
}

}  // namespace gossamer::assembly
