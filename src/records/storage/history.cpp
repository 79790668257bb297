#include "records/storage/history.hpp"

#include <cmath>
#include <limits>

#include <sqlite3.h>

namespace gossamer::storage {
namespace {

constexpr const char* kSchema = R"(
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA busy_timeout = 2000;
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
INSERT OR IGNORE INTO meta VALUES ('schema_version', '1');
CREATE TABLE IF NOT EXISTS rounds (
  round INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, mode TEXT NOT NULL,
  loss REAL, accuracy REAL, distance REAL,
  accepted INTEGER NOT NULL, late INTEGER NOT NULL, refused INTEGER NOT NULL,
  received_bytes INTEGER NOT NULL, elapsed_seconds REAL NOT NULL, model TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS members (
  id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, peer TEXT NOT NULL,
  was TEXT NOT NULL, became TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS metrics (
  id INTEGER PRIMARY KEY, wall_ns INTEGER NOT NULL, round INTEGER NOT NULL,
  name TEXT NOT NULL, value REAL) STRICT;
CREATE INDEX IF NOT EXISTS metrics_by_name ON metrics (name, round);
)";
constexpr const char* kInsertRound =
    "INSERT INTO rounds VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (round) DO UPDATE SET "
    "wall_ns = excluded.wall_ns, mode = excluded.mode, loss = excluded.loss, "
    "accuracy = coalesce(excluded.accuracy, accuracy), distance = excluded.distance, "
    "accepted = excluded.accepted, late = excluded.late, refused = excluded.refused, "
    "received_bytes = excluded.received_bytes, elapsed_seconds = excluded.elapsed_seconds, "
    "model = excluded.model";
constexpr const char* kSetAccuracy =
    "INSERT INTO rounds VALUES (?,?,'',NULL,?,NULL,0,0,0,0,0,'') ON CONFLICT (round) DO UPDATE "
    "SET accuracy = excluded.accuracy";
constexpr const char* kInsertMember =
    "INSERT INTO members (wall_ns, peer, was, became, reason) VALUES (?,?,?,?,?)";
constexpr const char* kInsertMetric =
    "INSERT INTO metrics (wall_ns, round, name, value) VALUES (?,?,?,?)";

tl::unexpected<Error> database_error(sqlite3* db, const std::string& doing) {
    auto code = ErrorCode::kDiskFailed;
    switch (db ? sqlite3_errcode(db) & 0xff : SQLITE_NOMEM) {
        case SQLITE_FULL: code = ErrorCode::kDiskFull; break;
        case SQLITE_CANTOPEN:
        case SQLITE_READONLY:
        case SQLITE_PERM: code = ErrorCode::kDiskPermission; break;
        default: break;
    }
    return fail(code, doing + ": " + (db ? sqlite3_errmsg(db) : "no memory"));
}

std::int64_t integer(std::uint64_t value) { return static_cast<std::int64_t>(value); }

class Statement {
public:
    Statement(sqlite3* db, const char* text) {
        if (sqlite3_prepare_v2(db, text, -1, &statement_, nullptr) != SQLITE_OK)
            statement_ = nullptr;
    }
    Statement(const Statement&) = delete;
    Statement& operator=(const Statement&) = delete;
    ~Statement() { sqlite3_finalize(statement_); }
    explicit operator bool() const { return statement_ != nullptr; }

    Statement& operator<<(std::int64_t value) {
        sqlite3_bind_int64(statement_, ++bound_, value);
        return *this;
    }
    Statement& operator<<(double value) {  // NaN binds as NULL
        sqlite3_bind_double(statement_, ++bound_, value);
        return *this;
    }
    Statement& operator<<(const std::string& value) {
        sqlite3_bind_text(statement_, ++bound_, value.data(), static_cast<int>(value.size()),
                          SQLITE_TRANSIENT);
        return *this;
    }
    bool run() {
        bool done = sqlite3_step(statement_) == SQLITE_DONE;
        sqlite3_reset(statement_);
        bound_ = 0;
        return done;
    }
    bool next() { return sqlite3_step(statement_) == SQLITE_ROW; }

    std::int64_t integer_at(int column) { return sqlite3_column_int64(statement_, column); }
    std::uint64_t count_at(int column) { return static_cast<std::uint64_t>(integer_at(column)); }
    double real_at(int column) {
        if (sqlite3_column_type(statement_, column) == SQLITE_NULL)
            return std::numeric_limits<double>::quiet_NaN();
        return sqlite3_column_double(statement_, column);
    }
    std::string text_at(int column) {
        auto text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
        return {text,
                text ? static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)) : 0};
    }

private:
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
};

struct CloseDatabase {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};

// Runs one query and makes a row of each line.
template <class Row, class Make>
Result<std::vector<Row>> read_table(const std::string& path, const char* query,
                                    const std::string* parameter, Make make) {
    sqlite3* raw = nullptr;
    int opened = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READONLY, nullptr);
    std::unique_ptr<sqlite3, CloseDatabase> db(raw);
    if (opened != SQLITE_OK) return fail(ErrorCode::kRunFolder, path + " cannot be opened");
    sqlite3_busy_timeout(raw, 2000);
    Statement statement(raw, query);
    if (!statement) return database_error(raw, path);
    if (parameter) statement << *parameter;
    std::vector<Row> rows;
    while (statement.next()) rows.push_back(make(statement));
    if (sqlite3_errcode(raw) != SQLITE_DONE) return database_error(raw, path);
    return rows;
}

}  // namespace

