// The operator's command `gossamer`: flags in, one answer out, as text for people or JSON for
// scripts. A group of commands is one function that adds them; each command, when chosen, leaves
// an action behind that runs after parsing.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "drivers/program/exit_code.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/time.hpp"

namespace CLI {
class App;
}

namespace gossamer::cli {

// Where a command's answer goes. One answer a command.
class Console {
public:
    Console(std::ostream& out, std::ostream& err) : out_(out), err_(err) {}

    bool json = false;     // --format json
    WallTime now() const;  // the command's clock
    void answer(const nlohmann::ordered_json& fields, const std::string& text);
    bool delivered();  // all answers so far could be written
    // {"error": {"code", "what", "hint"}} or one line, on the error stream.
    void complain(const Error& error);

private:
    std::ostream& out_;
    std::ostream& err_;
};

using Action = std::function<Result<program::ExitCode>(Console&)>;

class CommandLine {
public:
    // `chosen` is kept until parsing ended; set it from a subcommand's callback.
    Action chosen;
};

// Runs an action and says why it failed, if it did; gives the exit code of the process.
int carry_out(const Action& action, Console& console);

// Runs one command line, without the program's name. Returns the exit code of the process.
int run_command_line(const std::vector<std::string>& arguments, std::ostream& out,
                     std::ostream& err);

// Each in its own file. `examples` of a command are its CLI11 footer; help prints them first.
void add_federation_commands(CLI::App& app, CommandLine& line);
void add_identity_commands(CLI::App& app, CommandLine& line);
void add_config_commands(CLI::App& app, CommandLine& line);
void add_run_commands(CLI::App& app, CommandLine& line);
void add_status_commands(CLI::App& app, CommandLine& line);   // status, members
void add_general_commands(CLI::App& app, CommandLine& line);  // version, explain
void add_demo_command(CLI::App& app, CommandLine& line);

}  // namespace gossamer::cli
