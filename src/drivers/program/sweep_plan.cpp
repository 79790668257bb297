#include "drivers/program/sweep_plan.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include <fmt/format.h>

#include "drivers/simulation/scenario.hpp"
#include "records/storage/run_folder.hpp"

namespace gossamer::program {
namespace {

// Separated by commas outside of brackets: values may be lists.
std::vector<std::string> split(std::string_view text) {
    std::vector<std::string> out(1);
    int depth = 0;
    for (const char c : text) {
        depth += c == '[' ? 1 : c == ']' ? -1 : 0;
        if (c == ',' && depth == 0)
            out.emplace_back();
        else
            out.back() += c;
    }
    return out;
}

std::vector<std::string> without_twins(std::vector<std::string> values) {
    std::set<std::string> seen;
    std::erase_if(values, [&](const auto& value) { return !seen.insert(value).second; });
    return values;
}

struct Axis {
    std::string key;
    std::vector<std::string> values;
};

Result<Axis> axis_of(const std::string& text) {
    const auto at = text.find('=');
    const std::string hint = "write --grid section.name=value,value";
    if (at == text.npos || at == 0)
        return fail(ErrorCode::kUsage, "\"" + text + "\" is no axis of a grid", hint);
    Axis axis{text.substr(0, at), without_twins(split(std::string_view(text).substr(at + 1)))};
    if (std::ranges::any_of(axis.values, [](const auto& value) { return value.empty(); }))
        return fail(ErrorCode::kUsage, "--grid " + text + ": a value is empty", hint);
    return axis;
}

tl::unexpected<Error> too_many() {
    return fail(ErrorCode::kUsage, fmt::format("a sweep has at most {} runs", SweepPlan::kRunsMax),
                "name fewer values or seeds");
}

// "1-5", "1,4,7", or both.
Result<std::vector<std::string>> seeds_of(const std::string& text) {
    const auto bad = [&] {
        return fail(ErrorCode::kUsage, "--seeds " + text + " names no seeds",
                    "write them as 1-5, or as 1,4,7");
    };
    std::vector<std::string> seeds;
    if (text.empty()) return std::vector<std::string>{""};
    for (const auto& part : split(text)) {
        std::uint64_t first = 0, last = 0;
        const char* end = part.data() + part.size();
        auto read = std::from_chars(part.data(), end, first);
        if (read.ec != std::errc()) return bad();
        last = first;
        if (read.ptr != end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, last);
        if (read.ec != std::errc() || read.ptr != end || last < first) return bad();
        if (last - first >= SweepPlan::kRunsMax) return bad();
        for (auto more = last - first + 1; more > 0; --more)
            seeds.push_back(std::to_string(first++));
        if (seeds.size() > SweepPlan::kRunsMax) return too_many();
    }
    return without_twins(std::move(seeds));
}

// Names a run's folder: the same settings, the same folder, whatever the grid is called with.
std::string fingerprint(const Settings& settings) {
    std::uint64_t hash = 14695981039346656037ull;  // FNV-1a
    for (const auto& [key, value] : settings)
        for (const char c : key + "=" + value + "\n")
            hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
    return fmt::format("{:016x}", hash);
}

Status check_axes(const std::vector<Axis>& axes, const std::string& seeds) {
    std::vector<std::string> keys;
    for (const auto& axis : axes) keys.push_back(axis.key);
    std::ranges::sort(keys);
    if (const auto twice = std::ranges::adjacent_find(keys); twice != keys.end())
        return fail(ErrorCode::kUsage, "--grid names " + *twice + " twice");
    if (!seeds.empty() && std::ranges::find(keys, "run.seed") != keys.end())
        return fail(ErrorCode::kUsage, "seeds come from --seeds or from --grid run.seed, not both");
    return {};
}

Result<SweepRun> make_run(const SweepFlags& flags, const SweepPlan& plan, std::size_t point,
                          const std::string& seed, const Extensions& extensions) {
    SweepRun run{.point = point,
                 .seed = seed,
                 .sets = flags.sets,
                 .label = {},
                 .folder = {},
                 .settings_name = {},
                 .settings = {}};
    std::string short_name;
    for (std::size_t i = 0; i < plan.keys.size(); ++i) {
        const auto& value = plan.points[point][i];
        run.sets.push_back(plan.keys[i] + "=" + value);
        run.label += (run.label.empty() ? "" : " ") + run.sets.back();
        short_name += plan.keys[i].substr(plan.keys[i].rfind('.') + 1) + "-" + value + "_";
    }
    if (!seed.empty()) {
        run.sets.push_back("run.seed=" + seed);
        run.label += (run.label.empty() ? "seed " : ", seed ") + seed;
        short_name += "seed-" + seed + "_";
    }
    if (run.label.empty()) run.label = "the scenario as it is";
    GOSSAMER_TRY(const auto config,
                 simulation::Scenario::resolve(plan.scenario.name, plan.scenario.text, run.sets,
                                               extensions));
    // The file is copied under another name, which must not rename the run.
    run.sets.push_back("run.name=" + config.text("run.name"));
    GOSSAMER_TRY(run.settings, settings_of(config.to_toml(), plan.scenario.name));
    run.settings_name = fingerprint(run.settings).substr(0, 12);
    run.folder = storage::file_name_of(short_name.substr(0, 48)) + "-" + run.settings_name;
    return run;
}

}  // namespace

Result<SweepPlan> plan_sweep(const SweepFlags& flags, const Extensions& extensions) {
    SweepPlan plan;
    GOSSAMER_TRY(plan.scenario, find_scenario(flags.scenario));
    GOSSAMER_TRY(const auto seeds, seeds_of(flags.seeds));
    std::vector<Axis> axes;
    for (const auto& text : flags.grid) {
        GOSSAMER_TRY(auto axis, axis_of(text));
        axes.push_back(std::move(axis));
    }
    GOSSAMER_CHECK(check_axes(axes, flags.seeds));
    plan.points.emplace_back();
    for (const auto& axis : axes) {
        plan.keys.push_back(axis.key);
        std::vector<std::vector<std::string>> wider;
        for (const auto& point : plan.points)
            for (const auto& value : axis.values) {
                wider.push_back(point);
                wider.back().push_back(value);
            }
        plan.points = std::move(wider);
        if (plan.points.size() * seeds.size() > SweepPlan::kRunsMax) return too_many();
    }
    // Values that differ as texts may be the same: what was asked for already is not run twice.
    std::set<std::string> folders;
    for (std::size_t point = 0; point < plan.points.size();) {
        const auto before = plan.runs.size();
        for (const auto& seed : seeds) {
            GOSSAMER_TRY(auto run, make_run(flags, plan, point, seed, extensions));
            if (folders.insert(run.settings_name).second) plan.runs.push_back(std::move(run));
        }
        if (plan.runs.size() > before)
            ++point;
        else
            plan.points.erase(plan.points.begin() + static_cast<std::ptrdiff_t>(point));
    }
    return plan;
}

}  // namespace gossamer::program
