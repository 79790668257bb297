#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "records/storage/memory_disk.hpp"
#include "temporary_folder.hpp"

using namespace gossamer;
using namespace gossamer::storage;

namespace {

// What every disk must do.
void behaves(Disk& disk, const std::string& root) {
    auto folder = join(root, "a/b");
    REQUIRE(disk.make_folders(folder));
    CHECK(disk.make_folders(folder));
    CHECK(disk.exists(folder));
    auto path = join(folder, "file");
    {
        auto file = disk.create(path, Create::fresh, kPrivateMode);
        REQUIRE(file);
        CHECK((*file)->append(as_bytes("hello ")));
        CHECK((*file)->append(as_bytes("world")));
        CHECK((*file)->write_at(0, as_bytes("H")));
        CHECK((*file)->sync());
    }
    CHECK_FALSE(disk.create(path, Create::fresh));
    CHECK(as_text(*disk.read(path, 100)) == "Hello world");
    CHECK_FALSE(disk.read(path, 5));
    {
        auto file = disk.create(path, Create::append);
        REQUIRE(file);
        CHECK((*file)->append(as_bytes("!")));
    }
    CHECK(disk.size_of(path).value_or(0) == 12);
    std::byte part[5];
    CHECK(disk.read_at(path, 6, part));
    CHECK(as_text(part) == "world");
    CHECK_FALSE(disk.read_at(path, 10, part));
    CHECK(disk.rename(path, join(folder, "other")));
    CHECK_FALSE(disk.exists(path));
    ByteView parts[] = {as_bytes("1"), as_bytes("2")};
    CHECK(disk.replace_file(join(folder, "atomic"), parts));
    CHECK(disk.list(folder).value_or(std::vector<std::string>{}) ==
          std::vector<std::string>{"atomic", "other"});
    CHECK(disk.remove(join(folder, "other")));
    auto gone = disk.remove(join(folder, "other"));
    REQUIRE_FALSE(gone);
    CHECK(gone.error().what.find(join(folder, "other")) != std::string::npos);
    CHECK_FALSE(disk.create(join(root, "no/such/file"), Create::replace));
}

bool can_lock(Disk& disk, const std::string& path) {
    auto lock = disk.lock(path);
    REQUIRE(lock);
    return *lock != nullptr;
}

// Held by one at a time, for as long as the lock lives; the file may be read and written by all.
void locks(Disk& disk, const std::string& folder) {
    const auto path = join(folder, "lock");
    {
        auto mine = disk.lock(path);
        REQUIRE(mine);
        CHECK(*mine != nullptr);
        CHECK_FALSE(can_lock(disk, path));
        CHECK(can_lock(disk, join(folder, "another")));
        CHECK(disk.create(path, Create::append));
        CHECK(disk.size_of(path).value_or(1) == 0);
    }
    CHECK(can_lock(disk, path));
    CHECK_FALSE(disk.lock(join(folder, "no/such/lock")));
}

}  // namespace

