#include "records/storage/checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <set>
#include <utility>

#include "gossamer/base/assert.hpp"
#include "gossamer/base/running_digest.hpp"
#include "gossamer/tensor/identity.hpp"

namespace gossamer::storage {
namespace {

constexpr std::string_view kRecordBlob = "gossamer.record";
constexpr std::string_view kStatePrefix = "gossamer.state.";
constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

// A round saved again (a run gone on from an older one) gets a name of its own: a committed file is
// never written over.
std::string file_name(std::uint64_t round, const std::function<bool(const std::string&)>& taken) {
    for (unsigned again = 0;; ++again) {
        char name[64];
        std::snprintf(name, sizeof name,
                      again == 0 ? "round-%08llu.safetensors" : "round-%08llu-%u.safetensors",
                      static_cast<unsigned long long>(round), again);
        if (!taken(name)) return name;
    }
}

// Of a model that nobody has judged the score is NaN: it ranks below all that have been.
double rank(const CheckpointStore::Entry& entry) {
    return std::isnan(entry.score) ? -std::numeric_limits<double>::infinity() : entry.score;
}

bool is_checkpoint_name(std::string_view name) {
    return name.starts_with("round-") && name.ends_with(".safetensors");
}

std::string real_text(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}

Digest256 parse_digest(const std::map<std::string, std::string>& metadata) {
    Digest256 digest;
    auto found = metadata.find("identity");
    auto bytes = found == metadata.end() ? std::nullopt : from_hex(found->second);
    if (bytes && bytes->size() == digest.bytes.size())
        std::ranges::copy(*bytes, digest.bytes.begin());
    return digest;
}

Status check_whole(const Disk& disk, const std::string& path, const CheckpointStore::Entry& entry) {
    GOSSAMER_TRY(auto size, disk.size_of(path));
    if (size != entry.file_bytes)
        return fail(ErrorCode::kCheckpointFormat, path + " has " + std::to_string(size) +
                                                      " bytes, written were " +
                                                      std::to_string(entry.file_bytes));
    RunningDigest checksum;
    Bytes piece(std::min<std::uint64_t>(kPieceBytes, size));
    for (std::uint64_t at = 0; at < size; at += kPieceBytes) {
        auto part = std::span(piece).first(std::min<std::uint64_t>(kPieceBytes, size - at));
        GOSSAMER_CHECK(disk.read_at(path, at, part));
        checksum.add(part);
    }
    if (checksum.digest() != entry.checksum)
        return fail(ErrorCode::kCheckpointFormat, path + ": wrong checksum");
    return {};
}

Result<Bytes> read_blob(const Disk& disk, const std::string& path, const SafetensorsHeader& header,
                        const StoredTensor& tensor) {
    if (tensor.type != "U8")
        return fail(ErrorCode::kCheckpointFormat, path + ": a state that is not bytes");
    Bytes bytes(tensor.end - tensor.begin);
    GOSSAMER_CHECK(disk.read_at(path, header.body_offset + tensor.begin, bytes));
    return bytes;
}

}  // namespace

OptionTable checkpoint_options() {
    return {
        {.key = "checkpoint.keep_last",
         .kind = OptionKind::integer,
         .fallback = std::int64_t{3},
         .unit = "checkpoints",
         .reason = "How many of the newest checkpoints stay on disk; one is enough to go on, more "
                   "survive a bad disk.",
         .least = 1,
         .most = 1000},
        {.key = "checkpoint.keep_best",
         .kind = OptionKind::boolean,
         .fallback = true,
         .reason = "Keep the best checkpoint too, however old; costs the room of one model. In a "
                   "federated run the best is the one with the least mean training loss of the "
                   "clients, weighted by samples: it is written before the model is evaluated. In "
                   "gossip it is the one written at the highest accuracy last measured, so not "
                   "before the first evaluation."},
    };
}

CheckpointConfig checkpoint_config(const OptionSource& source) {
    return {.keep_last = static_cast<std::size_t>(source.integer("checkpoint.keep_last")),
            .keep_best = source.flag("checkpoint.keep_best")};
}

Result<CheckpointStore> CheckpointStore::open(Disk& disk, std::string folder,
                                              CheckpointConfig config) {
    GOSSAMER_CHECK(disk.make_folders(folder));
    GOSSAMER_CHECK(disk.sync_folder(folder_of(folder)));
    CheckpointStore store(disk, std::move(folder), config);
    GOSSAMER_CHECK(store.read_commits());
    GOSSAMER_TRY(auto names, disk.list(store.folder_));
    for (const auto& name : names)
        if (name.ends_with(".tmp")) (void)disk.remove(join(store.folder_, name));
    return store;
}

Result<CheckpointStore::Entry> CheckpointStore::write_file(const CheckpointContent& content) {
    const auto& layout = *content.layout;
    // Where commits was damaged, files may be of entries that are lost.
    const auto taken = [&](const std::string& name) {
        return std::ranges::count(entries_, name, &Entry::file) > 0 ||
               (damage_seen_ && disk_->exists(join(folder_, name)));
    };
    Entry entry{.is_checkpoint = true,
                .round = content.round,
                .file = file_name(content.round, taken),
                .identity = content.identity,
                .score = content.score};
    if (entry.identity == Digest256{})
        entry.identity = tensor::model_identity(std::as_bytes(content.values), layout);
    std::vector<BlobSpec> blobs{{std::string(kRecordBlob), content.record.size()}};
    for (const auto& [name, bytes] : content.states)
        blobs.push_back({std::string(kStatePrefix) + name, bytes.size()});
    auto start = safetensors_start(layout, blobs,
                                   {{"format", "pt"},
                                    {"gossamer", "checkpoint 1"},
                                    {"run", content.run},
                                    {"round", std::to_string(content.round)},
                                    {"identity", entry.identity.to_string()},
                                    {"score", real_text(content.score)}});
    RunningDigest checksum;
    auto path = join(folder_, entry.file), temporary = path + ".tmp";
    auto write = [&]() -> Status {
        GOSSAMER_TRY(auto file, disk_->create(temporary, Create::replace));
        auto append = [&](ByteView bytes) -> Status {
            // In pieces, so that each is hashed while it is in cache.
            for (; !bytes.empty(); bytes = bytes.subspan(std::min(kPieceBytes, bytes.size()))) {
                auto piece = bytes.first(std::min(kPieceBytes, bytes.size()));
                checksum.add(piece);
                entry.file_bytes += piece.size();
                GOSSAMER_CHECK(file->append(piece));
            }
            return {};
        };
        GOSSAMER_CHECK(append(start));
        GOSSAMER_CHECK(append(std::as_bytes(content.values)));
        GOSSAMER_CHECK(append(content.record));
        for (const auto& [name, bytes] : content.states) GOSSAMER_CHECK(append(bytes));
        GOSSAMER_CHECK(file->sync());
        return disk_->rename(temporary, path);
    };
    if (auto status = write(); !status) {
        (void)disk_->remove(temporary);
        return fail(std::move(status).error());
    }
    GOSSAMER_CHECK(disk_->sync_folder(folder_));
    entry.checksum = checksum.digest();
    return entry;
}

Result<std::string> CheckpointStore::save(const CheckpointContent& content) {
    GOSSAMER_ASSERT(content.layout && content.values.size() == content.layout->parameter_count(),
                    "values and layout of a checkpoint differ");
    GOSSAMER_TRY(auto entry, write_file(content));
    auto path = join(folder_, entry.file);
    auto entries = entries_;
    std::erase_if(entries_, [](const Entry& e) { return !e.is_checkpoint; });
    if (auto status = append_entry(std::move(entry)); !status) {
        entries_ = std::move(entries);
        return fail(std::move(status).error());
    }
    prune();
    return path;
}

Status CheckpointStore::save_record(std::uint64_t round, ByteView record) {
    return append_entry({.round = round, .record = {record.begin(), record.end()}});
}

void CheckpointStore::keep_newest_alone() {
    const auto config = std::exchange(config_, {.keep_last = 1, .keep_best = false});
    prune();
    config_ = config;
}

// What goes is removed from disk; its entry stays out of the next rewriting. A failure here loses
// nothing, so it is not one.
void CheckpointStore::prune() {
    std::vector<std::size_t> checkpoints;
    for (std::size_t i = 0; i < entries_.size(); ++i)
        if (entries_[i].is_checkpoint) checkpoints.push_back(i);
    if (checkpoints.size() <= config_.keep_last) return;
    auto best = checkpoints.front();
    for (auto i : checkpoints)  // of equals the newest
        if (rank(entries_[i]) >= rank(entries_[best])) best = i;
    std::set<std::size_t> gone;
    for (std::size_t k = 0; k + config_.keep_last < checkpoints.size(); ++k)
        if (!config_.keep_best || checkpoints[k] != best) gone.insert(checkpoints[k]);
    std::vector<Entry> kept;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        if (gone.contains(i))
            (void)disk_->remove(join(folder_, entries_[i].file));
        else
            kept.push_back(std::move(entries_[i]));
    }
    entries_ = std::move(kept);
}

