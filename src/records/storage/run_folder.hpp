// The folder a run leaves: runs/<name>-<n>/
//
//   config.toml        the resolved configuration, every value with its source
//   metrics.jsonl      one JSON object an event
//   history.sqlite     rounds, members and metrics as tables
//   events.out.tfevents.*   for TensorBoard
//   checkpoints/       safetensors files and `commits`
//   log                what was logged
//   lock               locked by the daemon that writes here; who only reads need not ask
//   summary.json       the run in one object; written at its end and now and then before
//   final.safetensors  the last model
//   report.html        the run in charts; made at its end or by `gossamer run show --html`
//
// Records never stop a run: when the folder cannot be written, what is lost is counted, told once.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "gossamer/base/time.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::storage {

class RunFolder {
public:
    // Makes <root>/<name>-<n> with n one above the largest there. Errors: those of the disk, with a
    // hint at run.folder.
    static Result<RunFolder> create(Disk& disk, const std::string& root, std::string_view name);
    // The newest folder of this name. Errors: kRunFolder when there is none.
    static Result<RunFolder> newest(const Disk& disk, const std::string& root,
                                    std::string_view name);
    // All folders of this name, the newest first; none when `root` cannot be read.
    static std::vector<RunFolder> all(const Disk& disk, const std::string& root,
                                      std::string_view name);
    // An existing one, by path. Errors: kRunFolder.
    static Result<RunFolder> open(const Disk& disk, const std::string& path);

    const std::string& path() const { return path_; }
    std::string name() const;  // "demo-3"
    std::string config() const { return join(path_, "config.toml"); }
    std::string metrics() const { return join(path_, "metrics.jsonl"); }
    std::string history() const { return join(path_, "history.sqlite"); }
    std::string events(WallTime start, std::string_view host) const;
    std::string checkpoints() const { return join(path_, "checkpoints"); }
    std::string log() const { return join(path_, "log"); }
    std::string lock() const { return join(path_, "lock"); }
    std::string summary() const { return join(path_, "summary.json"); }
    std::string report() const { return join(path_, "report.html"); }
    std::string final_model() const { return join(path_, "final.safetensors"); }

private:
    explicit RunFolder(std::string path) : path_(std::move(path)) {}
    std::string path_;
};

// What `gossamer run list` prints of one folder.
struct RunOverview {
    std::string name, path;
    std::string state;  // "running", "finished", "given up", "stopped"; "unknown" without a summary
    std::map<std::string, std::string> facts;  // the plain values of summary.json, as text
    std::set<std::string> texts;  // those that are texts there, also where they look like numbers
    std::string fact(const std::string& name) const;  // empty when there is no such
};
// Folders that are no run folders are passed over. Oldest first.
Result<std::vector<RunOverview>> list_runs(const Disk& disk, const std::string& root);
// Errors: kRunFolder when there is no summary.json or it is damaged, and those of the disk.
Result<RunOverview> read_summary(const Disk& disk, const RunFolder& folder);
// The same, with the state "unknown" in place of an error.
RunOverview overview(const Disk& disk, const RunFolder& folder);

// Letters, digits, '-', '_', '.' stay, all else becomes '-'; never empty, at most 64 characters.
std::string file_name_of(std::string_view name);

// Appends records and never fails its caller: a failed write is counted, the next one tries again.
class RecordFile {
public:
    RecordFile(Disk& disk, std::string path) : disk_(&disk), path_(std::move(path)) {}
    // `line` is without its line break. What a crash or a full disk left of a line is ended first.
    void append_line(std::string_view line);
    void append(ByteView record);
    // A write of append() was cut short: what follows in this file cannot be told apart.
    bool torn() const { return torn_; }
    std::uint64_t lost_count() const { return lost_; }
    const Error& first_error() const { return error_; }  // when lost_count() > 0

private:
    Status open();
    bool ends_torn() const;
    void count(Status status);
    Disk* disk_;
    std::string path_;
    DiskFileRef file_;
    bool torn_ = false;
    std::uint64_t lost_ = 0;
    Error error_;
};

}  // namespace gossamer::storage
