// Disk: the narrow seam between records and the file system, so that torn, lost and full writes can
// be tested. Everything durable but history.sqlite goes through it.
//
// Contract: what a file's sync() covered survives a crash; a name survives once sync_folder() of
// its folder returned. Before that a crash may keep any part of either. Errors: kDiskFull,
// kDiskPermission, kDiskFailed, each naming the path.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::storage {

class DiskFile {  // closed when it dies; closing does not sync
public:
    virtual ~DiskFile() = default;
    virtual Status append(ByteView bytes) = 0;
    virtual Status write_at(std::uint64_t offset, ByteView bytes) = 0;
    virtual Status sync() = 0;
};
using DiskFileRef = std::unique_ptr<DiskFile>;

// Held for as long as this lives. It ends with the process too, however that ends: no crash leaves
// one behind.
class FileLock {
public:
    virtual ~FileLock() = default;
};
using FileLockRef = std::unique_ptr<FileLock>;

enum class Create : std::uint8_t {
    fresh,    // refuse when it exists
    replace,  // empty it when it exists
    append,   // keep what is there, write behind it
};

inline constexpr unsigned kPublicMode = 0644, kPrivateMode = 0600;
inline constexpr unsigned kFolderMode = 0755, kPrivateFolderMode = 0700;

class Disk {
public:
    virtual ~Disk() = default;
    virtual Result<DiskFileRef> create(const std::string& path, Create how,
                                       unsigned mode = kPublicMode) = 0;
    virtual Status rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
    virtual Status remove(const std::string& path) = 0;  // a file, or an empty folder
    virtual Status make_folder(const std::string& path, unsigned mode = kFolderMode) = 0;
    virtual Status sync_folder(const std::string& path) = 0;
    virtual bool exists(const std::string& path) const = 0;
    virtual Result<std::uint64_t> size_of(const std::string& path) const = 0;
    // Fills `into` from `offset`; an error when the file ends before.
    virtual Status read_at(const std::string& path, std::uint64_t offset,
                           std::span<std::byte> into) const = 0;
    virtual Result<std::vector<std::string>> list(const std::string& folder) const = 0;  // sorted
    // Locks this file, made empty when it is missing, against all who ask for its lock; reading and
    // writing it is not hindered. Never waits: null when another holds the lock.
    virtual Result<FileLockRef> lock(const std::string& path) = 0;

    // Composed of the above.
    Result<Bytes> read(const std::string& path, std::uint64_t bytes_max) const;
    Status make_folders(const std::string& path, unsigned mode = kFolderMode);  // with parents
    // Whole old or whole new content after a crash: temporary file, sync, rename, sync of folder.
    Status replace_file(const std::string& path, std::span<const ByteView> parts,
                        unsigned mode = kPublicMode);
};

class RealDisk final : public Disk {
public:
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
};

std::string folder_of(std::string_view path);  // "." when it has none
std::string join(std::string_view folder, std::string_view name);

}  // namespace gossamer::storage
