// The file `commits`: entries of which each is whole, or its checksum tells that it is not.
#include <algorithm>

#include <xxhash.h>

#include "gossamer/base/bytes.hpp"
#include "records/storage/checkpoint.hpp"

namespace gossamer::storage {
namespace {

constexpr std::uint64_t kCommitsBytesMax = std::uint64_t{256} << 20;
constexpr std::uint64_t kCommitsRewriteBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kRecordBytesMax = std::uint64_t{64} << 20;
constexpr std::uint8_t kEntryVersion = 1;

Bytes encode(const CheckpointStore::Entry& entry) {
    ByteWriter body;
    body.put(kEntryVersion);
    body.put(static_cast<std::uint8_t>(entry.is_checkpoint));
    body.put(entry.round);
    body.put_text(entry.file);
    body.put(entry.file_bytes);
    body.put(entry.checksum);
    body.put(entry.identity);
    body.put(entry.score);
    body.put_blob(entry.record);
    ByteWriter out;
    out.put(static_cast<std::uint32_t>(body.view().size()));
    out.put(static_cast<std::uint64_t>(XXH3_64bits(body.view().data(), body.view().size())));
    out.put_bytes(body.view());
    return out.take();
}

std::optional<CheckpointStore::Entry> decode(ByteView body) {
    ByteReader in(body);
    if (in.get<std::uint8_t>() != kEntryVersion) return std::nullopt;
    CheckpointStore::Entry entry;
    entry.is_checkpoint = in.get<std::uint8_t>() != 0;
    entry.round = in.get<std::uint64_t>();
    entry.file = in.get_text(255);
    entry.file_bytes = in.get<std::uint64_t>();
    entry.checksum = in.get<Digest128>();
    entry.identity = in.get<Digest256>();
    entry.score = in.get<double>();
    auto record = in.get_blob(kRecordBytesMax);
    entry.record.assign(record.begin(), record.end());
    if (!in.at_end() || entry.file.find('/') != std::string::npos) return std::nullopt;
    return entry;
}

}  // namespace

std::string CheckpointStore::commits_path() const { return join(folder_, "commits"); }

Status CheckpointStore::read_commits() {
    auto path = commits_path();
    if (!disk_->exists(path)) return {};
    GOSSAMER_TRY(auto bytes, disk_->read(path, kCommitsBytesMax));
    // What is damaged, or torn at the end, is passed over up to the next entry that is whole.
    for (ByteView rest = bytes; !rest.empty();) {
        ByteReader in(rest);
        auto size = in.get<std::uint32_t>();
        auto checksum = in.get<std::uint64_t>();
        auto body = in.get_bytes(size);
        // Most of what is damaged is told without hashing what it may seem to hold.
        const bool likely = in.ok() && body.size() > 2 && body[0] == std::byte{kEntryVersion} &&
                            body[1] <= std::byte{1};
        const bool whole = likely && XXH3_64bits(body.data(), body.size()) == checksum;
        auto entry = whole ? decode(body) : std::nullopt;
        if (entry)
            entries_.push_back(std::move(*entry));
        else
            damaged_at_ = entries_.size();
        rest = rest.subspan(entry ? rest.size() - in.left() : 1);
    }
    damage_seen_ = damaged_at_.has_value();
    // Entries of files removed long ago go; the newest stay, so that a lost one is noticed.
    bool found = false;
    for (std::size_t i = entries_.size(); i-- > 0;) {
        if (!entries_[i].is_checkpoint) continue;
        bool here = disk_->exists(join(folder_, entries_[i].file));
        if (found && !here) {
            entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(i));
            if (damaged_at_ && *damaged_at_ > i) --*damaged_at_;
        }
        found = found || here;
    }
    return {};
}

// Also what makes the file appendable again after a torn end: so it runs at the first append.
Status CheckpointStore::rewrite_commits() {
    Bytes all;
    for (const auto& entry : entries_) {
        auto bytes = encode(entry);
        all.insert(all.end(), bytes.begin(), bytes.end());
    }
    auto path = commits_path();
    ByteView parts[] = {all};
    GOSSAMER_CHECK(disk_->replace_file(path, parts));
    GOSSAMER_TRY(commits_, disk_->create(path, Create::append));
    commits_bytes_ = all.size();
    rewrite_at_ = std::max(kCommitsRewriteBytes, 2 * commits_bytes_);
    return {};
}

Status CheckpointStore::append_entry(Entry entry) {
    damaged_at_.reset();  // what is said from now on is about what was restored
    if (!commits_ || commits_bytes_ > rewrite_at_) {
        entries_.push_back(std::move(entry));
        auto status = rewrite_commits();
        if (!status) entries_.pop_back(), commits_.reset();
        return status;
    }
    auto bytes = encode(entry);
    auto write = [&]() -> Status {
        GOSSAMER_CHECK(commits_->append(bytes));
        return commits_->sync();
    };
    if (auto status = write(); !status) {
        commits_.reset();  // its end may be torn: rewrite before the next one
        return status;
    }
    commits_bytes_ += bytes.size();
    entries_.push_back(std::move(entry));
    return {};
}

}  // namespace gossamer::storage
