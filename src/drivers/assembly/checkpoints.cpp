#include "drivers/assembly/checkpoints.hpp"

#include "drivers/assembly/learning.hpp"

namespace gossamer::assembly {

Result<std::unique_ptr<Checkpoints>> Checkpoints::open(storage::Disk& disk, std::string folder,
                                                       std::string final_model, std::string run,
                                                       storage::CheckpointConfig config) {
    GOSSAMER_TRY(auto store, storage::CheckpointStore::open(disk, std::move(folder), config));
    return std::unique_ptr<Checkpoints>(
        new Checkpoints(disk, std::move(store), std::move(final_model), std::move(run)));
}

Result<std::string> Checkpoints::write(const job::CheckpointJob& job) {
    std::lock_guard lock(mutex_);
    if (!job.model.exists()) {
        GOSSAMER_CHECK(store_.save_record(job.round, job.record));
        return std::string();
    }
    storage::CheckpointContent content;
    content.round = job.round;
    content.run = run_;
    content.layout = job.model.layout().get();
    content.values = job.model.values();
    content.identity = job.identity;
    content.score = job.score;
    content.record = job.record;
    for (const auto& named : job.states)
        if (named.state) content.states.emplace_back(named.name, named.state->save());
    auto saved = store_.save(content);
    if (!job.final_) return saved;
    // What a run was for is worth more than what it might have gone on from.
    const auto save_final = [&] {
        return save_whole(disk_, final_model_, plans_.get(), *job.model.layout(),
                          job.model.values(),
                          {{"run", run_}, {"round", std::to_string(job.round)}});
    };
    auto final_saved = save_final();
    const auto full = [](const auto& done) {
        return !done && done.error().code == ErrorCode::kDiskFull;
    };
    if (full(saved) || full(final_saved)) {
        store_.keep_newest_alone();
        if (!final_saved) final_saved = save_final();
        if (!saved) saved = store_.save(content);
    }
    final_lost_ = !final_saved;
    GOSSAMER_CHECK(final_saved);
    return saved;
}

Result<std::optional<job::Restored>> Checkpoints::restore(const tensor::PoolRef& pool,
                                                          std::vector<std::string>& damaged) {
    std::lock_guard lock(mutex_);
    GOSSAMER_TRY(auto latest, store_.latest(pool));
    damaged = std::move(latest.skipped);
    if (!latest.checkpoint) return std::optional<job::Restored>();
    auto& c = *latest.checkpoint;
    job::Restored restored;
    restored.round = c.round;
    restored.model = tensor::Model::of(c.layout, std::move(c.values));
    restored.identity = c.identity;
    restored.record = latest.begun ? std::move(latest.begun->record) : std::move(c.record);
    restored.states = std::move(c.states);
    return std::optional<job::Restored>(std::move(restored));
}

}  // namespace gossamer::assembly
