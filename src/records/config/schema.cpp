#include "records/config/schema.hpp"

#include <algorithm>
#include <cctype>
#include <vector>

#include "records/config/value.hpp"

namespace gossamer::config {
namespace {

// Levenshtein with two rows; keys are short.
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

constexpr std::size_t kKeyLengthMax = 200;  // longer ones get no suggestion: the search is bounded

template <class Names>
std::string closest(std::string_view name, const Names& names) {
    if (name.size() > kKeyLengthMax) return {};
    std::size_t best = std::max<std::size_t>(2, name.size() / 4) + 1;
    std::string found;
    for (const auto& [candidate, index] : names)
        if (auto d = edit_distance(name, candidate); d < best) best = d, found = candidate;
    return found;
}

Status check_option(const Option& option) {
    if (option.key.empty() || option.key.front() == '.' || option.key.back() == '.')
        return fail(ErrorCode::kInternal, "option key \"" + option.key + "\" has an empty part");
    if (!holds_kind(option.fallback, option.kind))
        return fail(ErrorCode::kInternal, "the default of " + option.key + " is not of its kind");
    if (auto problem = out_of_bounds(option, option.fallback); !problem.empty())
        return fail(ErrorCode::kInternal, "the default of " + option.key + " " + problem);
    return {};
}

}  // namespace

std::string environment_name(std::string_view key) {
    std::string name = "GOSSAMER_";
    for (char c : key)
        name += c == '.' || c == '-'
                    ? '_'
                    : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

std::string_view section_of(std::string_view key) {
    auto dot = key.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : key.substr(0, dot);
}

std::string_view name_in_section(std::string_view key) { return key.substr(key.rfind('.') + 1); }

Result<Schema> Schema::merge(std::span<const OptionTable> tables) {
    OptionTable all;
    for (const auto& table : tables) all.insert(all.end(), table.begin(), table.end());
    // Keys without a section first, then each section whole, where it first appeared: so it is
    // printed, and so TOML needs it.
    std::map<std::string, std::size_t, std::less<>> rank;
    for (const auto& option : all) {
        auto section = std::string(section_of(option.key));
        rank.try_emplace(section, section.empty() ? 0 : rank.size() + 1);
    }
    std::ranges::stable_sort(all, {},
                             [&](const Option& o) { return rank.find(section_of(o.key))->second; });
    Schema schema;
    schema.options_ = std::move(all);
    for (std::size_t i = 0; i < schema.options_.size(); ++i) {
        const auto& option = schema.options_[i];
        GOSSAMER_CHECK(check_option(option));
        if (!schema.by_key_.emplace(option.key, i).second)
            return fail(ErrorCode::kInternal, "option " + option.key + " is declared twice");
        if (!schema.by_environment_.emplace(environment_name(option.key), i).second)
            return fail(ErrorCode::kInternal,
                        "two options share the name " + environment_name(option.key));
    }
    for (const auto& [section, r] : rank)
        for (auto part = section; !part.empty(); part = section_of(part)) {
            if (schema.by_key_.contains(part))
                return fail(ErrorCode::kInternal, part + " is both an option and a section");
            schema.sections_.emplace(part, r);
        }
    return schema;
}

std::size_t Schema::index_of(std::string_view key) const {
    auto found = by_key_.find(key);
    return found == by_key_.end() ? options_.size() : found->second;
}

const Option* Schema::find(std::string_view key) const {
    auto index = index_of(key);
    return index < options_.size() ? &options_[index] : nullptr;
}

std::string Schema::nearest(std::string_view key) const {
    // The right name in the wrong section is the commonest mistake after a slip of the finger.
    auto near = closest(key, by_key_);
    if (!near.empty()) return near;
    for (const auto& [candidate, index] : by_key_)
        if (name_in_section(candidate) == name_in_section(key)) return candidate;
    return {};
}

bool Schema::has_section(std::string_view name) const { return sections_.contains(name); }

std::string Schema::nearest_section(std::string_view name) const {
    return closest(name, sections_);
}

const Option* Schema::find_environment(std::string_view name) const {
    auto found = by_environment_.find(name);
    return found == by_environment_.end() ? nullptr : &options_[found->second];
}

std::string Schema::nearest_environment(std::string_view name) const {
    return closest(name, by_environment_);
}

}  // namespace gossamer::config
