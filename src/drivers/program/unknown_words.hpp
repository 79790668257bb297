// What of a command line nobody knows, when the parser complains of something else.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <utility>

namespace gossamer::program {

// CLI11 looks for what is required before it looks at what it could not place, so that "run
// --sedes 3" would hear of a missing scenario alone. Nothing when every word has its place.
inline std::optional<CLI::ExtrasError> unknown_words(const CLI::App& app,
                                                     const CLI::ParseError& problem) {
    if (dynamic_cast<const CLI::RequiredError*>(&problem) == nullptr) return std::nullopt;
    auto left = app.remaining(true);
    std::erase(left, "--");
    if (left.empty()) return std::nullopt;
    return CLI::ExtrasError(std::move(left));
}

}  // namespace gossamer::program
