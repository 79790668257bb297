// Checkpoints: what a run needs to go on after a crash.
//
// A checkpoint is one safetensors file, readable by the usual Python readers: the model's tensors,
// then each blob (strategy, optimiser, the core's own record) as bytes, and the metadata as text.
// It is written to a temporary file, synced, renamed, the folder synced, and then an entry in
// `commits` is appended and synced. A round about to be distributed is such an entry alone, so it
// costs one sync. Whatever the moment of a crash, latest() finds the newest whole checkpoint, and
// the entries after it.
//
// commits: entries of u32 length, u64 XXH3 of the body, body. What follows the first entry that is
// not whole is ignored and rewritten at the next opening.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gossamer/base/options.hpp"
#include "records/storage/safetensors.hpp"

namespace gossamer::storage {

using NamedBlob = std::pair<std::string, Bytes>;

struct CheckpointContent {  // views: nothing is copied but what fits a header
    std::uint64_t round = 0;
    std::string run;
    const tensor::Layout* layout = nullptr;
    std::span<const float> values;
    Digest256 identity;  // of the model; computed when zero
    double score = 0;    // higher is better; NaN: not known, never the best
    Bytes record;
    std::vector<NamedBlob> states;
};

struct RestoredCheckpoint {
    std::uint64_t round = 0;
    std::string run, path;
    tensor::LayoutRef layout;
    tensor::Buffer values;
    Digest256 identity;
    double score = 0;
    Bytes record;
    std::vector<NamedBlob> states;
};
struct Restored {
    std::optional<RestoredCheckpoint> checkpoint;
    // The last record written alone after that checkpoint: a round begun and not finished.
    struct Begun {
        std::uint64_t round = 0;
        Bytes record;
    };
    std::optional<Begun> begun;
    std::vector<std::string> skipped;  // what was damaged, with the reason
};

struct CheckpointConfig {
    std::size_t keep_last = 3;
    bool keep_best = true;
};
OptionTable checkpoint_options();
CheckpointConfig checkpoint_config(const OptionSource& source);

class CheckpointStore {
public:
    // Makes the folder when needed. One writer a folder.
    static Result<CheckpointStore> open(Disk& disk, std::string folder,
                                        CheckpointConfig config = {});

    // Returns the path. When it fails, all earlier checkpoints are as they were.
    Result<std::string> save(const CheckpointContent& content);
    void keep_newest_alone();  // all older checkpoints go, to make room
    // One appended and synced entry; becomes void with the next save().
    Status save_record(std::uint64_t round, ByteView record);
    // Verifies checksum and identity. An error only when the disk cannot be read at all;
    // without any checkpoint the result is empty.
    Result<Restored> latest(const tensor::PoolRef& pool) const;

    struct Entry {  // of `commits`
        bool is_checkpoint = false;
        std::uint64_t round = 0;
        std::string file;  // within the folder
        std::uint64_t file_bytes = 0;
        Digest128 checksum;
        Digest256 identity;
        double score = 0;
        Bytes record;  // when not a checkpoint
    };
    const std::vector<Entry>& entries() const { return entries_; }

private:
    CheckpointStore(Disk& disk, std::string folder, CheckpointConfig config)
        : disk_(&disk), folder_(std::move(folder)), config_(config) {}
    // commits.cpp
    std::string commits_path() const;
    Status read_commits();
    Status rewrite_commits();
    Status append_entry(Entry entry);
    // checkpoint.cpp
    Result<Entry> write_file(const CheckpointContent& content);
    Result<RestoredCheckpoint> restore(const Entry& entry, const tensor::PoolRef& pool) const;
    Result<RestoredCheckpoint> restore_alone(const std::string& file,
                                             const tensor::PoolRef& pool) const;
    void prune();

    Disk* disk_;
    std::string folder_;
    CheckpointConfig config_;
    std::vector<Entry> entries_;
    std::optional<std::size_t> damaged_at_;  // of commits as it was found: before so many entries
    bool damage_seen_ = false;
    DiskFileRef commits_;
    std::uint64_t commits_bytes_ = 0, rewrite_at_ = 0;
};

}  // namespace gossamer::storage
