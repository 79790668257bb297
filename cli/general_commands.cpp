// `gossamer version` and `gossamer explain`.
#include <memory>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/command_line.hpp"
#include "drivers/program/version.hpp"

namespace gossamer::cli {
namespace {

using program::ExitCode;

nlohmann::ordered_json fields_of(const ErrorInfo& info) {
    return {{"code", info.id}, {"meaning", info.meaning}, {"advice", info.advice}};
}

Result<ExitCode> explain(Console& console, const std::string& code) {
    if (code.empty()) {
        auto all = nlohmann::ordered_json::array();
        std::string text;
        for (const auto& info : error_table()) {
            all.push_back(fields_of(info));
            text += fmt::format("{}  {}\n", info.id, info.meaning);
        }
        console.answer(all, text);
        return ExitCode::ok;
    }
    const ErrorInfo* info = find_error(code);
    if (info == nullptr)
        return fail(ErrorCode::kUsage, "no error has the code \"" + code + "\"",
                    "`gossamer explain` lists all codes");
    console.answer(fields_of(*info),
                   fmt::format("{}  {}\n        {}\n", info->id, info->meaning, info->advice));
    return ExitCode::ok;
}

}  // namespace

void add_general_commands(CLI::App& app, CommandLine& line) {
    app.add_subcommand("version",
                       "Print the version, which build of the maths library runs here, and which\n"
                       "graphics card there is, or why none")
        ->fallthrough()
        ->footer("  gossamer version")
        ->callback([&line] {
            line.chosen = [](Console& console) -> Result<ExitCode> {
                const auto version = program::version();
                console.answer({{"version", version.number},
                                {"protocol", version.protocol},
                                {"maths", version.maths},
                                {"graphics_card", version.graphics_card}},
                               version.text());
                return ExitCode::ok;
            };
        });

    auto* command = app.add_subcommand("explain", "What an error code means, and what to do");
    auto code = std::make_shared<std::string>();
    command->fallthrough()->footer("  gossamer explain TLS-07\n  gossamer explain");
    command->add_option("CODE", *code, "such as TLS-07; none lists all");
    command->callback([&line, code] {
        line.chosen = [code](Console& console) { return explain(console, *code); };
    });
}

}  // namespace gossamer::cli
