// `gossamer config check` and `gossamer config show`.
#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "connection/transport/transport.hpp"
#include "drivers/assembly/member.hpp"
#include "drivers/program/config_check.hpp"
#include "records/config/config.hpp"
#include "records/telemetry/event.hpp"

namespace gossamer::cli {
namespace {

using program::ExitCode;
using Json = nlohmann::ordered_json;

struct ConfigFlags {
    std::string file;
    std::vector<std::string> sets;
};

Result<config::Config> load(const ConfigFlags& flags, std::vector<Error>& all) {
    // One schema serves peers and aggregators.
    GOSSAMER_TRY(auto schema,
                 assembly::schema_for(Role::peer, Extensions{}, transport::transport_options()));
    return config::load_config(
        std::move(schema),
        {.path = flags.file, .sets = flags.sets, .environment = config::environment_of_process()},
        &all);
}

// "peer.toml:12:5: ..." has its place in front: line and column.
std::optional<std::pair<unsigned, unsigned>> place_of(const Error& error, const std::string& file) {
    if (file.empty() || !error.what.starts_with(file + ":")) return std::nullopt;
    const char* begin = error.what.data() + file.size() + 1;
    const char* end = error.what.data() + error.what.size();
    unsigned line = 0, column = 0;
    const auto first = std::from_chars(begin, end, line);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != ':') return std::nullopt;
    if (std::from_chars(first.ptr + 1, end, column).ec != std::errc{}) return std::nullopt;
    return std::pair(line, column);
}

Json list_of(const std::vector<Error>& errors, const std::string& file) {
    Json list = Json::array();
    for (const auto& error : errors) {
        const auto& info = describe(error.code);
        Json one{{"code", info.id},
                 {"what", telemetry::harmless(error.what)},
                 {"hint",
                  error.hint.empty() ? std::string(info.advice) : telemetry::harmless(error.hint)}};
        if (const auto place = place_of(error, file))
            one["line"] = place->first, one["column"] = place->second;
        list.push_back(std::move(one));
    }
    return list;
}

// All errors, in the order of the file: as one JSON answer, or a line each.
ExitCode report(Console& console, const ConfigFlags& flags, std::vector<Error> errors) {
    std::ranges::stable_sort(errors, {}, [&](const Error& error) {
        return place_of(error, flags.file).value_or(std::pair(~0u, ~0u));
    });
    if (console.json) {
        console.answer(
            {{"file", flags.file}, {"ok", false}, {"errors", list_of(errors, flags.file)}}, {});
    } else {
        for (const auto& error : errors)
            console.complain(
                {error.code, telemetry::harmless(error.what), telemetry::harmless(error.hint)});
    }
    return ExitCode::usage;  // whatever the codes: it is the configuration that is wrong
}

Result<ExitCode> check(Console& console, const ConfigFlags& flags) {
    std::vector<Error> errors;
    const auto config = load(flags, errors);
    if (!config && errors.empty()) return fail(config.error());
    if (!config) return report(console, flags, errors);
    const auto [wrong, warnings] = program::check_config(*config, std::nullopt, Extensions{});
    if (!wrong.empty()) return report(console, flags, wrong);
    std::size_t set_count = 0;
    for (const auto& option : config->schema().options()) set_count += config->is_set(option.key);
    const auto all_count = config->schema().options().size();
    std::string text = fmt::format("{}: all is well; {} values set, {} by default\n", flags.file,
                                   set_count, all_count - set_count);
    for (const auto& warning : warnings) text += "  warning: " + warning.to_string() + "\n";
    console.answer({{"file", flags.file},
                    {"ok", true},
                    {"set_count", set_count},
                    {"default_count", all_count - set_count},
                    {"warnings", list_of(warnings, flags.file)}},
                   text);
    return ExitCode::ok;
}

Result<ExitCode> show(Console& console, const ConfigFlags& flags) {
    std::vector<Error> errors;
    const auto config = load(flags, errors);
    if (!config && errors.empty()) return fail(config.error());
    if (!config) return report(console, flags, errors);
    if (console.json)
        console.answer(Json::parse(config->to_json()), {});
    else
        console.answer({}, config->to_toml());
    return ExitCode::ok;
}

void add_flags(CLI::App& command, const std::shared_ptr<ConfigFlags>& flags, bool needs_file) {
    auto* file = command.add_option("FILE", flags->file, "a configuration in TOML");
    if (needs_file) file->required();
    command.add_option("--set", flags->sets, "set an option over the file: section.name=value")
        ->allow_extra_args(false);
}

}  // namespace

void add_config_commands(CLI::App& app, CommandLine& line) {
    auto* group = app.add_subcommand("config", "Check and explain configurations");
    group->require_subcommand(1)->fallthrough()->footer(
        "  gossamer config check peer.toml\n"
        "  gossamer config show peer.toml");

    auto* one = group->add_subcommand("check", "Find all errors of a configuration, with places");
    auto flags = std::make_shared<ConfigFlags>();
    one->fallthrough()->footer(
        "  gossamer config check peer.toml\n"
        "  gossamer config check peer.toml --set run.rounds=20 --format json");
    add_flags(*one, flags, true);
    one->callback([&line, flags] {
        line.chosen = [flags](Console& console) { return check(console, *flags); };
    });

    auto* other = group->add_subcommand("show", "Every value, where it comes from, and its reason");
    auto shown = std::make_shared<ConfigFlags>();
    other->fallthrough()->footer(
        "  gossamer config show                      all options with their defaults\n"
        "  gossamer config show peer.toml\n"
        "  gossamer config show peer.toml --set run.rounds=20 --format json");
    add_flags(*other, shown, false);
    other->callback([&line, shown] {
        line.chosen = [shown](Console& console) { return show(console, *shown); };
    });
}

}  // namespace gossamer::cli
