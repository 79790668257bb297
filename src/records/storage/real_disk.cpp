// The file system of this machine (POSIX).
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "records/storage/disk.hpp"

namespace gossamer::storage {
namespace {

tl::unexpected<Error> system_error(std::string_view doing, const std::string& path) {
    int number = errno;
    auto code = ErrorCode::kDiskFailed;
    if (number == ENOSPC || number == EDQUOT || number == EFBIG) code = ErrorCode::kDiskFull;
    if (number == EACCES || number == EPERM || number == EROFS) code = ErrorCode::kDiskPermission;
    return fail(code, std::string(doing) + " " + path + ": " + std::strerror(number));
}

template <class F>
auto retried(F call) {  // a signal is no failure
    decltype(call()) result;
    do result = call();
    while (result < 0 && errno == EINTR);
    return result;
}

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }

private:
    int fd_;
};

class RealFile final : public DiskFile {
public:
    RealFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

    Status append(ByteView bytes) override {
        while (!bytes.empty()) {
            auto count = retried([&] { return ::write(fd_.get(), bytes.data(), bytes.size()); });
            if (count < 0) return system_error("write to", path_);
            bytes = bytes.subspan(static_cast<std::size_t>(count));
        }
        return {};
    }
    Status write_at(std::uint64_t offset, ByteView bytes) override {
        while (!bytes.empty()) {
            auto count = retried([&] {
                return ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            });
            if (count < 0) return system_error("write to", path_);
            bytes = bytes.subspan(static_cast<std::size_t>(count));
            offset += static_cast<std::uint64_t>(count);
        }
        return {};
    }
    Status sync() override {
        if (retried([&] { return ::fdatasync(fd_.get()); }) < 0) return system_error("sync", path_);
        return {};
    }

private:
    Descriptor fd_;
    std::string path_;
};

// flock belongs to the open file: it is let go when the last descriptor of that is closed.
class RealLock final : public FileLock {
public:
    explicit RealLock(int fd) : fd_(fd) {}
    bool take() {
        return retried([this] { return ::flock(fd_.get(), LOCK_EX | LOCK_NB); }) == 0;
    }

private:
    Descriptor fd_;
};

}  // namespace

Result<DiskFileRef> RealDisk::create(const std::string& path, Create how, unsigned mode) {
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    if (how == Create::fresh) flags |= O_EXCL;
    if (how == Create::replace) flags |= O_TRUNC;
    if (how == Create::append) flags |= O_APPEND;
    int fd = retried([&] { return ::open(path.c_str(), flags, mode); });
    if (fd < 0) return system_error("create", path);
    return std::make_unique<RealFile>(fd, path);
}

Status RealDisk::rename(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) < 0) return system_error("rename to", to);
    return {};
}

Status RealDisk::remove(const std::string& path) {
    if (::remove(path.c_str()) < 0) return system_error("remove", path);
    return {};
}

Status RealDisk::make_folder(const std::string& path, unsigned mode) {
    if (::mkdir(path.c_str(), mode) < 0) return system_error("make folder", path);
    return {};
}

Status RealDisk::sync_folder(const std::string& path) {
    Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (folder.get() < 0) return system_error("open folder", path);
    if (retried([&] { return ::fsync(folder.get()); }) < 0)
        return system_error("sync folder", path);
    return {};
}

bool RealDisk::exists(const std::string& path) const { return ::access(path.c_str(), F_OK) == 0; }

Result<std::uint64_t> RealDisk::size_of(const std::string& path) const {
    struct stat info {};
    if (::stat(path.c_str(), &info) < 0) return system_error("look at", path);
    if (!S_ISREG(info.st_mode))
        return fail(ErrorCode::kDiskFailed, path + " is not a regular file");
    return static_cast<std::uint64_t>(info.st_size);
}

Status RealDisk::read_at(const std::string& path, std::uint64_t offset,
                         std::span<std::byte> into) const {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (file.get() < 0) return system_error("open", path);
    while (!into.empty()) {
        auto count = retried([&] {
            return ::pread(file.get(), into.data(), into.size(), static_cast<off_t>(offset));
        });
        if (count < 0) return system_error("read", path);
        if (count == 0) return fail(ErrorCode::kDiskFailed, path + " ends too early");
        into = into.subspan(static_cast<std::size_t>(count));
        offset += static_cast<std::uint64_t>(count);
    }
    return {};
}

Result<std::vector<std::string>> RealDisk::list(const std::string& folder) const {
    std::error_code error;
    std::filesystem::directory_iterator entries(folder, error), end;
    std::vector<std::string> names;
    for (; !error && entries != end; entries.increment(error))
        names.push_back(entries->path().filename().string());
    if (error) {
        errno = error.value();
        return system_error("list", folder);
    }
    std::ranges::sort(names);
    return names;
}

Result<FileLockRef> RealDisk::lock(const std::string& path) {
    int fd = retried([&] { return ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644); });
    if (fd < 0) return system_error("open", path);
    auto lock = std::make_unique<RealLock>(fd);
    if (lock->take()) return lock;
    if (errno == EWOULDBLOCK) return FileLockRef();
    return system_error("lock", path);
}

}  // namespace gossamer::storage
