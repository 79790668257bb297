#include "drivers/assembly/key_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "connection/security/certificate.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::assembly {
namespace {

struct Descriptor {
    int fd;
    ~Descriptor() {
        if (fd >= 0) ::close(fd);
    }
};

// Through one descriptor, so that what was checked is what is read.
Result<Bytes> read_small(const std::string& path, bool secret) {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.fd < 0) return fail(ErrorCode::kKeyMissing, path + ": " + std::strerror(errno));
    struct stat info {};
    if (::fstat(file.fd, &info) != 0 || !S_ISREG(info.st_mode))
        return fail(ErrorCode::kKeyFormat, path + " is not a file");
    if (secret && (info.st_mode & 077) != 0)
        return fail(ErrorCode::kKeyPermissions, path + " can be read by others",
                    "chmod 600 " + path);
    if (info.st_size > static_cast<off_t>(security::kPemFileBytesMax))
        return fail(ErrorCode::kKeyFormat, path + " is longer than 64 KiB");
    Bytes bytes(static_cast<std::size_t>(info.st_size));
    const auto count = ::read(file.fd, bytes.data(), bytes.size());
    if (count < 0) return fail(ErrorCode::kKeyMissing, path + ": " + std::strerror(errno));
    bytes.resize(static_cast<std::size_t>(count));
    return bytes;
}

}  // namespace

Status make_folder(const std::string& path) { return storage::RealDisk().make_folders(path); }

Status write_new_file(const std::string& path, ByteView content, unsigned mode) {
    storage::RealDisk disk;
    if (disk.exists(path))
        return fail(ErrorCode::kKeyExists, path + " exists already and is not overwritten");
    GOSSAMER_TRY(const auto file, disk.create(path, storage::Create::fresh, mode));
    auto written = file->append(content);
    if (written) written = file->sync();
    if (written) written = disk.sync_folder(storage::folder_of(path));
    if (!written) (void)disk.remove(path);  // half a key would stand in the next try's way
    return written;
}

Status replace_public_file(const std::string& path, ByteView content) {
    const std::array parts{content};
    return storage::RealDisk().replace_file(path, parts);
}

Result<Bytes> read_public_file(const std::string& path) { return read_small(path, false); }

Result<security::SecretBytes> read_secret_file(const std::string& path) {
    GOSSAMER_TRY(auto bytes, read_small(path, true));
    return security::SecretBytes(std::move(bytes));
}

Result<security::IdentityKey> read_private_key(const std::string& path) {
    GOSSAMER_TRY(const auto secret, read_secret_file(path));
    auto key = security::IdentityKey::from_pem(secret.view());
    if (!key) return fail(key.error().code, path + ": " + key.error().what);
    return key;
}

}  // namespace gossamer::assembly
