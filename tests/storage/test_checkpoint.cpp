#include <doctest/doctest.h>

#include <limits>
#include <numeric>

#include "gossamer/tensor/identity.hpp"
#include "records/storage/checkpoint.hpp"
#include "records/storage/memory_disk.hpp"

using namespace gossamer;
using namespace gossamer::storage;

namespace {

const tensor::Layout& layout() {
    static const tensor::Layout shared = [] {
        tensor::Layout made;
        made.add("weight", {40, 10});
        made.add("bias", {10});
        return made;
    }();
    return shared;
}

std::vector<float> values_of(std::uint64_t round) {
    std::vector<float> values(layout().parameter_count());
    std::iota(values.begin(), values.end(), static_cast<float>(round) * 1000);
    return values;
}

Bytes text(std::string_view t) { return {as_bytes(t).begin(), as_bytes(t).end()}; }

Result<std::string> save(CheckpointStore& store, std::uint64_t round, double score = 0) {
    auto values = values_of(round);
    return store.save({.round = round,
                       .run = "demo",
                       .layout = &layout(),
                       .values = values,
                       .score = score,
                       .record = text("record " + std::to_string(round)),
                       .states = {{"optimiser", text("momentum")}, {"strategy", {}}}});
}

CheckpointStore open(Disk& disk, CheckpointConfig config = {}) {
    auto store = CheckpointStore::open(disk, "run/checkpoints", config);
    REQUIRE(store);
    return std::move(*store);
}

Restored latest(Disk& disk) {
    auto pool = tensor::BufferPool::create(1 << 20);
    auto found = open(disk).latest(pool);
    REQUIRE(found);
    if (found->checkpoint) {
        auto round = found->checkpoint->round;
        CHECK(std::ranges::equal(found->checkpoint->values.floats(), values_of(round)));
        CHECK(as_text(found->checkpoint->record) == "record " + std::to_string(round));
    }
    return std::move(*found);
}

std::vector<std::string> files(Disk& disk) {
    auto names = *disk.list("run/checkpoints");
    std::erase(names, "commits");
    return names;
}

}  // namespace

TEST_CASE("a checkpoint comes back with its model, states, record and identity") {
    MemoryDisk disk;
    {
        auto store = open(disk);
        CHECK_FALSE(latest(disk).checkpoint);
        REQUIRE(save(store, 7, 0.5));
    }
    auto found = latest(disk);
    REQUIRE(found.checkpoint);
    const auto& c = *found.checkpoint;
    CHECK(c.round == 7);
    CHECK(c.run == "demo");
    CHECK(c.score == 0.5);
    CHECK(*c.layout == layout());
    auto values = values_of(7);
    CHECK(c.identity == tensor::model_identity(std::as_bytes(std::span(values)), layout()));
    REQUIRE(c.states.size() == 2);
    CHECK(c.states[0].first == "optimiser");
    CHECK(as_text(c.states[0].second) == "momentum");
    CHECK(c.states[1].second.empty());
}

TEST_CASE("the last three and the best are kept") {
    MemoryDisk disk;
    auto store = open(disk);
    for (std::uint64_t round = 1; round <= 8; ++round)
        REQUIRE(save(store, round, round == 3 ? 0.9 : 0.1));
    CHECK(files(disk) ==
          std::vector<std::string>{"round-00000003.safetensors", "round-00000006.safetensors",
                                   "round-00000007.safetensors", "round-00000008.safetensors"});
    auto again = open(disk, {.keep_last = 1, .keep_best = false});
    REQUIRE(save(again, 9, std::numeric_limits<double>::quiet_NaN()));
    CHECK(files(disk) == std::vector<std::string>{"round-00000009.safetensors"});
    CHECK(latest(disk).checkpoint->round == 9);
}

TEST_CASE("a checkpoint that nobody has judged is never the best") {
    const auto unknown = std::numeric_limits<double>::quiet_NaN();
    MemoryDisk disk;
    auto store = open(disk, {.keep_last = 1});
    std::uint64_t round = 0;
    for (double score : {unknown, -0.5, -0.2, unknown, -0.4}) REQUIRE(save(store, round++, score));
    CHECK(files(disk) ==
          std::vector<std::string>{"round-00000002.safetensors", "round-00000004.safetensors"});
}

TEST_CASE("a round begun is found again until the next checkpoint, at the cost of one sync") {
    MemoryDisk disk;
    auto store = open(disk);
    REQUIRE(save(store, 1));
    auto before = disk.sync_count();
    REQUIRE(store.save_record(2, as_bytes("cohort of 2")));
    REQUIRE(store.save_record(2, as_bytes("cohort of 2, again")));
    CHECK(disk.sync_count() - before == 2);
    auto found = latest(disk);
    REQUIRE(found.begun);
    CHECK(found.begun->round == 2);
    CHECK(as_text(found.begun->record) == "cohort of 2, again");
    CHECK(found.checkpoint->round == 1);
    REQUIRE(save(store, 2));
    CHECK_FALSE(latest(disk).begun);
    CHECK(latest(disk).checkpoint->round == 2);
}

TEST_CASE("a damaged checkpoint is passed over for an older one, and said so") {
    MemoryDisk disk;
    auto store = open(disk);
    REQUIRE(save(store, 1));
    auto path = save(store, 2);
    REQUIRE(path);
    REQUIRE(store.save_record(3, as_bytes("built on 2")));
    disk.damage(*path, *disk.size_of(*path) - 40);
    auto found = latest(disk);
    CHECK(found.checkpoint->round == 1);
    CHECK(found.skipped.size() == 1);
    CHECK(found.skipped[0].find("round-00000002") != std::string::npos);
    CHECK_FALSE(found.begun);  // it belongs to a model that is gone
    auto going_on = open(disk);
    REQUIRE(save(going_on, 2));
    CHECK(latest(disk).checkpoint->round == 2);
}

