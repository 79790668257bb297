#include "records/storage/run_folder.hpp"

#include <algorithm>
#include <charconv>
#include <functional>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace gossamer::storage {
namespace {

constexpr std::uint64_t kSummaryBytesMax = std::uint64_t{16} << 20;

// "demo-12" of "demo" is 12.
std::optional<std::uint64_t> number_of(std::string_view folder, std::string_view name) {
    if (!folder.starts_with(name) || folder.size() <= name.size() || folder[name.size()] != '-')
        return std::nullopt;
    folder.remove_prefix(name.size() + 1);
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(folder.data(), folder.data() + folder.size(), number);
    if (error != std::errc{} || end != folder.data() + folder.size()) return std::nullopt;
    return number;
}

std::uint64_t largest(const std::vector<std::string>& folders, std::string_view name) {
    std::uint64_t most = 0;
    for (const auto& folder : folders) most = std::max(most, number_of(folder, name).value_or(0));
    return most;
}

tl::unexpected<Error> no_run(std::string what) {
    return fail(ErrorCode::kRunFolder, std::move(what));
}

Error with_hint(Error error) {
    error.hint = "the run goes on without records; choose another place with run.folder";
    return error;
}

}  // namespace

std::string file_name_of(std::string_view name) {
    std::string out;
    for (char c : name.substr(0, 64)) {
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || (c == '.' && !out.empty());
        out += plain ? c : '-';
    }
    return out.empty() ? "run" : out;
}

Result<RunFolder> RunFolder::create(Disk& disk, const std::string& root, std::string_view name) {
    if (auto made = disk.make_folders(root); !made) return fail(with_hint(made.error()));
    auto plain = file_name_of(name);
    Error last;
    // Several processes may start runs of one name at once: whoever makes the folder has it.
    for (int attempt = 0; attempt < 1000; ++attempt) {
        auto folders = disk.list(root);
        if (!folders) return fail(with_hint(folders.error()));
        auto path = join(root, plain + "-" + std::to_string(largest(*folders, plain) + 1));
        auto made = disk.make_folder(path, kPrivateFolderMode);  // models tell of the data
        if (made) return RunFolder(path);
        last = made.error();
        if (!disk.exists(path)) break;
    }
    return fail(with_hint(last));
}

Result<RunFolder> RunFolder::newest(const Disk& disk, const std::string& root,
                                    std::string_view name) {
    auto folders = all(disk, root, name);
    if (!folders.empty()) return std::move(folders.front());
    return no_run("there is no run named " + file_name_of(name) + " under " + root);
}

std::vector<RunFolder> RunFolder::all(const Disk& disk, const std::string& root,
                                      std::string_view name) {
    auto plain = file_name_of(name);
    std::vector<std::pair<std::uint64_t, std::string>> found;
    if (auto folders = disk.list(root))
        for (auto& folder : *folders)
            if (auto number = number_of(folder, plain)) found.emplace_back(*number, folder);
    std::ranges::sort(found, std::greater());
    std::vector<RunFolder> all;
    for (const auto& [number, folder] : found) all.push_back(RunFolder(join(root, folder)));
    return all;
}

Result<RunFolder> RunFolder::open(const Disk& disk, const std::string& path) {
    RunFolder folder(path);
    if (disk.exists(folder.config()) || disk.exists(folder.summary()) ||
        disk.exists(folder.metrics()))
        return folder;
    return no_run(path + " holds no config.toml, metrics.jsonl or summary.json");
}

std::string RunFolder::name() const {
    std::string_view path = path_;
    while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
    return std::string(path.substr(path.rfind('/') + 1));
}

std::string RunFolder::events(WallTime start, std::string_view host) const {
    return join(path_, "events.out.tfevents." + std::to_string(start.ns / 1'000'000'000) + "." +
                           file_name_of(host));
}

std::string RunOverview::fact(const std::string& name) const {
    auto found = facts.find(name);
    return found == facts.end() ? std::string() : found->second;
}

Result<RunOverview> read_summary(const Disk& disk, const RunFolder& folder) {
    RunOverview out{.name = folder.name(), .path = folder.path(), .state = "unknown"};
    if (!disk.exists(folder.summary()))
        return fail(ErrorCode::kRunFolder,
                    folder.path() + " holds no summary.json: the run did not end", "run it again");
    GOSSAMER_TRY(auto bytes, disk.read(folder.summary(), kSummaryBytesMax));
    auto json = nlohmann::json::parse(as_text(bytes), nullptr, false);
    if (!json.is_object())
        return fail(ErrorCode::kRunFolder, folder.summary() + " is damaged", "run it again");
    for (const auto& [key, value] : json.items()) {
        if (value.is_string())
            out.facts[key] = value.get<std::string>(), out.texts.insert(key);
        else if (value.is_primitive() && !value.is_null())
            out.facts[key] = value.dump();
    }
    if (auto state = out.facts.find("state"); state != out.facts.end()) out.state = state->second;
    return out;
}

RunOverview overview(const Disk& disk, const RunFolder& folder) {
    if (auto read = read_summary(disk, folder)) return *std::move(read);
    return {.name = folder.name(), .path = folder.path(), .state = "unknown"};
}

Result<std::vector<RunOverview>> list_runs(const Disk& disk, const std::string& root) {
    GOSSAMER_TRY(auto names, disk.list(root));
    std::vector<RunOverview> runs;
    for (const auto& name : names)
        if (auto folder = RunFolder::open(disk, join(root, name)))
            runs.push_back(overview(disk, *folder));
    auto order = [](const RunOverview& run) {  // demo-2 before demo-10
        auto dash = run.name.rfind('-');
        auto base = run.name.substr(0, dash);
        return std::pair(base, number_of(run.name, base).value_or(0));
    };
    std::ranges::stable_sort(runs, {}, order);
    return runs;
}

bool RecordFile::ends_torn() const {
    auto size = disk_->exists(path_) ? disk_->size_of(path_).value_or(0) : 0;
    std::byte last{'\n'};
    return size > 0 && disk_->read_at(path_, size - 1, {&last, 1}) && last != std::byte{'\n'};
}

Status RecordFile::open() {
    if (file_) return {};
    GOSSAMER_TRY(file_, disk_->create(path_, Create::append));
    return {};
}

void RecordFile::count(Status status) {
    if (!status && lost_++ == 0) error_ = std::move(status).error();
}

void RecordFile::append_line(std::string_view line) {
    count([&]() -> Status {
        if (!file_ || torn_) torn_ = ends_torn();
        GOSSAMER_CHECK(open());
        if (torn_) GOSSAMER_CHECK(file_->append(as_bytes("\n")));
        torn_ = true;
        GOSSAMER_CHECK(file_->append(as_bytes(std::string(line) + '\n')));
        torn_ = false;
        return {};
    }());
}

void RecordFile::append(ByteView record) {
    count([&]() -> Status {
        GOSSAMER_CHECK(open());
        torn_ = true;
        GOSSAMER_CHECK(file_->append(record));
        torn_ = false;
        return {};
    }());
}

}  // namespace gossamer::storage
