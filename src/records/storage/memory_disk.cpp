#include "records/storage/memory_disk.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"

namespace gossamer::storage {
namespace {

constexpr std::size_t kBlockBytes = 512;

tl::unexpected<Error> missing(const std::string& path) {
    return fail(ErrorCode::kDiskFailed, path + ": No such file or directory");
}

// Each block of what was not synced is old or new; the length is anything between.
Bytes torn(const Bytes& synced, const Bytes& live, RngStream& rng) {
    if (synced == live) return live;
    auto low = std::min(synced.size(), live.size()), high = std::max(synced.size(), live.size());
    Bytes out(low + rng.below(high - low + 1));
    for (std::size_t at = 0; at < out.size(); at += kBlockBytes) {
        const Bytes& from = rng.below(2) == 0 ? synced : live;
        for (std::size_t i = at; i < std::min(at + kBlockBytes, out.size()); ++i)
            out[i] = i < from.size() ? from[i] : std::byte{0};
    }
    return out;
}

}  // namespace

class MemoryDisk::File final : public DiskFile {
public:
    File(MemoryDisk& disk, NodeRef node, std::string path)
        : disk_(disk), node_(std::move(node)), path_(std::move(path)) {}

    Status append(ByteView bytes) override { return write_at(node_->live.size(), bytes); }

    Status write_at(std::uint64_t offset, ByteView bytes) override {
        auto status = disk_.change(path_);
        if (!status && !disk_.crashed()) return status;
        std::uint64_t end = offset + bytes.size();
        std::uint64_t growth = end > node_->live.size() ? end - node_->live.size() : 0;
        if (status && disk_.room_bytes && disk_.used_bytes_ + growth > *disk_.room_bytes) {
            auto left = *disk_.room_bytes - std::min(*disk_.room_bytes, disk_.used_bytes_);
            put(offset, bytes.first(std::min<std::size_t>(left, bytes.size())));
            return fail(ErrorCode::kDiskFull, "write to " + path_ + ": No space left on device");
        }
        put(offset, status ? bytes : bytes.first(bytes.size() / 2));  // cut short by the crash
        return status;
    }