TEST_CASE("wherever commits is damaged the newest checkpoint is found, or the loss is said") {
    const std::string commits = "run/checkpoints/commits";
    std::size_t found_all = 0;
    std::uint64_t size = 1;
    for (std::uint64_t at = 0; at < size; ++at) {
        MemoryDisk disk;
        auto store = open(disk);
        std::string newest;
        for (std::uint64_t round : {1, 2, 3}) {
            auto path = save(store, round);
            REQUIRE(path);
            REQUIRE(store.save_record(round + 1, as_bytes("begun")));
            newest = *path;
        }
        size = *disk.size_of(commits);
        const auto kept = *disk.read(newest, 1 << 20);
        disk.damage(commits, at);
        CAPTURE(at);
        const auto found = latest(disk);
        REQUIRE(found.checkpoint);
        const bool whole = found.checkpoint->round == 3;
        CHECK((whole || !found.skipped.empty()));
        if (found.begun) CHECK(found.begun->round == found.checkpoint->round + 1);
        found_all += whole;
        auto going_on = open(disk);
        REQUIRE(save(going_on, 3));
        CHECK(*disk.read(newest, 1 << 20) == kept);  // never written over
        CHECK(latest(disk).checkpoint->round == 3);
    }
    CHECK(found_all > size / 2);
}

TEST_CASE("without its commits a checkpoint still proves itself by its identity") {
    MemoryDisk disk;
    auto store = open(disk);
    REQUIRE(save(store, 1));
    REQUIRE(save(store, 2));
    REQUIRE(disk.remove("run/checkpoints/commits"));
    CHECK(latest(disk).checkpoint->round == 2);
    disk.damage("run/checkpoints/round-00000002.safetensors",
                *disk.size_of("run/checkpoints/round-00000002.safetensors") - 200);
    CHECK(latest(disk).checkpoint->round == 1);
}

TEST_CASE("a full disk or a failing sync loses the new checkpoint and no older one") {
    MemoryDisk disk;
    auto store = open(disk);
    REQUIRE(save(store, 1));
    disk.room_bytes = *disk.size_of("run/checkpoints/round-00000001.safetensors") + 900;
    auto full = save(store, 2);
    REQUIRE_FALSE(full);
    CHECK(full.error().code == ErrorCode::kDiskFull);
    CHECK(latest(disk).checkpoint->round == 1);
    disk.room_bytes.reset();
    disk.sync_fails = true;
    CHECK_FALSE(save(store, 2));
    CHECK_FALSE(store.save_record(2, as_bytes("x")));
    disk.sync_fails = false;
    CHECK(latest(disk).checkpoint->round == 1);
    REQUIRE(save(store, 2));
    CHECK(latest(disk).checkpoint->round == 2);
}

TEST_CASE(
    "whatever the operation at which the power fails, the last acknowledged or a newer "
    "checkpoint is whole") {
    std::uint64_t operations = 0;
    for (std::uint64_t crash = 0; crash == 0 || crash <= operations; ++crash)
        for (std::uint64_t seed = 0; seed < 12; ++seed) {
            CAPTURE(crash);
            CAPTURE(seed);
            MemoryDisk disk;
            std::uint64_t acknowledged = 0, begun = 0, record = 0;
            {
                auto store = open(disk, {.keep_last = 2});
                if (crash > 0) disk.crash_at(crash);
                auto start = disk.operation_count();
                for (std::uint64_t round = 1; round <= 5; ++round) {
                    begun = round;
                    if (store.save_record(round, as_bytes("r" + std::to_string(round))))
                        record = round;
                    if (save(store, round, round == 2 ? 1 : 0)) acknowledged = round;
                }
                if (crash == 0) operations = disk.operation_count() - start;
            }
            disk.restart({seed});
            auto found = latest(disk);
            std::uint64_t round = found.checkpoint ? found.checkpoint->round : 0;
            CHECK(round >= acknowledged);
            CHECK(round <= begun);
            if (record > round) {
                REQUIRE(found.begun);
                CHECK(found.begun->round >= record);
            }
            // And the run goes on from there.
            auto store = open(disk, {.keep_last = 2});
            REQUIRE(save(store, round + 1));
            CHECK(latest(disk).checkpoint->round == round + 1);
        }
    CHECK(operations > 40);
}

TEST_CASE("commits are rewritten when they have grown, and nothing is lost by it") {
    MemoryDisk disk;
    auto store = open(disk);
    REQUIRE(save(store, 1));
    std::string large(300'000, 'x');
    for (int i = 0; i < 20; ++i) REQUIRE(store.save_record(2, as_bytes(large + std::to_string(i))));
    auto found = latest(disk);
    CHECK(as_text(found.begun->record) == large + "19");
    REQUIRE(save(store, 2));
    for (std::uint64_t round = 3; round < 6; ++round) {
        for (int i = 0; i < 20; ++i) REQUIRE(store.save_record(round, as_bytes(large)));
        REQUIRE(save(store, round));
    }
    CHECK(disk.size_of("run/checkpoints/commits").value_or(0) < 20'000'000);
    CHECK(latest(disk).checkpoint->round == 5);
}
