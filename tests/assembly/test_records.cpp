#include <doctest/doctest.h>

#include <algorithm>

#include "drivers/assembly/claimed_folder.hpp"
#include "drivers/assembly/records.hpp"
#include "records/storage/memory_disk.hpp"
#include "storage/temporary_folder.hpp"

using namespace gossamer;

namespace {

constexpr WallTime kNoon{1'772'366'400'000'000'000};

assembly::Records::Setup setup(storage::Disk& disk, const std::string& root,
                               telemetry::Level least) {
    return {.run = {.name = "demo", .mode = "gossip", .me = PeerId::of_number(9)},
            .config = {.log_level = least, .tensorboard = false, .history = false},
            .folder = storage::RunFolder::create(disk, root, "demo"),
            .resolved_config = "",
            .peer_book = storage::join(root, "peers.book"),
            .now = [] { return kNoon; }};
}

}  // namespace

TEST_CASE("each event is a line of the folder's log, whatever standard error shows") {
    TemporaryFolder runs;
    storage::RealDisk disk;
    for (auto least : {telemetry::Level::info, telemetry::Level::error}) {
        assembly::Records records(disk, setup(disk, runs.path, least));
        records.say(kNoon, telemetry::Level::info, "ready", "listening");
        records.take(kNoon, message::Trained{.round = 1, .loss = 0.5});  // of level debug
        records.take(kNoon, message::Warning{{ErrorCode::kDiskFull, "no room", {}}});
        records.finish("finished");
        auto bytes = disk.read(records.folder_path() + "/log", 1 << 20);
        REQUIRE(bytes);
        const std::string text(as_text(*bytes));
        CAPTURE(text);
        CHECK(std::ranges::count(text, '\n') == 3);
        CHECK(text.ends_with('\n'));
        for (const auto* level : {"level=debug", "level=info", "level=warning"})
            CHECK(text.find(level) != std::string::npos);
    }
}

TEST_CASE("an orderly end leaves whom the daemon knew") {
    TemporaryFolder runs;
    storage::RealDisk disk;
    {
        assembly::Records records(disk, setup(disk, runs.path, telemetry::Level::error));
        records.know({3, {{PeerId::of_number(1), Role::peer, {"host:1"}, kNoon}}});
        records.finish("stopped");
    }
    auto book = storage::PeerBook::load(disk, storage::join(runs.path, "peers.book"));
    REQUIRE(book);
    CHECK(book->boot_epoch == 3);
    CHECK(book->peers.size() == 1);
}

TEST_CASE("a folder whose config.toml could not be written is still its daemon's") {
    storage::MemoryDisk disk;
    {
        auto with_config = setup(disk, "runs", telemetry::Level::error);
        with_config.resolved_config = std::string(5000, '#');
        disk.room_bytes = 4500;
        assembly::Records records(disk, std::move(with_config));
        records.finish("stopped");
    }
    auto again = assembly::claim_folder(disk, {"runs", "demo", PeerId::of_number(9), true});
    REQUIRE(again);
    CHECK(again->folder.path() == "runs/demo-1");
    CHECK(again->remark.empty());
}
