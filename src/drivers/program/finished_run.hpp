// A run folder as sweeps, comparisons and replays see it: its settings and its figures.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "drivers/program/text_table.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::program {

using Settings = std::map<std::string, std::string>;  // by key, in one way of writing

struct FinishedRun {
    std::string folder;
    Settings settings;                            // all of config.toml
    std::map<std::string, double> figures;        // numbers of summary.json
    std::map<std::string, std::string> facts;     // its texts
    double figure(const std::string& key) const;  // NaN when it is not there
    std::string fact(const std::string& key) const;
    bool finished() const { return fact("state") == "finished"; }
    std::uint64_t failure_count() const;  // trainings that failed
    bool broken() const { return !fact("broken_invariants").empty(); }
    std::string state() const;  // "finished", "goal missed", "broken", or what summary.json says
};

// Errors: kRunFolder, naming what is missing or damaged.
Result<FinishedRun> read_run(const std::string& folder);
// Folders with a config.toml at or below `path`, at most kRunFoldersMax, sorted: numbers in names
// by their value, so that the tenth run comes after the ninth. Errors: kRunFolder when there is
// none.
inline constexpr std::size_t kRunFoldersMax = 10'000;
Result<std::vector<std::string>> run_folders(const std::string& path);
// Errors: kConfigSyntax.
Result<Settings> settings_of(const std::string& toml, const std::string& file_name);

// What the figures of a run are called and how they are written, in the order of tables.
struct Figure {
    const char *key, *title;
    int decimals;
};
const std::vector<Figure>& compared_figures();

std::string csv_line(const std::vector<std::string>& cells);

}  // namespace gossamer::program
