// `gossamer demo`.
#include <unistd.h>

#include <filesystem>
#include <memory>

#include <CLI/CLI.hpp>

#include "cli/command_line.hpp"
#include "cli/demo/demo.hpp"

namespace gossamer::cli {
namespace {

// The build folder this program lies in: the daemons lie beside it.
std::string own_build_folder() {
    std::error_code ignored;
    auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    return self.parent_path().parent_path().string();
}

}  // namespace

void add_demo_command(CLI::App& app, CommandLine& line) {
    auto options = std::make_shared<demo::DemoOptions>();
    options->folder = "runs";
    options->programs = own_build_folder();
    auto* command = app.add_subcommand(
        "demo", "Eight peers train on Fashion-MNIST here, by gossip and with an aggregator");
    command->fallthrough()->footer("  gossamer demo\n  gossamer demo --seed 2 --folder /tmp/runs");
    command->add_option("--folder", options->folder, "Where the results go (runs)");
    command->add_option("--seed", options->seed, "Of data, model and shuffling (1)")
        ->check(CLI::Range(std::int64_t{0}, INT64_MAX));
    command->callback([&line, options] {
        line.chosen = [options](Console& console) -> Result<program::ExitCode> {
            options->json = console.json;
            GOSSAMER_TRY(auto code, demo::run_demo(*options));
            return static_cast<program::ExitCode>(code);
        };
    });
}

}  // namespace gossamer::cli