    Status sync() override {
        GOSSAMER_CHECK(disk_.change(path_, true));
        node_->synced = node_->live;
        return {};
    }

private:
    void put(std::uint64_t offset, ByteView bytes) {
        auto end = static_cast<std::size_t>(offset) + bytes.size();
        if (end > node_->live.size()) {
            disk_.used_bytes_ += end - node_->live.size();
            node_->live.resize(end);
        }
        std::ranges::copy(bytes, node_->live.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    MemoryDisk& disk_;
    NodeRef node_;
    std::string path_;
};

class MemoryDisk::Lock final : public FileLock {
public:
    Lock(std::shared_ptr<std::set<std::string>> all, std::string path)
        : all_(std::move(all)), path_(std::move(path)) {}
    ~Lock() override { all_->erase(path_); }

private:
    std::shared_ptr<std::set<std::string>> all_;
    std::string path_;
};

MemoryDisk::MemoryDisk() : locked_(std::make_shared<std::set<std::string>>()) {
    for (auto root : {".", "/"})
        names_[root] = durable_names_[root] = std::make_shared<Node>(Node{.folder = true});
}

void MemoryDisk::crash_at(std::uint64_t operation) { crash_in_ = operation; }

Status MemoryDisk::change(const std::string& path, bool is_sync) {
    if (crash_in_ && *crash_in_ == 0)
        return fail(ErrorCode::kDiskFailed, path + ": the disk is gone");
    ++operations_;
    if (crash_in_ && --*crash_in_ == 0)
        return fail(ErrorCode::kDiskFailed, path + ": the power failed");
    if (read_only) return fail(ErrorCode::kDiskPermission, path + ": Read-only file system");
    if (is_sync) {
        ++syncs_;
        if (sync_fails)
            return fail(ErrorCode::kDiskFailed, "sync " + path + ": Input/output error");
    }
    return {};
}

void MemoryDisk::apply(const NameChange& change, std::map<std::string, NodeRef>& names) const {
    if (!change.from.empty()) names.erase(change.from);
    if (!change.to.empty()) names[change.to] = change.node;
}

void MemoryDisk::record(NameChange change) {
    apply(change, names_);
    pending_.push_back(std::move(change));
}

void MemoryDisk::restart(RunSeed seed) {
    auto rng = stream(seed, Purpose::scenario);
    for (const auto& change : pending_)
        if (rng.below(2) == 0) apply(change, durable_names_);
    pending_.clear();
    names_ = durable_names_;
    used_bytes_ = 0;
    for (auto& [path, node] : names_) {
        node->live = node->synced = torn(node->synced, node->live, rng);
        used_bytes_ += node->live.size();
    }
    crash_in_.reset();
    locked_ = std::make_shared<std::set<std::string>>();  // whoever held one is gone
}

void MemoryDisk::wipe() {
    std::erase_if(names_, [](const auto& name) { return !name.second->folder; });
    durable_names_ = names_;
    pending_.clear();
    used_bytes_ = 0;
}

void MemoryDisk::damage(const std::string& path, std::uint64_t byte) {
    auto found = names_.find(path);
    GOSSAMER_ASSERT(found != names_.end() && byte < found->second->live.size(), "no such byte");
    found->second->live[byte] ^= std::byte{1};
}

Result<DiskFileRef> MemoryDisk::create(const std::string& path, Create how, unsigned mode) {
    GOSSAMER_CHECK(change(path));
    if (!exists(folder_of(path))) return missing(path);
    auto found = names_.find(path);
    if (found == names_.end()) {
        auto node = std::make_shared<Node>(Node{.mode = mode});
        record({{}, path, node});
        return std::make_unique<File>(*this, node, path);
    }
    if (found->second->folder) return fail(ErrorCode::kDiskFailed, path + " is a folder");
    if (how == Create::fresh)
        return fail(ErrorCode::kDiskFailed, "create " + path + ": File exists");
    if (how == Create::replace) {
        used_bytes_ -= found->second->live.size();
        found->second->live.clear();
    }
    return std::make_unique<File>(*this, found->second, path);
}

Status MemoryDisk::rename(const std::string& from, const std::string& to) {
    GOSSAMER_CHECK(change(from));
    auto found = names_.find(from);
    if (found == names_.end()) return missing(from);
    if (auto old = names_.find(to); old != names_.end()) used_bytes_ -= old->second->live.size();
    record({from, to, found->second});
    return {};
}

Status MemoryDisk::remove(const std::string& path) {
    GOSSAMER_CHECK(change(path));
    auto found = names_.find(path);
    if (found == names_.end()) return missing(path);
    used_bytes_ -= found->second->live.size();
    record({path, {}, nullptr});
    return {};
}

Status MemoryDisk::make_folder(const std::string& path, unsigned mode) {
    GOSSAMER_CHECK(change(path));
    if (!exists(folder_of(path))) return missing(path);
    if (exists(path)) return fail(ErrorCode::kDiskFailed, "make folder " + path + ": File exists");
    record({{}, path, std::make_shared<Node>(Node{.folder = true, .mode = mode})});
    return {};
}

Status MemoryDisk::sync_folder(const std::string& path) {
    GOSSAMER_CHECK(change(path, true));
    std::erase_if(pending_, [&](const NameChange& change) {
        bool here = folder_of(change.to.empty() ? change.from : change.to) == path;
        if (here) apply(change, durable_names_);
        return here;
    });
    return {};
}

bool MemoryDisk::exists(const std::string& path) const { return names_.contains(path); }

Result<std::uint64_t> MemoryDisk::size_of(const std::string& path) const {
    auto found = names_.find(path);
    if (found == names_.end() || found->second->folder) return missing(path);
    return found->second->live.size();
}

Status MemoryDisk::read_at(const std::string& path, std::uint64_t offset,
                           std::span<std::byte> into) const {
    auto found = names_.find(path);
    if (found == names_.end()) return missing(path);
    const auto& bytes = found->second->live;
    if (offset > bytes.size() || bytes.size() - offset < into.size())
        return fail(ErrorCode::kDiskFailed, path + " ends too early");
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), into.size(), into.begin());
    return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& folder) const {
    if (!exists(folder)) return missing(folder);
    std::vector<std::string> names;
    for (const auto& [path, node] : names_)
        if (path != folder && folder_of(path) == folder)
            names.push_back(path.substr(path.rfind('/') + 1));
    std::ranges::sort(names);
    return names;
}

Result<FileLockRef> MemoryDisk::lock(const std::string& path) {
    GOSSAMER_TRY(auto file, create(path, Create::append, kPublicMode));
    if (!locked_->insert(path).second) return FileLockRef();
    return std::make_unique<Lock>(locked_, path);
}

unsigned MemoryDisk::mode_of(const std::string& path) const {
    auto found = names_.find(path);
    return found == names_.end() ? 0 : found->second->mode;
}

}  // namespace gossamer::storage
