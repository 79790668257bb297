#include "records/config/config.hpp"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "gossamer/base/assert.hpp"
#include "records/config/value.hpp"

namespace gossamer::config {
namespace {

std::string suggestion(const std::string& near) {
    return near.empty() ? std::string{} : "did you mean \"" + near + "\"?";
}

// What the file holds, as the option wants it.
Result<OptionValue> convert(const Option& option, const FileValue& given) {
    const auto& v = given.value;
    auto wrong = [&](std::string_view found) {
        return fail(ErrorCode::kConfigType,
                    fmt::format("{} is {}, not {}", option.key, found, form_of(option.kind)));
    };
    if (auto text = std::get_if<std::string>(&v)) {
        bool wants_text = option.kind == OptionKind::text || option.kind == OptionKind::choice ||
                          option.kind == OptionKind::duration || option.kind == OptionKind::bytes;
        return wants_text ? value_from_text(option, *text)
                          : wrong("the text " + toml_string(*text));
    }
    if (auto flag = std::get_if<bool>(&v)) {
        if (option.kind != OptionKind::boolean) return wrong(*flag ? "true" : "false");
        return *flag;
    }
    if (auto whole = std::get_if<std::int64_t>(&v)) {
        if (option.kind == OptionKind::integer) return *whole;
        if (option.kind == OptionKind::bytes && *whole >= 0) return *whole;
        if (option.kind == OptionKind::real) return static_cast<double>(*whole);
        return wrong(fmt::format("the number {}", *whole));
    }
    if (auto real = std::get_if<double>(&v)) {
        if (option.kind != OptionKind::real || !std::isfinite(*real))
            return wrong(fmt::format("the number {}", *real));
        return *real;
    }
    if (auto texts = std::get_if<std::vector<std::string>>(&v)) {
        if (option.kind == OptionKind::text_list) return *texts;
        if (option.kind == OptionKind::real_list && texts->empty()) return std::vector<double>{};
        return wrong("a list of texts");
    }
    if (auto reals = std::get_if<std::vector<double>>(&v)) {
        bool finite = std::ranges::all_of(*reals, [](double x) { return std::isfinite(x); });
        if (option.kind != OptionKind::real_list || !finite) return wrong("a list of numbers");
        return *reals;
    }
    return wrong(given.section ? "a section" : "something else");
}

bool in_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }

// Where a text speaks of a key: a whole one, not a part of a longer one or of a path.
std::optional<std::size_t> place_in(std::string_view text, std::string_view key) {
    for (auto at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
        const auto rest = text.substr(at + key.size());
        const bool begins =
            at == 0 || (!in_name(text[at - 1]) && text[at - 1] != '.' && text[at - 1] != '/');
        const bool goes_on =
            !rest.empty() && (in_name(rest[0]) || rest[0] == '-' ||
                              (rest[0] == '.' && rest.size() > 1 && in_name(rest[1])));
        if (begins && !goes_on) return at;
    }
    return std::nullopt;
}

}  // namespace

// Lays one layer over the other and keeps every error.
class Resolver {
public:
    Resolver(Config& config, std::vector<Error>& errors) : config_(config), errors_(errors) {}

    void defaults() {
        for (const auto& option : config_.schema().options())
            config_.entries_.push_back({option.fallback, "default", {}});
    }

    void file(const Layers& layers) {
        auto values = read_toml(as_bytes(layers.file_text), layers.file_name);
        if (!values) {
            errors_.push_back(values.error());
            return;
        }
        const auto& schema = config_.schema();
        for (const auto& given : *values) {
            auto place = fmt::format("{}:{}:{}", layers.file_name, given.line, given.column);
            if (const Option* option = schema.find(given.key))
                take(*option, convert(*option, given), std::move(place),
                     fmt::format("file {}:{}", layers.file_name, given.line));
            else if (!given.section)
                unknown(place + ": unknown key", given.key, schema.nearest(given.key));
            else if (!schema.has_section(given.key))
                unknown(place + ": unknown section", given.key, schema.nearest_section(given.key));
        }
    }

