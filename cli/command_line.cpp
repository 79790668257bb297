#include "cli/command_line.hpp"

#include <chrono>
#include <ostream>
#include <sstream>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "drivers/program/unknown_words.hpp"

namespace gossamer::cli {
namespace {

using program::ExitCode;

// Examples first: most people who ask for help look for the line to copy.
class ExamplesFirst final : public CLI::Formatter {
public:
    std::string make_help(const CLI::App* app, std::string name,
                          CLI::AppFormatMode mode) const override {
        if (mode == CLI::AppFormatMode::Sub) return make_expanded(app);
        std::ostringstream out;
        if (!app->get_footer().empty()) out << "Examples:\n" << app->get_footer() << "\n\n";
        out << make_description(app) << make_usage(app, std::move(name)) << make_groups(app, mode)
            << make_subcommands(app, mode);
        return out.str();
    }
};

int parse_failed(const CLI::ParseError& problem, const CLI::App& app, Console& console,
                 std::ostream& out) {
    if (dynamic_cast<const CLI::Success*>(&problem) != nullptr) {
        out << app.help();  // of the subcommand named, when one is
        return static_cast<int>(ExitCode::ok);
    }
    const auto words = program::unknown_words(app, problem);
    console.complain({ErrorCode::kUsage, words ? words->what() : problem.what(), "see --help"});
    return static_cast<int>(ExitCode::usage);
}

// A path need not be UTF-8, and JSON must.
std::string as_line(const nlohmann::ordered_json& fields) {
    return fields.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

WallTime Console::now() const {
    const auto since = std::chrono::system_clock::now().time_since_epoch();
    return {std::chrono::duration_cast<std::chrono::nanoseconds>(since).count()};
}

void Console::answer(const nlohmann::ordered_json& fields, const std::string& text) {
    if (json)
        out_ << as_line(fields);
    else
        out_ << text << (text.empty() || text.back() == '\n' ? "" : "\n");
}

bool Console::delivered() {
    out_.flush();
    return out_.good();
}

void Console::complain(const Error& error) {
    const auto& info = describe(error.code);
    if (!json) {
        err_ << "gossamer: " << error.to_string() << '\n';
        return;
    }
    const std::string hint = error.hint.empty() ? std::string(info.advice) : error.hint;
    const nlohmann::ordered_json fields{
        {"error", {{"code", info.id}, {"what", error.what}, {"hint", hint}}}};
    err_ << as_line(fields);
}

int carry_out(const Action& action, Console& console) {
    Result<ExitCode> result = ExitCode::internal;
    try {  // errors are values; what is thrown all the same is our own fault
        result = action(console);
    } catch (const std::exception& e) {
        result = fail(ErrorCode::kInternal, e.what());
    }
    if (result && !console.delivered())
        result = fail(ErrorCode::kDiskFailed, "the answer cannot be written");
    if (result) return static_cast<int>(*result);
    console.complain(result.error());
    return static_cast<int>(program::exit_code_of(result.error().code));
}

int run_command_line(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err) {
    Console console(out, err);
    CommandLine line;
    CLI::App app("The operator's command of Gossamer.", "gossamer");
    app.formatter(std::make_shared<ExamplesFirst>());
    app.footer(
        "  gossamer federation create meadow\n"
        "  gossamer identity create peer-1\n"
        "  gossamer identity sign peer-1/request.pem --federation meadow --role peer\n"
        "  gossamer config check peer.toml\n"
        "  gossamer status\n"
        "  gossamer run show runs/demo-1\n"
        "  gossamer explain TLS-07");
    app.fallthrough();
    app.require_subcommand(1);
    std::string format = "text";
    app.add_option("--format", format, "text, or json for scripts")
        ->check(CLI::IsMember({"text", "json"}));
    add_federation_commands(app, line);
    add_identity_commands(app, line);
    add_config_commands(app, line);
    add_run_commands(app, line);
    add_status_commands(app, line);
    add_general_commands(app, line);
    add_demo_command(app, line);

    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    try {
        app.parse(reversed);
    } catch (const CLI::ParseError& problem) {
        console.json = format == "json";
        return parse_failed(problem, app, console, out);
    }
    console.json = format == "json";
    return carry_out(line.chosen, console);
}

}  // namespace gossamer::cli
