// What a checkpoint job leaves, also where the disk is full.
#include <doctest/doctest.h>

#include "drivers/assembly/checkpoints.hpp"
#include "records/storage/memory_disk.hpp"

using namespace gossamer;

namespace {

constexpr std::uint32_t kFloats = 1000;

job::CheckpointJob job_of(std::uint64_t round, const tensor::PoolRef& pool) {
    auto layout = std::make_shared<tensor::Layout>();
    layout->add("x", {kFloats});
    auto buffer = pool->take_floats(kFloats);
    std::ranges::fill(buffer.floats(), static_cast<float>(round));
    job::CheckpointJob job;
    job.round = round;
    job.model = tensor::Model::of(std::move(layout), std::move(buffer));
    return job;
}

}  // namespace

TEST_CASE("a full disk gives up older checkpoints before the final model") {
    for (const std::uint64_t models : {4, 3, 2, 1}) {
        CAPTURE(models);
        storage::MemoryDisk disk;
        auto pool = tensor::BufferPool::create(1 << 20);
        REQUIRE(disk.make_folders("run"));
        auto opened = assembly::Checkpoints::open(disk, "run/checkpoints", "run/final.safetensors",
                                                  "demo", {.keep_last = 3, .keep_best = false});
        REQUIRE(opened);
        auto& checkpoints = **opened;
        disk.room_bytes = models * (4 * kFloats + 600) + 600;  // with headers and commits
        std::uint64_t round = 0;
        while (round < 3 && checkpoints.write(job_of(round + 1, pool))) ++round;
        auto last = job_of(round + 1, pool);
        last.final_ = true;
        (void)checkpoints.write(last);
        // It takes a model's room, and what is gone on from another's.
        CHECK(disk.exists("run/final.safetensors") == (models > 1));
        CHECK(checkpoints.final_lost() == (models == 1));
        std::vector<std::string> damaged;
        const auto restored = checkpoints.restore(pool, damaged);
        REQUIRE(restored);
        REQUIRE(*restored);
        CHECK((*restored)->round >= round);
    }
}
