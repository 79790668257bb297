// The report of a run folder that a daemon left, read from its metrics.jsonl and summary.json.
#pragma once

#include "records/storage/run_folder.hpp"
#include "records/telemetry/report.hpp"

namespace gossamer::telemetry {

// What is missing or damaged in the folder is left out, with a note in the report. Reads at most
// 512 MiB of metrics, line by line; a longer file is reported up to there, with a note.
Report report_of_folder(const storage::Disk& disk, const storage::RunFolder& folder);

}  // namespace gossamer::telemetry
