// The resolved configuration as text: TOML that loads back, and JSON for programs.
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "records/config/config.hpp"
#include "records/config/value.hpp"

namespace gossamer::config {
namespace {

nlohmann::json json_value(const OptionValue& value) {
    return std::visit(
        [](const auto& v) -> nlohmann::json {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, Duration>)
                return seconds(v);
            else
                return v;
        },
        value);
}

std::string_view kind_name(OptionKind kind) {
    constexpr std::string_view names[] = {"boolean", "integer",   "real",      "text",  "duration",
                                          "bytes",   "text_list", "real_list", "choice"};
    return names[static_cast<std::size_t>(kind)];
}

// One comment line; a reason with a line break must not end the comment.
void comment(std::string& out, std::string_view text) {
    out += "# ";
    for (char c : text) out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    out += '\n';
}

bool is_bare(std::string_view part) {
    auto bare = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    };
    return !part.empty() && std::ranges::all_of(part, bare);
}

}  // namespace

std::string Config::to_toml() const {
    std::string out;
    std::string_view section;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto& option = schema_->options()[i];
        if (section_of(option.key) != section) {
            section = section_of(option.key);
            out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", section);
        }
        auto bounds = bounds_text(option);
        comment(out, option.reason + (bounds.empty() ? "" : " [" + bounds + "]"));
        auto name = name_in_section(option.key);
        auto line = fmt::format("{} = {}", is_bare(name) ? std::string(name) : toml_string(name),
                                value_to_toml(option, entries_[i].value));
        std::string source = entries_[i].source;
        for (char& c : source)
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
        out += fmt::format("{:<32} # {}\n", line, valid_utf8(source) ? source : "file");
    }
    return out;
}

std::string Config::to_json() const {
    auto options = nlohmann::json::array();
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto& option = schema_->options()[i];
        nlohmann::json one{{"key", option.key},
                           {"kind", kind_name(option.kind)},
                           {"value", json_value(entries_[i].value)},
                           {"default", json_value(option.fallback)},
                           {"source", entries_[i].source},
                           {"unit", option.kind == OptionKind::duration ? "s" : option.unit},
                           {"reason", option.reason}};
        if (!option.choices.empty()) one["choices"] = option.choices;
        if (option.least > -1e299) one["least"] = option.least;
        if (option.most < 1e299) one["most"] = option.most;
        options.push_back(std::move(one));
    }
    nlohmann::json root{{"schema_version", 1}, {"options", std::move(options)}};
    return root.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace gossamer::config
