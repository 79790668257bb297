// TensorBoard's event files, written without TensorFlow.
//
// A file is a row of records: u64 length, masked CRC-32C of those 8 bytes, payload, masked CRC-32C
// of the payload; each payload a protobuf `Event` (wall_time = 1, step = 2, file_version = 3,
// summary = 5 {value = 1 {tag = 1, simple_value = 2}}), encoded by hand.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/time.hpp"
#include "records/storage/run_folder.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

std::uint32_t crc32c(ByteView bytes);
std::uint32_t masked_crc32c(ByteView bytes);
Bytes tensorboard_record(ByteView payload);
Bytes tensorboard_version_event(WallTime wall);
Bytes tensorboard_scalars_event(WallTime wall, std::uint64_t step, std::span<const Metric> metrics);

class TensorBoardWriter {
public:
    TensorBoardWriter(storage::Disk& disk, std::string path)
        : disk_(disk), path_(std::move(path)) {}
    void add(WallTime wall, std::span<const Metric> metrics);  // of one round or of several
    std::uint64_t lost_count() const { return lost_before_ + (file_ ? file_->lost_count() : 0); }
    Error first_error() const {
        return file_ && file_->lost_count() ? file_->first_error() : error_;
    }

private:
    static constexpr unsigned kFilesMax = 16;
    void append(ByteView payload, WallTime wall);
    storage::Disk& disk_;
    std::string path_;
    std::optional<storage::RecordFile> file_;
    unsigned file_number_ = 0;  // a torn file is left behind, and the next one begun
    std::uint64_t lost_before_ = 0;
    Error error_;
};

}  // namespace gossamer::telemetry