void HistoryWriter::Closer::operator()(sqlite3* db) const { sqlite3_close_v2(db); }

Result<HistoryWriter> HistoryWriter::open(const std::string& path) {
    sqlite3* raw = nullptr;
    int opened =
        sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
    Database db(raw);
    if (opened != SQLITE_OK || sqlite3_exec(raw, kSchema, nullptr, nullptr, nullptr) != SQLITE_OK)
        return database_error(raw, path);
    return HistoryWriter(std::move(db));
}

HistoryWriter::HistoryWriter(HistoryWriter&&) noexcept = default;
HistoryWriter& HistoryWriter::operator=(HistoryWriter&&) noexcept = default;
HistoryWriter::~HistoryWriter() {
    if (db_) (void)flush();
}

bool HistoryWriter::has_room() {
    if (waiting_count() < kRowsMax) return true;
    ++lost_;
    return false;
}

void HistoryWriter::add(RoundRow row) {
    if (has_room()) rounds_.push_back(std::move(row));
}
void HistoryWriter::set_accuracy(std::uint64_t round, WallTime wall, double accuracy) {
    if (has_room()) accuracies_.push_back({.round = round, .wall = wall, .accuracy = accuracy});
}
void HistoryWriter::add(MemberRow row) {
    if (has_room()) members_.push_back(std::move(row));
}
void HistoryWriter::add(MetricRow row) {
    if (has_room()) metrics_.push_back(std::move(row));
}

Status HistoryWriter::write_rows() {
    Statement round(db_.get(), kInsertRound), accuracy(db_.get(), kSetAccuracy),
        member(db_.get(), kInsertMember), metric(db_.get(), kInsertMetric);
    if (!round || !accuracy || !member || !metric) return database_error(db_.get(), "history");
    bool whole = true;
    for (const auto& r : rounds_)
        whole = whole &&
                (round << integer(r.round) << r.wall.ns << r.mode << r.loss << r.accuracy
                       << r.distance << integer(r.accepted) << integer(r.late) << integer(r.refused)
                       << integer(r.received_bytes) << r.elapsed_seconds << r.model)
                    .run();
    for (const auto& r : accuracies_)
        whole = whole && (accuracy << integer(r.round) << r.wall.ns << r.accuracy).run();
    for (const auto& m : members_)
        whole = whole && (member << m.wall.ns << m.peer << m.from << m.to << m.reason).run();
    for (const auto& m : metrics_)
        whole = whole && (metric << m.wall.ns << integer(m.round) << m.name << m.value).run();
    if (!whole) return database_error(db_.get(), "history");
    return {};
}

Status HistoryWriter::flush() {
    if (waiting_count() == 0) return {};
    auto run = [&](const char* text) {
        return sqlite3_exec(db_.get(), text, nullptr, nullptr, nullptr) == SQLITE_OK;
    };
    if (!run("BEGIN")) return database_error(db_.get(), "history");
    auto status = write_rows();
    if (status && !run("COMMIT")) status = database_error(db_.get(), "history");
    if (!status) {
        run("ROLLBACK");
        return status;
    }
    rounds_.clear(), accuracies_.clear(), members_.clear(), metrics_.clear();
    return {};
}

Result<std::vector<RoundRow>> read_rounds(const std::string& path) {
    return read_table<RoundRow>(
        path,
        "SELECT round, wall_ns, mode, loss, accuracy, distance, accepted, late, refused, "
        "received_bytes, elapsed_seconds, model FROM rounds ORDER BY round",
        nullptr, [](Statement& s) {
            return RoundRow{.round = s.count_at(0),
                            .wall = {s.integer_at(1)},
                            .mode = s.text_at(2),
                            .loss = s.real_at(3),
                            .accuracy = s.real_at(4),
                            .distance = s.real_at(5),
                            .accepted = s.count_at(6),
                            .late = s.count_at(7),
                            .refused = s.count_at(8),
                            .received_bytes = s.count_at(9),
                            .elapsed_seconds = s.real_at(10),
                            .model = s.text_at(11)};
        });
}

Result<std::vector<MemberRow>> read_members(const std::string& path) {
    return read_table<MemberRow>(
        path, "SELECT wall_ns, peer, was, became, reason FROM members ORDER BY id", nullptr,
        [](Statement& s) {
            return MemberRow{
                {s.integer_at(0)}, s.text_at(1), s.text_at(2), s.text_at(3), s.text_at(4)};
        });
}

Result<std::vector<MetricRow>> read_metrics(const std::string& path, const std::string& name) {
    return read_table<MetricRow>(
        path, "SELECT wall_ns, round, name, value FROM metrics WHERE name = ? ORDER BY id", &name,
        [](Statement& s) {
            return MetricRow{{s.integer_at(0)}, s.count_at(1), s.text_at(2), s.real_at(3)};
        });
}

}  // namespace gossamer::storage
