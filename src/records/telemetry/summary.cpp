#include "records/telemetry/summary.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "gossamer/base/assert.hpp"

namespace gossamer::telemetry {
namespace {

nlohmann::ordered_json json_of(const FieldValue& value) {
    return std::visit([](const auto& v) { return nlohmann::ordered_json(v); }, value);
}

}  // namespace

void Summary::set(std::string key, FieldValue value) {
    auto found = std::ranges::find(fields_, key, &Field::key);
    if (found == fields_.end())
        fields_.push_back({std::move(key), std::move(value)});
    else
        found->value = std::move(value);
}

void Summary::set_table(SummaryTable table) {
    for (const auto& row : table.rows)
        GOSSAMER_ASSERT(row.size() == table.columns.size(), "a row has one value a column");
    auto found = std::ranges::find(tables_, table.name, &SummaryTable::name);
    if (found == tables_.end())
        tables_.push_back(std::move(table));
    else
        *found = std::move(table);
}

std::string Summary::to_json() const {
    nlohmann::ordered_json root{{"schema_version", 1}};
    for (const auto& field : fields_) root[field.key] = json_of(field.value);
    for (const auto& table : tables_) {
        auto& rows = root[table.name] = nlohmann::ordered_json::array();
        for (const auto& row : table.rows) {
            nlohmann::ordered_json object;
            for (std::size_t i = 0; i < row.size(); ++i) object[table.columns[i]] = json_of(row[i]);
            rows.push_back(std::move(object));
        }
    }
    return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Status Summary::write(storage::Disk& disk, const std::string& path) const {
    auto text = to_json();
    ByteView parts[] = {as_bytes(text)};
    return disk.replace_file(path, parts);
}

}  // namespace gossamer::telemetry
