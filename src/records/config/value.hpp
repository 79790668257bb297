// One value of an option: from text, back to TOML, and within its bounds.
#pragma once

#include <string>
#include <string_view>

#include "gossamer/base/options.hpp"

namespace gossamer::config {

bool holds_kind(const OptionValue& value, OptionKind kind);
// "is 7, allowed are 1 to 5"; empty when the value is allowed.
std::string out_of_bounds(const Option& option, const OptionValue& value);
// From a flag or the environment. Lists are separated by commas. Errors: kConfigType.
Result<OptionValue> value_from_text(const Option& option, std::string_view text);
// As TOML that reads back to the same bits.
std::string value_to_toml(const Option& option, const OptionValue& value);
// "a whole number", "a duration such as \"5s\"".
std::string_view form_of(OptionKind kind);
std::string bounds_text(const Option& option);  // "1 to 5 steps", "a | b | c", "" when free

bool valid_utf8(std::string_view text);
std::string toml_string(std::string_view text);  // quoted and escaped

}  // namespace gossamer::config
