// The one schema of peers, aggregator and simulations: the option tables of all rooms, merged.
//
// A key is "section.name" or "section.part.name". Its environment name is GOSSAMER_ + the key in
// capitals with dots as underscores. Two options with the same key or environment name, a key that
// is also a section, or a default outside its own bounds are refused when the schema is made.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "gossamer/base/options.hpp"

namespace gossamer::config {

class Schema {
public:
    static Result<Schema> merge(std::span<const OptionTable> tables);

    const OptionTable& options() const { return options_; }  // sections together, as declared
    const Option* find(std::string_view key) const;          // nullptr when absent
    std::size_t index_of(std::string_view key) const;        // options().size() when absent
    bool has_section(std::string_view name) const;
    // The closest key for "did you mean", empty when nothing is close.
    std::string nearest(std::string_view key) const;
    std::string nearest_section(std::string_view name) const;
    // By environment name: nullptr when absent.
    const Option* find_environment(std::string_view name) const;
    // Whether a misspelt variable was probably meant for us: its section exists, or it is close.
    std::string nearest_environment(std::string_view name) const;

private:
    OptionTable options_;
    std::map<std::string, std::size_t, std::less<>> by_key_, by_environment_, sections_;
};
using SchemaRef = std::shared_ptr<const Schema>;

std::string environment_name(std::string_view key);
std::string_view section_of(std::string_view key);  // "" when the key has none
std::string_view name_in_section(std::string_view key);

}  // namespace gossamer::config
