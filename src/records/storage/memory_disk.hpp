// A disk in memory, worse than real ones: for tests and simulated worlds.
//
// Unsynced bytes may be lost block by block at a crash, unsynced names one by one; it fills up, its
// syncs fail, and it stops at any operation wanted. Deterministic for a seed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>

#include "gossamer/base/rng.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::storage {

class MemoryDisk final : public Disk {
public:
    MemoryDisk();

    // ---- faults ----
    std::optional<std::uint64_t> room_bytes;  // writes beyond it fail with kDiskFull
    bool sync_fails = false;
    bool read_only = false;  // everything that changes fails with kDiskPermission
    // The n-th operation that changes something, from now, and all after it fail; a write then is
    // cut short.
    void crash_at(std::uint64_t operation);
    bool crashed() const { return crash_in_ && *crash_in_ == 0; }
    // What a machine finds after the power came back.
    void restart(RunSeed seed);
    // All files are gone for good, as with another disk; folders are there, and empty.
    void wipe();
    std::uint64_t operation_count() const { return operations_; }
    std::uint64_t sync_count() const { return syncs_; }
    // Flips one bit of a file, as a bad disk does.
    void damage(const std::string& path, std::uint64_t byte);

    Result<DiskFileRef> create(const std::string&, Create, unsigned mode) override;
    Status rename(const std::string& from, const std::string& to) override;
    Status remove(const std::string& path) override;
    Status make_folder(const std::string& path, unsigned mode) override;
    Status sync_folder(const std::string& path) override;
    bool exists(const std::string& path) const override;
    Result<std::uint64_t> size_of(const std::string& path) const override;
    Status read_at(const std::string&, std::uint64_t, std::span<std::byte>) const override;
    Result<std::vector<std::string>> list(const std::string& folder) const override;
    Result<FileLockRef> lock(const std::string& path) override;
    unsigned mode_of(const std::string& path) const;

private:
    class File;
    class Lock;
    struct Node {  // a file's content, or a folder
        bool folder = false;
        unsigned mode = 0;
        Bytes live, synced;
    };
    using NodeRef = std::shared_ptr<Node>;
    struct NameChange {  // one atomic change of names: `to` set to node, `from` removed
        std::string from, to;
        NodeRef node;
    };
    Status change(const std::string& path, bool is_sync = false);
    void apply(const NameChange& change, std::map<std::string, NodeRef>& names) const;
    void record(NameChange change);

    std::map<std::string, NodeRef> names_, durable_names_;
    std::vector<NameChange> pending_;
    std::shared_ptr<std::set<std::string>> locked_;  // paths; another set after each restart
    std::optional<std::uint64_t> crash_in_;
    std::uint64_t operations_ = 0, syncs_ = 0, used_bytes_ = 0;
};

}  // namespace gossamer::storage
