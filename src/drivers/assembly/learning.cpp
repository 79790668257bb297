#include "drivers/assembly/learning.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "gossamer/base/options.hpp"
#include "gossamer/data/load.hpp"
#include "gossamer/model/options.hpp"
#include "gossamer/model/plan.hpp"
#include "gossamer/training/make_trainer.hpp"
#include "gossamer/training/options.hpp"
#include "records/config/config.hpp"
#include "records/storage/safetensors.hpp"

namespace gossamer::assembly {

std::uint64_t memory_of_machine() {
    return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
           static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

namespace {

// What its file lacks is no fault of a checkpoint: another one of the folder is of no help.
Status rest_on_base(model::Network& network, const std::string& base, const tensor::PoolRef& pool) {
    const storage::RealDisk disk;
    const auto loaded = storage::load_model(disk, base, pool);
    if (!loaded) return fail(ErrorCode::kModelBase, "model.base: " + loaded.error().what);
    return config::of_key("model.base",
                          network.rest_on(*loaded->layout, loaded->values.floats(), *pool));
}

// Of activations, which grow with the batch: the parameters alone say little of them.
Status check_step(const model::Network& network, std::uint32_t batch_size) {
    const auto memory = memory_of_machine();
    const auto bytes = model::Plan::bytes(network, batch_size, true);
    if (bytes <= memory) return {};
    const auto& largest = *std::ranges::max_element(network.stages(), {}, &model::Stage::out_count);
    const auto text = [](std::uint64_t n) { return format_bytes(static_cast<std::int64_t>(n)); };
    return fail(ErrorCode::kConfigRange,
                "training.batch_size: a step of " + std::to_string(batch_size) + " samples takes " +
                    text(bytes) + ", this machine has " + text(memory) + "; its largest layer is " +
                    largest.name + ", of " + std::to_string(largest.out_count()) +
                    " values a sample",
                "Lower the batch, or make that layer smaller.");
}

// An error of a layer, with the key by which its file and line are found.
Error of_model(const OptionSource& options, Error error) {
    if (error.what.find("model.") == std::string::npos) {
        const bool listed = !options.text_list("model.layers").empty();
        error.what = (listed ? "model.layers: " : "model.name: ") + error.what;
    }
    return error;
}

Result<std::shared_ptr<training::PlanStock>> make_plans(const OptionSource& options,
                                                        const data::Dataset& train,
                                                        std::uint32_t batch_size, RunSeed seed,
                                                        const tensor::PoolRef& pool) {
    auto outputs = train.has_labels() ? train.class_count() : train.target_count();
    auto spec = model::network_spec(options, train.shape(), outputs,
                                    train.has_labels() ? train.label_count() : 1);
    if (!spec) return fail(of_model(options, std::move(spec).error()));
    auto made = model::Network::create(std::move(*spec));
    if (!made) return fail(of_model(options, std::move(made).error()));
    auto network = std::move(*made);
    GOSSAMER_CHECK(check_step(network, batch_size));
    if (const auto& base = options.text("model.base"); base.empty())
        network.rest_on_draws(seed, *pool);
    else
        GOSSAMER_CHECK(rest_on_base(network, base, pool));
    return std::make_shared<training::PlanStock>(std::move(network), batch_size, pool);
}

// How many peers train at a time, at most: those of a round, or all.
std::uint32_t peers_at_once(const OptionSource& options, const job::RunConfig& run,
                            std::size_t peers) {
    constexpr double kMost = 256;
    auto count = static_cast<double>(peers);
    if (run.mode == message::Mode::federated)
        count = std::min(
            count,
            std::ceil(std::max(options.real("federated.fraction") * count,
                               static_cast<double>(options.integer("federated.clients_min"))) *
                      std::max(1.0, options.real("federated.over_provision"))));
    return static_cast<std::uint32_t>(std::clamp(count, 1.0, kMost));
}

// The options of the daemon that holds this part.
class PartOptions final : public OptionSource {
public:
    PartOptions(const OptionSource& whole, std::size_t part)
        : whole_(whole), part_(static_cast<std::int64_t>(part)) {}
    const OptionValue& get(std::string_view key) const override {
        return key == "data.part" ? part_ : whole_.get(key);
    }

private:
    const OptionSource& whole_;
    OptionValue part_;
};

Result<std::shared_ptr<training::Trainer>> built_in_trainer(const OptionSource& options,
                                                            const job::RunConfig& run, Role role,
                                                            Learning& learning) {
    const auto& pool = learning.pool;
    GOSSAMER_TRY(const auto config, data::data_config(options));
    GOSSAMER_TRY(auto split, data::load_dataset(config, run.seed));
    GOSSAMER_TRY(auto training, training::training_config(options));
    GOSSAMER_TRY(auto plans,
                 make_plans(options, *split.train, training.batch_size, run.seed, pool));

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
    learning.has_test_data = test.size() > 0;
    learning.plans = plans;
    GOSSAMER_TRY(auto made, training::make_trainer(plans, train, test, training));
    learning.remark = std::move(made.remark);
    return std::move(made.trainer);
}

}  // namespace

Result<std::shared_ptr<const codec::CodecTable>> make_codecs(const Extensions& extensions) {
    auto codecs = std::make_shared<codec::CodecTable>();
    for (const auto& codec : extensions.codecs) GOSSAMER_CHECK(codecs->add(codec));
    return std::shared_ptr<const codec::CodecTable>(std::move(codecs));
}

Status save_whole(storage::Disk& disk, const std::string& path, const training::PlanStock* plans,
                  const tensor::Layout& layout, std::span<const float> values,
                  const std::map<std::string, std::string>& metadata) {
    if (!plans || !plans->network().frozen_layout())
        return storage::save_model(disk, path, layout, values, metadata);
    const auto& whole = *plans->network().whole_layout();
    std::vector<float> all(whole.parameter_count());
    plans->network().join(all, values);
    return storage::save_model(disk, path, whole, all, metadata);
}

Result<Learning> make_learning(const OptionSource& options, const job::RunConfig& run, Role role,
                               const Extensions& extensions) {
    Learning learning;
    GOSSAMER_TRY(learning.codecs, make_codecs(extensions));
    // Kept for reuse: what a step or a round frees, it needs again at once.
    learning.pool = tensor::BufferPool::create(std::size_t{256} << 20);
    if (extensions.trainer) {
        GOSSAMER_TRY(learning.trainer, extensions.trainer(options));
        learning.has_test_data = true;  // it says so itself: a sample count of 0 where it has none
    } else {
        GOSSAMER_TRY(learning.trainer, built_in_trainer(options, run, role, learning));
    }
    return learning;
}

Result<std::shared_ptr<const LearningStock>> LearningStock::create(const OptionSource& options,
                                                                   const job::RunConfig& run,
                                                                   const Extensions& extensions,
                                                                   std::size_t part_count) {
    auto stock = std::shared_ptr<LearningStock>(new LearningStock(options, extensions));
    stock->peers_test_ =
        run.mode == message::Mode::gossip || options.integer("federated.client_evaluate_every") > 0;
    GOSSAMER_TRY(stock->codecs_, make_codecs(extensions));
    stock->pool_ = tensor::BufferPool::create(std::size_t{1} << 30);
    if (extensions.trainer) {
        GOSSAMER_TRY(auto example, extensions.trainer(PartOptions(options, 0)));
        stock->layout_ = example->layout();
        stock->has_test_data_ = true;
        return std::shared_ptr<const LearningStock>(std::move(stock));
    }
    GOSSAMER_TRY(const auto config, data::data_config(options));
    GOSSAMER_TRY(stock->split_, data::load_dataset(config, run.seed));
    GOSSAMER_TRY(stock->training_, training::training_config(options));
    GOSSAMER_TRY(stock->plans_, make_plans(options, *stock->split_.train,
                                           stock->training_.batch_size, run.seed, stock->pool_));
    stock->layout_ = stock->plans_->network().layout();
    stock->has_test_data_ = stock->split_.test && stock->split_.test->sample_count() > 0;
    data::View test;
    if (stock->split_.test) test = data::View::all(stock->split_.test);
    GOSSAMER_TRY(stock->trainers_,
                 training::TrainerStock::create(
                     {stock->plans_, data::View::all(stock->split_.train), std::move(test),
                      stock->training_, peers_at_once(options, run, part_count)}));
    // All of it for everybody is one list, not one for each of thousands.
    const bool whole = config.partition.kind == data::PartitionKind::whole;
    GOSSAMER_TRY(auto parts, data::load_partition(config, *stock->split_.train,
                                                  whole ? 1 : part_count, run.seed));
    if (whole) {
        stock->parts_.assign(part_count, std::make_shared<const std::vector<std::uint32_t>>(
                                             std::move(parts.front())));
        return std::shared_ptr<const LearningStock>(std::move(stock));
    }
    if (parts.size() < part_count)
        return fail(
            ErrorCode::kDataPartition,
            std::to_string(parts.size()) + " parts for " + std::to_string(part_count) + " peers",
            "Lower the number of peers, or give each its part.");
    for (auto& rows : parts)
        stock->parts_.push_back(
            std::make_shared<const std::vector<std::uint32_t>>(std::move(rows)));
    return std::shared_ptr<const LearningStock>(std::move(stock));
}

std::uint64_t LearningStock::sample_count(Role role, std::size_t part) const {
    if (role != Role::peer) return 0;
    return parts_.empty() ? 0 : parts_[part]->size();
}

data::View LearningStock::part(std::size_t part) const {
    return parts_.empty() ? data::View{} : data::View{split_.train, parts_[part]};
}

Result<std::shared_ptr<training::Trainer>> LearningStock::trainer(Role role,
                                                                  std::size_t place) const {
    if (extensions_.trainer) return extensions_.trainer(PartOptions(options_, place));
    data::View train, test;
    if (role == Role::peer) train = part(place);
    if (split_.test && (role != Role::peer || peers_test_)) test = data::View::all(split_.test);
    return trainers_->trainer(std::move(train), std::move(test));
}

}  // namespace gossamer::assembly
