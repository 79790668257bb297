// summary.json: a run in one object, plain values in the order they were set.
#pragma once

#include <string>
#include <vector>

#include "records/storage/disk.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

class Summary {
public:
    void set(std::string key, FieldValue value);  // the same key again replaces
    const std::vector<Field>& fields() const { return fields_; }
    std::string to_json() const;                                       // NaN becomes null
    Status write(storage::Disk& disk, const std::string& path) const;  // atomically

private:
    std::vector<Field> fields_;
};

}  // namespace gossamer::telemetry
