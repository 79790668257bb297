#include "records/config/value.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace gossamer::config {
namespace {

std::string exact_duration(Duration d) {
    struct Unit {
        std::int64_t ns;
        const char* name;
    };
    constexpr Unit units[] = {{86400'000'000'000, "d"}, {3600'000'000'000, "h"},
                              {60'000'000'000, "min"},  {1'000'000'000, "s"},
                              {1'000'000, "ms"},        {1'000, "us"}};
    if (d.count() == 0) return "0s";
    for (const auto& unit : units)
        if (d.count() % unit.ns == 0) return fmt::format("{}{}", d.count() / unit.ns, unit.name);
    return fmt::format("{}ns", d.count());
}

std::string exact_bytes(std::int64_t bytes) {
    constexpr const char* names[] = {"", "KiB", "MiB", "GiB", "TiB"};
    std::size_t power = 0;
    while (power < 4 && bytes != 0 && bytes % 1024 == 0) bytes /= 1024, ++power;
    // A plain TOML integer stays exact beyond 2^53.
    if (power == 0) return fmt::format("{}", bytes);
    return fmt::format("\"{}{}\"", bytes, names[power]);
}

std::string real_text(double value) {
    auto text = fmt::format("{}", value);
    if (text.find_first_of(".eni") == std::string::npos) text += ".0";
    return text;
}

// Bounds are numbers in the option's own unit: seconds for durations.
std::string number_bounds_problem(const Option& option, double value) {
    if (value >= option.least && value <= option.most) return {};
    return fmt::format(
        "is {}, allowed: {}",
        option.kind == OptionKind::duration ? fmt::format("{}s", value) : fmt::format("{}", value),
        bounds_text(option));
}

std::string choice_problem(const Option& option, const std::string& value) {
    if (option.choices.empty() || std::ranges::count(option.choices, value) > 0) return {};
    return "is \"" + value + "\", allowed: " + bounds_text(option);
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

template <class T>
bool parse_number(std::string_view text, T& value) {
    if (!text.empty() && text.front() == '+') text.remove_prefix(1);
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc{} && end == text.data() + text.size();
}

// a, b or as in a file ["a", "b"]: in quotes a comma is a comma.
std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> parts;
    text = trimmed(text);
    if (text.starts_with('[') && text.ends_with(']'))
        text = trimmed(text.substr(1, text.size() - 2));
    if (text.empty()) return parts;
    std::string part;
    char quote = 0;
    for (char c : text) {
        if (quote == 0 && c == ',') {
            parts.emplace_back(trimmed(std::exchange(part, {})));
        } else if (c == quote) {
            quote = 0;
        } else if (quote == 0 && (c == '"' || c == '\'')) {
            quote = c;
        } else {
            part += c;
        }
    }
    parts.emplace_back(trimmed(part));
    return parts;
}

tl::unexpected<Error> wrong_form(const Option& option, std::string_view text) {
    return fail(ErrorCode::kConfigType, fmt::format("{} is {}, not {}", option.key,
                                                    toml_string(text), form_of(option.kind)));
}

Result<OptionValue> reals_from_text(const Option& option, std::string_view text) {
    std::vector<double> values;
    for (const auto& part : split_list(text)) {
        double value = 0;
        if (!parse_number(std::string_view(part), value) || !std::isfinite(value))
            return wrong_form(option, text);
        values.push_back(value);
    }
    return values;
}

Result<OptionValue> boolean_from_text(const Option& option, std::string_view text) {
    for (auto yes : {"true", "1", "yes", "on"})
        if (text == yes) return OptionValue{true};
    for (auto no : {"false", "0", "no", "off"})
        if (text == no) return OptionValue{false};
    return wrong_form(option, text);
}

}  // namespace

bool holds_kind(const OptionValue& value, OptionKind kind) {
    switch (kind) {
        case OptionKind::boolean: return std::holds_alternative<bool>(value);
        case OptionKind::integer:
        case OptionKind::bytes: return std::holds_alternative<std::int64_t>(value);
        case OptionKind::real: return std::holds_alternative<double>(value);
        case OptionKind::text:
        case OptionKind::choice: return std::holds_alternative<std::string>(value);
        case OptionKind::duration: return std::holds_alternative<Duration>(value);
        case OptionKind::text_list: return std::holds_alternative<std::vector<std::string>>(value);
        case OptionKind::real_list: return std::holds_alternative<std::vector<double>>(value);
    }
    return false;
}

std::string_view form_of(OptionKind kind) {
    switch (kind) {
        case OptionKind::boolean: return "true or false";
        case OptionKind::integer: return "a whole number";
        case OptionKind::real: return "a number";
        case OptionKind::text: return "a text in quotes";
        case OptionKind::duration: return "a duration such as \"5s\" or \"250ms\"";
        case OptionKind::bytes: return "a size such as \"64MiB\"";
        case OptionKind::text_list: return "a list of texts";
        case OptionKind::real_list: return "a list of numbers";
        case OptionKind::choice: return "one of the choices in quotes";
    }
    return "";
}

std::string bounds_text(const Option& option) {
    if (!option.choices.empty()) return fmt::format("{}", fmt::join(option.choices, " | "));
    auto unit = option.kind == OptionKind::duration ? std::string("s") : option.unit;
    if (!unit.empty()) unit.insert(0, " ");
    bool low = option.least > -1e299, high = option.most < 1e299;
    if (low && high) return fmt::format("{} to {}{}", option.least, option.most, unit);
    if (low) return fmt::format("at least {}{}", option.least, unit);
    if (high) return fmt::format("at most {}{}", option.most, unit);
    return {};
}

std::string out_of_bounds(const Option& option, const OptionValue& value) {
    if (auto v = std::get_if<std::int64_t>(&value))
        return number_bounds_problem(option, static_cast<double>(*v));
    if (auto v = std::get_if<double>(&value)) return number_bounds_problem(option, *v);
    if (auto v = std::get_if<Duration>(&value)) return number_bounds_problem(option, seconds(*v));
    if (auto v = std::get_if<std::string>(&value)) return choice_problem(option, *v);
    if (auto v = std::get_if<std::vector<std::string>>(&value))
        for (const auto& one : *v)
            if (auto problem = choice_problem(option, one); !problem.empty()) return problem;
    if (auto v = std::get_if<std::vector<double>>(&value))
        for (double one : *v)
            if (auto problem = number_bounds_problem(option, one); !problem.empty()) return problem;
    return {};
}

Result<OptionValue> value_from_text(const Option& option, std::string_view text) {
    if (!valid_utf8(text)) return fail(ErrorCode::kConfigType, option.key + " is not valid UTF-8");
    switch (option.kind) {
        case OptionKind::boolean: return boolean_from_text(option, trimmed(text));
        case OptionKind::integer: {
            std::int64_t value = 0;
            if (!parse_number(trimmed(text), value)) return wrong_form(option, text);
            return value;
        }
        case OptionKind::real: {
            double value = 0;
            if (!parse_number(trimmed(text), value) || !std::isfinite(value))
                return wrong_form(option, text);
            return value;
        }
        case OptionKind::duration: {
            auto value = parse_duration(trimmed(text));
            if (!value) return wrong_form(option, text);
            return *value;
        }
        case OptionKind::bytes: {
            auto value = parse_bytes(trimmed(text));
            if (!value) return wrong_form(option, text);
            return *value;
        }
        case OptionKind::text_list: return split_list(text);
        case OptionKind::real_list: return reals_from_text(option, text);
        case OptionKind::text:
        case OptionKind::choice: break;
    }
    return std::string(text);
}

std::string value_to_toml(const Option& option, const OptionValue& value) {
    switch (option.kind) {
        case OptionKind::boolean: return std::get<bool>(value) ? "true" : "false";
        case OptionKind::integer: return fmt::format("{}", std::get<std::int64_t>(value));
        case OptionKind::real: return real_text(std::get<double>(value));
        case OptionKind::duration: return toml_string(exact_duration(std::get<Duration>(value)));
        case OptionKind::bytes: return exact_bytes(std::get<std::int64_t>(value));
        case OptionKind::text:
        case OptionKind::choice: return toml_string(std::get<std::string>(value));
        case OptionKind::text_list: {
            std::vector<std::string> parts;
            for (const auto& one : std::get<std::vector<std::string>>(value))
                parts.push_back(toml_string(one));
            return fmt::format("[{}]", fmt::join(parts, ", "));
        }
        case OptionKind::real_list: {
            std::vector<std::string> parts;
            for (double one : std::get<std::vector<double>>(value)) parts.push_back(real_text(one));
            return fmt::format("[{}]", fmt::join(parts, ", "));
        }
    }
    return "\"\"";
}

bool valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        auto lead = static_cast<unsigned char>(text[i]);
        std::size_t more = lead < 0x80 ? 0 : lead >> 5 == 6 ? 1 : lead >> 4 == 14 ? 2 : 3;
        if (lead >= 0x80 && (lead < 0xc2 || lead > 0xf4)) return false;
        if (text.size() - i <= more) return false;
        std::uint32_t point = more == 0 ? lead : lead & (0x3fu >> more);
        for (std::size_t k = 1; k <= more; ++k) {
            auto next = static_cast<unsigned char>(text[i + k]);
            if (next >> 6 != 2) return false;
            point = point << 6 | (next & 0x3fu);
        }
        constexpr std::uint32_t least[] = {0, 0x80, 0x800, 0x10000};
        if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
            return false;
        i += more + 1;
    }
    return true;
}

std::string toml_string(std::string_view text) {
    std::string out = "\"";
    for (char c : text) {
        auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (c == '\n')
            out += "\\n";
        else if (c == '\t')
            out += "\\t";
        else if (byte < 0x20 || byte == 0x7f)
            out += fmt::format("\\u{:04x}", byte);
        else
            out += c;
    }
    return out + '"';
}

}  // namespace gossamer::config
