#include <doctest/doctest.h>

#include "drivers/assembly/claimed_folder.hpp"
#include "records/storage/memory_disk.hpp"

using namespace gossamer;
using namespace gossamer::storage;

namespace {

const auto kMe = PeerId::of_number(1), kOther = PeerId::of_number(2);

// What a daemon's summary says while it runs, and after it.
void note(Disk& disk, const RunFolder& folder, const PeerId& peer, const std::string& state) {
    const auto text = R"({"state":")" + state + R"(","peer":")" + peer.to_string() + R"("})";
    ByteView parts[] = {as_bytes(text)};
    REQUIRE(disk.replace_file(folder.summary(), parts));
}

// As left by a daemon that runs no more.
RunFolder left_by(Disk& disk, const PeerId& peer, const std::string& state) {
    auto folder = RunFolder::create(disk, "runs", "meadow");
    REQUIRE(folder);
    note(disk, *folder, peer, state);
    return *folder;
}

assembly::ClaimedFolder claim(Disk& disk, const PeerId& me, bool resume = true) {
    auto claimed = assembly::claim_folder(disk, {"runs", "meadow", me, resume});
    REQUIRE(claimed);
    return std::move(*claimed);
}

}  // namespace

TEST_CASE("a run that is not over is gone on in by its own peer, and only when that is wanted") {
    MemoryDisk disk;
    left_by(disk, kMe, "stopped");
    {
        auto again = claim(disk, kMe);
        CHECK(again.folder.name() == "meadow-1");
        CHECK(again.lock);
        CHECK(again.remark.empty());
    }
    CHECK(claim(disk, kMe, false).folder.name() == "meadow-2");
}

TEST_CASE("a run that was given up is gone on with, and one of another name is not") {
    MemoryDisk disk;
    left_by(disk, kMe, "given up");
    CHECK(claim(disk, kMe).folder.name() == "meadow-1");
    // Folders of "meadow!" and "meadow-" have the same names.
    auto folder = RunFolder::create(disk, "runs", "meadow!");
    REQUIRE(folder);
    const auto text = R"({"state":"stopped","run":"meadow!","peer":")" + kMe.to_string() + R"("})";
    ByteView parts[] = {as_bytes(text)};
    REQUIRE(disk.replace_file(folder->summary(), parts));
    const auto claimed_by = [&](const char* run) {
        auto claimed = assembly::claim_folder(disk, {"runs", run, kMe, true});
        REQUIRE(claimed);
        return claimed->folder.name();
    };
    CHECK(claimed_by("meadow-") == "meadow--2");
    CHECK(claimed_by("meadow!") == "meadow--1");
}

TEST_CASE(
    "what a start that failed left hides no folder that there is something to go on with in") {
    MemoryDisk disk;
    const auto first = left_by(disk, kMe, "stopped");
    const ByteView parts[] = {as_bytes("a model")};
    REQUIRE(disk.make_folders(first.checkpoints()));
    REQUIRE(disk.replace_file(first.checkpoints() + "/round-00000035.safetensors", parts));
    left_by(disk, kMe, "stopped");
    CHECK(claim(disk, kMe).folder.name() == "meadow-1");
    left_by(disk, kMe, "finished");  // but nothing before a run that is over
    CHECK(claim(disk, kMe).folder.name() == "meadow-4");
}

TEST_CASE("a run that is over is followed by a new one") {
    MemoryDisk disk;
    left_by(disk, kMe, "stopped");
    left_by(disk, kMe, "finished");
    auto fresh = claim(disk, kMe);
    CHECK(fresh.folder.name() == "meadow-3");
    CHECK(fresh.remark.empty());
}

TEST_CASE("another peer's folder is never taken, whatever its state, nor touched") {
    for (const auto* state : {"running", "stopped", "finished"}) {
        CAPTURE(state);
        MemoryDisk disk;
        const auto theirs = left_by(disk, kOther, state);
        auto mine = claim(disk, kMe);
        CHECK(mine.folder.name() == "meadow-2");
        CHECK(mine.remark.find("runs/meadow-1") != std::string::npos);
        CHECK(mine.remark.find(kOther.short_string()) != std::string::npos);
        CHECK(mine.remark.find("runs/meadow-2") != std::string::npos);
        CHECK(*disk.list(theirs.path()) == std::vector<std::string>{"summary.json"});
    }
}

TEST_CASE("behind the folders of others, an older one of ours is found") {
    MemoryDisk disk;
    left_by(disk, kMe, "running");  // a crash: nobody holds its lock
    left_by(disk, kOther, "running");
    REQUIRE(RunFolder::create(disk, "runs", "meadow"));  // somebody is about to write there
    CHECK(claim(disk, kMe).folder.name() == "meadow-1");
}

TEST_CASE("a folder is one process's at a time, until that ends or crashes") {
    MemoryDisk disk;
    auto first = claim(disk, kMe);
    note(disk, first.folder, kMe, "running");
    auto second = claim(disk, kMe);  // with the same identity
    CHECK(second.folder.name() == "meadow-2");
    CHECK(second.remark.find("another process") != std::string::npos);
    note(disk, second.folder, kMe, "stopped");
    second.lock.reset();
    CHECK(claim(disk, kMe).folder.name() == "meadow-2");
    disk.restart({1});
    CHECK(claim(disk, kMe).lock);
}

TEST_CASE("where nothing can be locked the run goes on, and that is said") {
    MemoryDisk disk;
    const auto mine = left_by(disk, kMe, "running");
    disk.read_only = true;
    auto claimed = claim(disk, kMe);
    CHECK(claimed.folder.path() == mine.path());
    CHECK_FALSE(claimed.lock);
    CHECK(claimed.remark.find("without a lock") != std::string::npos);
}