TEST_CASE("the real disk and the one in memory behave alike") {
    TemporaryFolder folder;
    RealDisk real;
    behaves(real, folder.path);
    MemoryDisk memory;
    behaves(memory, "root");
    CHECK(memory.mode_of("root/a/b/atomic") == kPublicMode);
    auto private_file = join(folder.path, "key");
    CHECK(real.create(private_file, Create::fresh, kPrivateMode));
    struct stat info {};
    REQUIRE(::stat(private_file.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("what was left under a temporary's name is not followed, and gives no mode away") {
    TemporaryFolder folder;
    storage::RealDisk disk;
    const auto path = folder.path + "/page", victim = folder.path + "/victim";
    const auto text = std::string("new"), other = std::string("old");
    REQUIRE(disk.replace_file(victim, {{as_bytes(other)}}));
    REQUIRE(::symlink("victim", (path + ".tmp").c_str()) == 0);
    REQUIRE(disk.replace_file(path, {{as_bytes(text)}}, storage::kPrivateMode));
    CHECK(as_text(*disk.read(victim, 10)) == "old");
    CHECK(as_text(*disk.read(path, 10)) == "new");
    struct stat info {};
    REQUIRE(::lstat(path.c_str(), &info) == 0);
    CHECK(S_ISREG(info.st_mode));
    CHECK((info.st_mode & 0777) == 0600);
}

TEST_CASE("folders made by several at once are there for each") {
    TemporaryFolder folder;
    std::atomic<int> failed = 0;
    for (int round = 0; round < 20; ++round) {
        std::vector<std::jthread> makers;
        for (int i = 0; i < 4; ++i)
            makers.emplace_back([&, round] {
                storage::RealDisk disk;
                if (!disk.make_folders(folder.path + "/" + std::to_string(round) + "/a/b/c/d"))
                    ++failed;
            });
    }
    CHECK(failed == 0);
}

TEST_CASE("a lock is one holder's, and no crash leaves one behind") {
    TemporaryFolder folder;
    RealDisk real;
    locks(real, folder.path);
    MemoryDisk memory;
    locks(memory, ".");

    const auto path = join(folder.path, "lock");
    int held[2];
    REQUIRE(::pipe(held) == 0);
    const auto holder = ::fork();
    if (holder == 0) {  // takes the lock, says so, and is killed
        auto lock = real.lock(path);
        const char ok = lock && *lock ? 'y' : 'n';
        (void)!::write(held[1], &ok, 1);
        for (;;) ::pause();
    }
    char ok = 0;
    CHECK(::read(held[0], &ok, 1) == 1);
    CHECK(ok == 'y');
    CHECK_FALSE(can_lock(real, path));
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    CHECK(can_lock(real, path));
    for (int end : held) ::close(end);

    auto lock = memory.lock("kept");
    memory.restart({1});
    CHECK(can_lock(memory, "kept"));
}

TEST_CASE("a full disk says so and keeps what was there") {
    MemoryDisk disk;
    disk.room_bytes = 10;
    auto file = *disk.create("x", Create::fresh, kPublicMode);
    CHECK(file->append(as_bytes("12345678")));
    auto status = file->append(as_bytes("9abcdef"));
    REQUIRE_FALSE(status);
    CHECK(status.error().code == ErrorCode::kDiskFull);
    CHECK(status.error().what.find('x') != std::string::npos);
    CHECK(as_text(*disk.read("x", 100)) == "123456789a");
    ByteView parts[] = {as_bytes("more than there is room for")};
    CHECK_FALSE(disk.replace_file("y", parts));
    CHECK_FALSE(disk.exists("y"));
    CHECK_FALSE(disk.exists("y.tmp"));
    disk.read_only = true;
    CHECK(disk.make_folder("z", 0755).error().code == ErrorCode::kDiskPermission);
}

TEST_CASE("the disk in memory loses what was not synced, now and then, and nothing else") {
    bool lost_name = false, lost_bytes = false, kept_unsynced = false;
    for (std::uint64_t seed = 0; seed < 64; ++seed) {
        MemoryDisk disk;
        {
            auto synced = *disk.create("synced", Create::fresh, kPublicMode);
            auto half = *disk.create("half", Create::fresh, kPublicMode);
            REQUIRE(synced->append(as_bytes("whole")));
            REQUIRE(half->append(as_bytes("first")));
            REQUIRE(synced->sync());
            REQUIRE(half->sync());
            REQUIRE(disk.sync_folder("."));
            REQUIRE(half->append(as_bytes("second")));
            auto late = *disk.create("late", Create::fresh, kPublicMode);
            REQUIRE(late->sync());
        }
        disk.restart({seed});
        CHECK(as_text(*disk.read("synced", 100)) == "whole");
        auto half = *disk.read("half", 100);
        CHECK(half.size() >= 5);
        lost_bytes = lost_bytes || half.size() < 11;
        kept_unsynced = kept_unsynced || half.size() == 11;
        lost_name = lost_name || !disk.exists("late");
    }
    CHECK(lost_name);
    CHECK(lost_bytes);
    CHECK(kept_unsynced);
}