Result<RestoredCheckpoint> CheckpointStore::restore(const Entry& entry,
                                                    const tensor::PoolRef& pool) const {
    GOSSAMER_CHECK(check_whole(*disk_, join(folder_, entry.file), entry));
    GOSSAMER_TRY(auto out, restore_alone(entry.file, pool));
    if (out.identity != entry.identity || out.round != entry.round)
        return fail(ErrorCode::kModelIdentity, out.path + " is not the checkpoint committed");
    return out;
}

Result<RestoredCheckpoint> CheckpointStore::restore_alone(const std::string& file,
                                                          const tensor::PoolRef& pool) const {
    auto path = join(folder_, file);
    GOSSAMER_TRY(auto header, read_safetensors_header(*disk_, path));
    GOSSAMER_TRY(auto model, load_model(*disk_, path, pool));
    RestoredCheckpoint out{.round = std::strtoull(header.metadata["round"].c_str(), nullptr, 10),
                           .run = header.metadata["run"],
                           .path = path,
                           .layout = model.layout,
                           .values = std::move(model.values),
                           .identity = parse_digest(header.metadata),
                           .score = std::strtod(header.metadata["score"].c_str(), nullptr)};
    if (out.identity != tensor::model_identity(std::as_const(out.values).bytes(), *out.layout))
        return fail(ErrorCode::kModelIdentity, path + " holds another model than was written");
    for (const auto& t : header.tensors) {
        if (t.name == kRecordBlob) {
            GOSSAMER_TRY(out.record, read_blob(*disk_, path, header, t));
        } else if (t.name.starts_with(kStatePrefix)) {
            GOSSAMER_TRY(auto bytes, read_blob(*disk_, path, header, t));
            out.states.emplace_back(t.name.substr(kStatePrefix.size()), std::move(bytes));
        }
    }
    return out;
}

