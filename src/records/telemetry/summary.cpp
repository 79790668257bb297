#include "records/telemetry/summary.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

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

std::string Summary::to_json() const {
    nlohmann::ordered_json root{{"schema_version", 1}};
    for (const auto& field : fields_) root[field.key] = json_of(field.value);
    return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

Status Summary::write(storage::Disk& disk, const std::string& path) const {
    auto text = to_json();
    ByteView parts[] = {as_bytes(text)};
    return disk.replace_file(path, parts);
}

}  // namespace gossamer::telemetry
