// summary.json: a run in one object. Plain values in the order they were set, then tables.
#pragma once

#include <string>
#include <vector>

#include "records/storage/disk.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::telemetry {

struct SummaryTable {  // an array of objects, one a row
    std::string name;
    std::vector<std::string> columns;
    std::vector<std::vector<FieldValue>> rows;
};

class Summary {
public:
    void set(std::string key, FieldValue value);  // the same key again replaces
    void set_table(SummaryTable table);           // likewise
    const std::vector<Field>& fields() const { return fields_; }
    std::string to_json() const;                                       // NaN becomes null
    Status write(storage::Disk& disk, const std::string& path) const;  // atomically

private:
    std::vector<Field> fields_;
    std::vector<SummaryTable> tables_;
};

}  // namespace gossamer::telemetry
