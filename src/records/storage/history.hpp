// history.sqlite: a run's rounds, members and metrics as tables, for questions afterwards.
//
// One writer a file, owned by one thread at a time (never the core's). Rows are collected and
// written by flush() in one transaction; a reader never sees half a batch (WAL). When the disk
// fails, rows are dropped and counted.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gossamer/base/result.hpp"
#include "gossamer/base/time.hpp"

struct sqlite3;

namespace gossamer::storage {

struct RoundRow {
    std::uint64_t round = 0;
    WallTime wall;
    std::string mode;                             // "gossip", "federated"
    double loss = 0, accuracy = 0, distance = 0;  // NaN = not measured, NULL in the table
    std::uint64_t accepted = 0, late = 0, refused = 0, received_bytes = 0;
    double elapsed_seconds = 0;
    std::string model;  // identity, hex; empty = none
};
struct MemberRow {
    WallTime wall;
    std::string peer, from, to, reason;
};
struct MetricRow {
    WallTime wall;
    std::uint64_t round = 0;
    std::string name;  // "loss/train"
    double value = 0;
};

class HistoryWriter {
public:
    static constexpr std::size_t kRowsMax = 65'536;  // waiting; more are dropped and counted

    // Opens or makes the file. Errors: kDiskFailed, kDiskPermission, kDiskFull.
    static Result<HistoryWriter> open(const std::string& path);
    HistoryWriter(HistoryWriter&&) noexcept;
    HistoryWriter& operator=(HistoryWriter&&) noexcept;
    ~HistoryWriter();  // flushes

    void add(RoundRow row);  // the same round again replaces all of its row but the accuracy
    // Completes the round's row, or makes it when there is none yet.
    void set_accuracy(std::uint64_t round, WallTime wall, double accuracy);
    void add(MemberRow row);
    void add(MetricRow row);
    std::size_t waiting_count() const {
        return rounds_.size() + accuracies_.size() + members_.size() + metrics_.size();
    }
    Status flush();  // on failure the rows stay, for the next try, up to kRowsMax
    std::uint64_t lost_count() const { return lost_; }

private:
    struct Closer {
        void operator()(sqlite3* db) const;
    };
    using Database = std::unique_ptr<sqlite3, Closer>;
    explicit HistoryWriter(Database db) : db_(std::move(db)) {}
    bool has_room();
    Status write_rows();
    Database db_;
    std::vector<RoundRow> rounds_, accuracies_;
    std::vector<MemberRow> members_;
    std::vector<MetricRow> metrics_;
    std::uint64_t lost_ = 0;
};

// Reads a whole table, in the order written (rounds: by round). Errors: kRunFolder, kDiskFailed.
Result<std::vector<RoundRow>> read_rounds(const std::string& path);
Result<std::vector<MemberRow>> read_members(const std::string& path);
Result<std::vector<MetricRow>> read_metrics(const std::string& path, const std::string& name);

}  // namespace gossamer::storage