Result<Restored> CheckpointStore::latest(const tensor::PoolRef& pool) const {
    Restored out;
    const auto damage =
        commits_path() + " is damaged; what it said of later checkpoints is not known";
    bool newest = true;  // a record belongs to the checkpoint before it and to no older one
    for (std::size_t i = entries_.size(); i-- > 0;) {
        const auto& entry = entries_[i];
        if (damaged_at_ == i + 1) {  // what lay there may have been the checkpoint of the record
            out.skipped.push_back(damage);
            out.begun.reset();
        }
        if (!entry.is_checkpoint) {
            if (newest && !out.begun) out.begun = Restored::Begun{entry.round, entry.record};
            continue;
        }
        auto restored = restore(entry, pool);
        if (restored) {
            out.checkpoint = std::move(*restored);
            return out;
        }
        out.skipped.push_back(restored.error().to_string());
        out.begun.reset();
        newest = false;
    }
    if (damaged_at_ == 0) out.skipped.push_back(damage);
    // The commits themselves are lost: a file that proves its own identity is better than nothing.
    GOSSAMER_TRY(auto names, disk_->list(folder_));
    for (auto name = names.rbegin(); name != names.rend(); ++name) {
        if (!is_checkpoint_name(*name) || std::ranges::count(entries_, *name, &Entry::file) > 0)
            continue;
        if (auto restored = restore_alone(*name, pool)) {
            out.checkpoint = std::move(*restored);
            return out;
        }
    }
    return out;
}

}  // namespace gossamer::storage
