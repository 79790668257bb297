#include "drivers/program/finished_run.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <limits>

#include <fmt/format.h>

#include "records/config/config.hpp"
#include "records/storage/run_folder.hpp"

namespace gossamer::program {
namespace {

namespace fs = std::filesystem;

std::string text_of(const config::FileValue& value) {
    return std::visit(
        [](const auto& v) -> std::string {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, std::monostate>)
                return "?";
            else if constexpr (std::is_same_v<T, std::string>)
                return v;
            else if constexpr (std::is_same_v<T, std::vector<std::string>> ||
                               std::is_same_v<T, std::vector<double>>)
                return fmt::format("[{}]", fmt::join(v, ", "));
            else
                return fmt::format("{}", v);
        },
        value.value);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// By text, but runs of digits by their value.
bool comes_before(const std::string& a, const std::string& b) {
    const auto digits = [](const std::string& text, std::size_t& at) {
        const auto end =
            std::find_if_not(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), is_digit);
        auto number = text.substr(at, static_cast<std::size_t>(end - text.begin()) - at);
        at += number.size();
        number.erase(0, std::min(number.find_first_not_of('0'), number.size()));
        return std::pair{number.size(), number};
    };
    std::size_t i = 0, j = 0;
    while (i < a.size() && j < b.size()) {
        if (is_digit(a[i]) && is_digit(b[j])) {
            const auto left = digits(a, i), right = digits(b, j);
            if (left != right) return left < right;
        } else if (a[i] != b[j]) {
            return a[i] < b[j];
        } else {
            ++i, ++j;
        }
    }
    if (i < a.size() || j < b.size()) return j < b.size();
    return a < b;
}

}  // namespace

double FinishedRun::figure(const std::string& key) const {
    const auto found = figures.find(key);
    return found == figures.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

std::string FinishedRun::fact(const std::string& key) const {
    const auto found = facts.find(key);
    return found == facts.end() ? std::string() : found->second;
}

std::uint64_t FinishedRun::failure_count() const {
    const double count = figure("failure_count");
    return count > 0 ? static_cast<std::uint64_t>(count) : 0;  // NaN in runs of old
}

std::string FinishedRun::state() const {
    if (!finished()) return fact("state").empty() ? "unknown" : fact("state");
    if (broken()) return "broken";
    return fact("reached") == "false" ? "goal missed" : "finished";
}

Result<Settings> settings_of(const std::string& toml, const std::string& file_name) {
    GOSSAMER_TRY(const auto values, config::read_toml(as_bytes(toml), file_name));
    Settings settings;
    for (const auto& value : values)
        if (!value.section) settings[value.key] = text_of(value);
    return settings;
}

Result<FinishedRun> read_run(const std::string& folder) {
    const storage::RealDisk disk;
    FinishedRun run{.folder = folder, .settings = {}, .figures = {}, .facts = {}};
    const auto config = disk.read(folder + "/config.toml", config::kFileBytesMax);
    if (!config)
        return fail(ErrorCode::kRunFolder, folder + " holds no config.toml that can be read",
                    "name a folder that a run left, such as runs/night-1");
    GOSSAMER_TRY(run.settings, settings_of(std::string(as_text(*config)), folder + "/config.toml"));
    GOSSAMER_TRY(const auto opened, storage::RunFolder::open(disk, folder));
    GOSSAMER_TRY(const auto summary, storage::read_summary(disk, opened));
    for (const auto& [key, text] : summary.facts) {
        double number = 0;
        const auto end = text.data() + text.size();
        if (!summary.texts.contains(key) && std::from_chars(text.data(), end, number).ptr == end)
            run.figures[key] = number;
        else
            run.facts[key] = text;
    }
    return run;
}

Result<std::vector<std::string>> run_folders(const std::string& path) {
    std::vector<std::string> found;
    std::error_code error;
    if (!fs::is_directory(path, error))
        return fail(ErrorCode::kRunFolder, path + " is not a folder",
                    "name a folder that a run left, such as runs/night-1");
    if (fs::exists(path + "/config.toml", error)) return std::vector{path};
    for (auto it = fs::recursive_directory_iterator(path, error);
         !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
        if (it.depth() > 4) it.disable_recursion_pending();
        if (it->path().filename() == "config.toml" && found.size() < kRunFoldersMax)
            found.push_back(it->path().parent_path().string());
    }
    if (found.empty())
        return fail(ErrorCode::kRunFolder, path + " holds no run folder",
                    "name a folder that a run left, such as runs/night-1");
    std::ranges::sort(found, comes_before);
    return found;
}

const std::vector<Figure>& compared_figures() {
    static const std::vector<Figure> figures = {
        {"accuracy", "accuracy", 4},
        {"worst_accuracy", "worst peer", 4},
        {"loss", "loss", 4},
        {"consensus_distance", "consensus", 5},
        {"rounds", "rounds", 0},
        {"virtual_seconds", "virtual s", 1},
        {"bytes_sent", "bytes sent", 0},
        {"client_updates_per_second", "updates/s", 0},
        {"wall_seconds", "real s", 1},
    };
    return figures;
}

std::string csv_line(const std::vector<std::string>& cells) {
    std::string line;
    for (const auto& cell : cells) {
        if (&cell != &cells.front()) line += ',';
        if (cell.find_first_of(",\"\n\r") == cell.npos) {
            line += cell;
            continue;
        }
        line += '"';
        for (const char c : cell) line += c == '"' ? "\"\"" : std::string(1, c);
        line += '"';
    }
    return line + "\n";
}

}  // namespace gossamer::program
