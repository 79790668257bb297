#include "records/storage/disk.hpp"

namespace gossamer::storage {

Result<Bytes> Disk::read(const std::string& path, std::uint64_t bytes_max) const {
    GOSSAMER_TRY(auto size, size_of(path));
    if (size > bytes_max)
        return fail(ErrorCode::kDiskFailed, path + " has " + std::to_string(size) +
                                                " bytes, more than " + std::to_string(bytes_max));
    Bytes bytes(size);
    GOSSAMER_CHECK(read_at(path, 0, bytes));
    return bytes;
}

Status Disk::make_folders(const std::string& path, unsigned mode) {
    if (path.empty() || path == "." || path == "/" || exists(path)) return {};
    GOSSAMER_CHECK(make_folders(folder_of(path), mode));
    auto made = make_folder(path, mode);
    if (!made && exists(path)) return {};  // somebody else was quicker
    return made;
}

Status Disk::replace_file(const std::string& path, std::span<const ByteView> parts, unsigned mode) {
    auto temporary = path + ".tmp";
    auto write = [&]() -> Status {
        // One that was left behind may be a link to elsewhere, or readable by others.
        (void)remove(temporary);
        GOSSAMER_TRY(auto file, create(temporary, Create::fresh, mode));
        for (auto part : parts) GOSSAMER_CHECK(file->append(part));
        GOSSAMER_CHECK(file->sync());
        return rename(temporary, path);
    };
    if (auto status = write(); !status) {
        (void)remove(temporary);  // a full disk should not stay full because of us
        return status;
    }
    return sync_folder(folder_of(path));
}

std::string folder_of(std::string_view path) {
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    auto slash = path.rfind('/');
    if (slash == std::string_view::npos) return ".";
    return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

std::string join(std::string_view folder, std::string_view name) {
    std::string path(folder);
    if (!path.empty() && path.back() != '/') path += '/';
    return path += name;
}

}  // namespace gossamer::storage
