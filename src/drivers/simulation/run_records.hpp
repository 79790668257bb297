// The run folder of a simulation: the same files as a daemon leaves. Events have virtual times,
// counted from 2026-01-01; what summary.json says of start and end is real time.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "drivers/simulation/simulation.hpp"
#include "records/storage/safetensors.hpp"
#include "records/telemetry/recorder.hpp"

namespace gossamer::simulation {

class RunRecords {
public:
    // Makes <root>/<run>-<n>. What cannot be written does not stop the run: finish() tells of it.
    // `clock`: when it really is.
    RunRecords(storage::Disk& disk, const std::string& root, Simulation& simulation,
               std::function<WallTime()> clock);
    ~RunRecords();

    const std::string& path() const { return path_; }
    // Passes on what became complete since the last call.
    void follow();
    // The first error of all that was written, model and report too.
    Status finish(const Outcome& outcome);

private:
    void write_rows(std::uint64_t before);
    void note_traffic(std::uint64_t round);
    WallTime wall(Instant at) const;

    storage::Disk& disk_;
    Simulation& simulation_;
    std::string path_;
    telemetry::Log log_;
    std::unique_ptr<storage::RecordFile> log_file_;
    std::unique_ptr<telemetry::Recorder> recorder_;
    std::uint64_t next_row_ = 0;
};

}  // namespace gossamer::simulation
