// TOML to a flat list of values. The parser recurses along dotted keys and so do the trees it
// makes, so nesting is bounded before it sees the bytes.
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include "records/config/config.hpp"

#include <cmath>
#include <sstream>

#include <fmt/format.h>
#include <toml++/toml.h>

namespace gossamer::config {
namespace {

struct Place {
    std::uint32_t line = 1, column = 1;
};

// A key of n parts has n - 1 dots with no separator between; comments and texts are counted too,
// which harms nobody at this bound.
constexpr std::size_t kDotsMax = 8 * kKeyPartsMax;

bool nests_too_deep(std::string_view text, Place& where) {
    std::size_t dots = 0;
    bool after_dot = false;
    Place here;
    for (char c : text) {
        if (c == '\n') ++here.line, here.column = 0;
        ++here.column;
        if (c == '\n' || c == '=' || c == ',' || c == '[' || c == '{') dots = 0;
        if (c == '.' && !after_dot && ++dots > kDotsMax) return where = here, true;
        after_dot = c == '.';
    }
    return false;
}

tl::unexpected<Error> syntax(std::string_view file, Place at, std::string_view what) {
    return fail(ErrorCode::kConfigSyntax,
                fmt::format("{}:{}:{}: {}", file, at.line, at.column, what));
}

template <class T>
bool collect(const toml::array& array, std::vector<T>& out) {
    for (const auto& item : array) {
        auto value = item.value_exact<T>();
        if constexpr (std::is_same_v<T, double>)
            if (!value)
                if (auto whole = item.value_exact<std::int64_t>())
                    value = static_cast<double>(*whole);
        if (!value) return false;
        out.push_back(*value);
    }
    return true;
}

void fill(const toml::node& node, FileValue& out) {
    if (auto v = node.value_exact<bool>()) out.value = *v;
    else if (auto i = node.value_exact<std::int64_t>()) out.value = *i;
    else if (auto d = node.value_exact<double>()) out.value = *d;
    else if (auto s = node.value_exact<std::string>()) out.value = *s;
    else if (const auto* array = node.as_array()) {
        std::vector<std::string> texts;
        std::vector<double> reals;
        if (collect(*array, texts)) out.value = std::move(texts);
        else if (collect(*array, reals)) out.value = std::move(reals);
        else out.value = std::monostate{};
    } else out.value = std::monostate{};
}

bool flatten(const toml::table& table, const std::string& prefix, std::size_t depth,
             std::vector<FileValue>& out) {
    if (depth > kKeyPartsMax) return false;
    for (const auto& [key, node] : table) {
        std::string name = prefix + std::string(key.str());
        if (const auto* inner = node.as_table()) {
            if (!flatten(*inner, name + ".", depth + 1, out)) return false;
            continue;
        }
        auto at = key.source().begin;
        FileValue value{.key = std::move(name), .line = at.line, .column = at.column};
        fill(node, value);
        out.push_back(std::move(value));
    }
    return true;
}

}  // namespace

Result<std::vector<FileValue>> read_toml(ByteView bytes, std::string_view file_name) {
    auto text = as_text(bytes);
    if (text.size() > kFileBytesMax)
        return syntax(file_name, {}, fmt::format("the file has {} bytes, allowed are {}",
                                                 text.size(), kFileBytesMax));
    Place deep;
    if (nests_too_deep(text, deep)) return syntax(file_name, deep, "a key nested too deep");
    toml::parse_result parsed = toml::parse(text);
    if (!parsed) {
        auto at = parsed.error().source().begin;
        return syntax(file_name, {at.line, at.column}, parsed.error().description());
    }
    std::vector<FileValue> values;
    if (!flatten(parsed.table(), "", 1, values))
        return syntax(file_name, {}, "tables nested too deep");
    return values;
}

}  // namespace gossamer::config