    void environment(const Environment& variables) {
        for (const auto& [name, text] : variables) {
            if (!name.starts_with("GOSSAMER_")) continue;
            const Option* option = config_.schema().find_environment(name);
            if (option) {
                take(*option, value_from_text(*option, text), "environment " + name,
                     "environment " + name);
                continue;
            }
            // Others may have variables of this prefix too: only what looks misspelt is an error.
            auto near = config_.schema().nearest_environment(name);
            if (!near.empty()) unknown("environment unknown key", name, near);
        }
    }

    void sets(const std::vector<std::string>& assignments) {
        for (const auto& text : assignments) {
            auto equals = text.find('=');
            if (equals == std::string::npos) {
                errors_.push_back({ErrorCode::kUsage,
                                   "--set " + toml_string(text) + " has no \"=\"",
                                   "write --set section.name=value"});
                continue;
            }
            auto key = text.substr(0, equals);
            const Option* option = config_.schema().find(key);
            if (!option)
                unknown("--set unknown key", key, config_.schema().nearest(key));
            else
                take(*option, value_from_text(*option, text.substr(equals + 1)), "--set", "--set");
        }
    }

private:
    void unknown(std::string_view what, std::string_view key, const std::string& near) {
        errors_.push_back({ErrorCode::kConfigUnknownKey,
                           fmt::format("{} {}", what, toml_string(key)), suggestion(near)});
    }

    void take(const Option& option, Result<OptionValue> value, std::string place,
              std::string source) {
        if (!value) {
            auto error = std::move(value).error();
            error.what.insert(0, place + ": ");
            errors_.push_back(std::move(error));
        } else if (auto problem = out_of_bounds(option, *value); !problem.empty()) {
            errors_.push_back({ErrorCode::kConfigRange,
                               fmt::format("{}: {} {}", place, option.key, problem),
                               {}});
        } else {
            config_.entries_[config_.schema().index_of(option.key)] = {
                std::move(*value), std::move(source), std::move(place)};
        }
    }

    Config& config_;
    std::vector<Error>& errors_;
};

Result<Config> Config::resolve(SchemaRef schema, const Layers& layers, std::vector<Error>* all) {
    Config config;
    config.schema_ = std::move(schema);
    std::vector<Error> errors;
    Resolver resolver(config, errors);
    resolver.defaults();
    if (!layers.file_name.empty()) resolver.file(layers);
    resolver.environment(layers.environment);
    resolver.sets(layers.sets);
    if (all) *all = errors;
    if (!errors.empty()) return fail(std::move(errors.front()));
    return config;
}

const Config::Entry& Config::entry(std::string_view key) const {
    auto index = schema_->index_of(key);
    if (index >= entries_.size())
        assertion_failed("schema has the key", std::string(key).c_str(), __FILE__, __LINE__);
    return entries_[index];
}

const OptionValue& Config::get(std::string_view key) const { return entry(key).value; }
const std::string& Config::source_of(std::string_view key) const { return entry(key).source; }
const std::string& Config::place_of(std::string_view key) const { return entry(key).place; }

Error Config::located(Error error) const {
    std::map<std::size_t, std::string_view> keys;  // by where the error speaks of them
    for (const auto& option : schema_->options())
        if (const auto at = place_in(error.what, option.key); at && is_set(option.key))
            keys.emplace(*at, option.key);
    if (keys.empty()) return error;
    const auto first = keys.extract(keys.begin());
    std::string others;
    for (const auto& [at, key] : keys)
        others += fmt::format("{}{}: {}", others.empty() ? "" : ", ", key, place_of(key));
    error.what = place_of(first.mapped()) + ": " + error.what;
    if (!others.empty()) error.what += " (" + others + ")";
    return error;
}

Status Config::set(std::string_view key, OptionValue value, std::string source) {
    const Option* option = schema_->find(key);
    if (!option)
        return fail(ErrorCode::kConfigUnknownKey, "unknown key " + toml_string(key),
                    suggestion(schema_->nearest(key)));
    if (!holds_kind(value, option->kind))
        return fail(ErrorCode::kConfigType,
                    fmt::format("{} is not {}", key, form_of(option->kind)));
    if (auto problem = out_of_bounds(*option, value); !problem.empty())
        return fail(ErrorCode::kConfigRange, fmt::format("{} {}", key, problem));
    entries_[schema_->index_of(key)] = {std::move(value), source, source};
    return {};
}

}  // namespace gossamer::config
