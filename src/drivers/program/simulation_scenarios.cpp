#include <filesystem>
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/shipped_scenarios.hpp"
#include "drivers/program/simulation_commands.hpp"
#include "drivers/simulation/config.hpp"
#include "drivers/simulation/faults.hpp"
#include "records/config/config.hpp"
#include "records/config/value.hpp"
#include "records/telemetry/summary.hpp"

namespace gossamer::program {

// A folder may have the name of a scenario that ships, such as the one of its results.
Result<ScenarioText> find_scenario(const std::string& name) {
    std::error_code error;
    if (std::filesystem::is_regular_file(name, error)) {
        GOSSAMER_TRY(auto text, config::read_text(name));
        return ScenarioText{name, std::move(text)};
    }
    std::string known;
    for (const auto& shipped : shipped_scenarios()) {
        if (shipped.name == name) return ScenarioText{name, std::string(shipped.text)};
        known += (known.empty() ? "" : ", ") + std::string(shipped.name);
    }
    return fail(ErrorCode::kUsage, "\"" + name + "\" is neither a file nor a scenario that ships",
                "name a TOML file, or one of: " + known);
}

namespace {

Result<ExitCode> list_scenarios(const std::string& format) {
    for (const auto& shipped : shipped_scenarios()) {
        constexpr std::string_view key = "summary = \"";
        const auto at = shipped.text.find(key);
        const auto from = at == shipped.text.npos ? at : at + key.size();
        const auto summary = from == shipped.text.npos
                                 ? std::string_view{}
                                 : shipped.text.substr(from, shipped.text.find('"', from) - from);
        if (format == "json") {
            telemetry::Summary line;
            line.set("name", std::string(shipped.name));
            line.set("summary", std::string(summary));
            fmt::print("{}\n", line.to_json());
        } else {
            fmt::print("  {:<15} {}\n", shipped.name, summary);
        }
    }
    return ExitCode::ok;
}

Result<ExitCode> show_scenario(const std::string& name) {
    GOSSAMER_TRY(auto found, find_scenario(name));
    fmt::print("{}", found.text);
    return ExitCode::ok;
}

ExitCode list_faults() {
    for (std::size_t k = 0; k < simulation::kFaultKinds; ++k) {
        const auto kind = static_cast<simulation::FaultKind>(k);
        fmt::print("  {:<10} {}\n", to_string(kind), meaning_of(kind));
    }
    return ExitCode::ok;
}

std::string_view name_of(OptionKind kind) {
    switch (kind) {
        case OptionKind::boolean: return "true or false";
        case OptionKind::integer: return "integer";
        case OptionKind::real: return "number";
        case OptionKind::text: return "text";
        case OptionKind::duration: return "duration";
        case OptionKind::bytes: return "size";
        case OptionKind::text_list: return "list of texts";
        case OptionKind::real_list: return "list of numbers";
        case OptionKind::choice: return "choice";
    }
    return "";
}

// The section [simulation] as the program itself reads it.
ExitCode list_keys(const std::string& format) {
    const auto table = simulation::simulation_options();
    nlohmann::ordered_json json{{"schema_version", 1}};
    json["keys"] = nlohmann::ordered_json::array();
    for (const auto& option : table) {
        const auto fallback = config::value_to_toml(option, option.fallback);
        auto allowed = config::bounds_text(option);
        if (allowed.empty()) allowed = option.unit;
        if (format != "json") {
            fmt::print("{} = {}\n    {}{}{}\n    {}\n", option.key, fallback, name_of(option.kind),
                       allowed.empty() ? "" : ": ", allowed, option.reason);
            continue;
        }
        nlohmann::ordered_json line{{"key", option.key}, {"kind", name_of(option.kind)}};
        line["default"] = nlohmann::ordered_json::parse(fallback, nullptr, false);
        if (line["default"].is_discarded()) line["default"] = fallback;
        line["unit"] = option.kind == OptionKind::duration ? "s" : option.unit;
        line["choices"] = option.choices;
        if (option.least > -1e299) line["least"] = option.least;
        if (option.most < 1e299) line["most"] = option.most;
        line["reason"] = option.reason;
        json["keys"].push_back(std::move(line));
    }
    if (format == "json") fmt::print("{}\n", json.dump(2));
    return ExitCode::ok;
}

}  // namespace

void add_scenario_commands(CLI::App& app, SimulationLine& line) {
    auto format = std::make_shared<std::string>("text"), name = std::make_shared<std::string>();
    auto* list = app.add_subcommand("list", "The scenarios that ship, with a line each");
    list->add_option("--format", *format, "text or json")->check(CLI::IsMember({"text", "json"}));
    list->callback([&line, format] { line.chosen = [format] { return list_scenarios(*format); }; });
    auto* show = app.add_subcommand("show", "The text of a scenario");
    show->add_option("scenario", *name, "Name or TOML file")->required();
    show->callback([&line, name] { line.chosen = [name] { return show_scenario(*name); }; });
    auto keys_format = std::make_shared<std::string>("text");
    auto* keys = app.add_subcommand("keys", "The keys of [simulation], with default and reason");
    keys->add_option("--format", *keys_format, "text or json")
        ->check(CLI::IsMember({"text", "json"}));
    keys->callback([&line, keys_format] {
        line.chosen = [keys_format] { return Result<ExitCode>(list_keys(*keys_format)); };
    });
    auto* faults = app.add_subcommand("faults", "The kinds of simulation.faults");
    faults->callback([&line] { line.chosen = [] { return Result<ExitCode>(list_faults()); }; });
}

}  // namespace gossamer::program
