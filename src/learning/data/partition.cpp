#include "gossamer/data/partition.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <queue>

#include "gossamer/base/assert.hpp"

namespace gossamer::data {
namespace {

using Rows = std::vector<std::uint32_t>;

constexpr std::size_t kPartsMax = 10'000'000;

Rows all_rows(const Dataset& data) {
    Rows rows(data.sample_count());
    std::iota(rows.begin(), rows.end(), 0u);
    return rows;
}

Partition divide_evenly(const Rows& rows, std::size_t part_count) {
    Partition parts(part_count);
    for (std::size_t p = 0; p < part_count; ++p) {
        auto from = rows.size() * p / part_count, to = rows.size() * (p + 1) / part_count;
        parts[p].assign(rows.begin() + static_cast<std::ptrdiff_t>(from),
                        rows.begin() + static_cast<std::ptrdiff_t>(to));
    }
    return parts;
}

std::vector<Rows> rows_by_class(const Dataset& data) {
    std::vector<Rows> classes(data.class_count());
    auto labels = data.labels();
    for (std::size_t i = 0; i < labels.size(); ++i)
        classes[static_cast<std::size_t>(labels[i])].push_back(static_cast<std::uint32_t>(i));
    return classes;
}

// Each part's share of one class, as running sums up to 1. A tiny alpha can make every draw vanish;
// the class then goes to one part, which is that distribution's limit.
std::vector<double> running_shares(RngStream& draw, double alpha, std::size_t part_count) {
    std::vector<double> shares(part_count);
    for (auto& share : shares) share = draw.gamma(alpha);
    auto total = std::accumulate(shares.begin(), shares.end(), 0.0);
    if (!(total > 0)) {
        shares.assign(part_count, 0.0);
        shares[draw.below(part_count)] = total = 1;
    }
    double running = 0;
    for (auto& share : shares) share = std::min(1.0, running += share / total);
    shares.back() = 1;
    return shares;
}

Partition divide_by_dirichlet(const Dataset& data, const PartitionOptions& options, RunSeed seed) {
    Partition parts(options.part_count);
    auto classes = rows_by_class(data);
    for (std::size_t c = 0; c < classes.size(); ++c) {
        auto draw = stream(seed, Purpose::partition, 1 + c);
        auto& rows = classes[c];
        draw.shuffle(std::span(rows));
        auto shares = running_shares(draw, options.alpha, options.part_count);
        std::size_t from = 0;
        for (std::size_t p = 0; p < options.part_count; ++p) {
            auto to = static_cast<std::size_t>(shares[p] * static_cast<double>(rows.size()));
            to = std::clamp(to, from, rows.size());
            parts[p].insert(parts[p].end(), rows.begin() + static_cast<std::ptrdiff_t>(from),
                            rows.begin() + static_cast<std::ptrdiff_t>(to));
            from = to;
        }
    }
    return parts;
}

// Parts that are too small take random samples from whichever part is then the largest.
void fill_up(Partition& parts, std::size_t least, RngStream draw) {
    std::priority_queue<std::pair<std::size_t, std::size_t>> by_size;  // size, part
    for (std::size_t p = 0; p < parts.size(); ++p) by_size.emplace(parts[p].size(), p);
    for (auto& poor : parts)
        while (poor.size() < least) {
            auto largest = by_size.top().second;
            auto& rich = parts[largest];
            GOSSAMER_ASSERT(rich.size() > least, "enough samples for all parts");
            std::swap(rich[draw.below(rich.size())], rich.back());
            poor.push_back(rich.back());
            rich.pop_back();
            by_size.pop();
            by_size.emplace(rich.size(), largest);
        }
}

Partition divide_by_shards(const Dataset& data, const PartitionOptions& options, RunSeed seed) {
    auto rows = all_rows(data);
    auto draw = stream(seed, Purpose::partition);
    draw.shuffle(std::span(rows));  // which samples of a class share a shard is random too
    auto labels = data.labels();
    std::stable_sort(rows.begin(), rows.end(),
                     [&](auto a, auto b) { return labels[a] < labels[b]; });
    auto shards = divide_evenly(rows, options.part_count * options.shards_per_part);
    std::vector<std::uint32_t> order(shards.size());
    std::iota(order.begin(), order.end(), 0u);
    draw.shuffle(std::span(order));
    Partition parts(options.part_count);
    for (std::size_t i = 0; i < order.size(); ++i) {
        auto& part = parts[i / options.shards_per_part];
        const auto& shard = shards[order[i]];
        part.insert(part.end(), shard.begin(), shard.end());
    }
    return parts;
}

Status check(const Dataset& data, const PartitionOptions& options) {
    auto bad = [](std::string what) { return fail(ErrorCode::kDataPartition, std::move(what)); };
    auto samples = data.sample_count(), parts = options.part_count;
    auto named = data.name() + ": " + std::string(to_string(options.kind)) + ": ";
    if (parts == 0 || parts > kPartsMax) return bad(named + std::to_string(parts) + " parts");
    if (options.kind == PartitionKind::whole) return {};
    auto least = std::max<std::size_t>(options.least_samples, 1);
    bool by_label =
        options.kind == PartitionKind::dirichlet || options.kind == PartitionKind::shards;
    if (by_label && data.label_count() > 1)
        return bad(named +
                   "sequences have a label at each position, no class of their own; use "
                   "iid");
    if (by_label && !data.has_labels())
        return bad(named + "the data has target values, no class labels; use iid");
    if (options.kind == PartitionKind::shards) {
        if (options.shards_per_part == 0 || options.shards_per_part > kPartsMax)
            return bad(named + std::to_string(options.shards_per_part) + " shards a part");
        if (samples / parts < options.shards_per_part)
            return bad(named + std::to_string(samples) + " samples for " + std::to_string(parts) +
                       " parts of " + std::to_string(options.shards_per_part) + " shards");
    } else if (least > samples / parts) {
        return bad(named + std::to_string(samples) + " samples for " + std::to_string(parts) +
                   " parts of at least " + std::to_string(least));
    }
    if (options.kind == PartitionKind::dirichlet && !(options.alpha > 0))
        return bad(named + "alpha must be above 0");
    return {};
}

}  // namespace

std::string_view to_string(PartitionKind kind) {
    switch (kind) {
        case PartitionKind::whole: return "whole";
        case PartitionKind::iid: return "iid";
        case PartitionKind::dirichlet: return "dirichlet";
        case PartitionKind::shards: return "shards";
        case PartitionKind::explicit_: return "explicit";
    }
    return "?";
}

Result<Partition> make_partition(const Dataset& data, const PartitionOptions& options,
                                 RunSeed seed) {
    GOSSAMER_CHECK(check(data, options));
    auto least = std::max<std::size_t>(options.least_samples, 1);
    Partition parts;
    switch (options.kind) {
        case PartitionKind::whole: return Partition(options.part_count, all_rows(data));
        case PartitionKind::iid: {
            auto rows = all_rows(data);
            stream(seed, Purpose::partition).shuffle(std::span(rows));
            parts = divide_evenly(rows, options.part_count);
            break;
        }
        case PartitionKind::dirichlet:
            parts = divide_by_dirichlet(data, options, seed);
            fill_up(parts, least, stream(seed, Purpose::partition));
            break;
        case PartitionKind::shards: parts = divide_by_shards(data, options, seed); break;
        case PartitionKind::explicit_:
            return fail(ErrorCode::kDataPartition, "an explicit partition is read from a file");
    }
    for (auto& part : parts) std::sort(part.begin(), part.end());
    return parts;
}

Result<Partition> parse_partition(ByteView text, std::size_t sample_count,
                                  const std::string& name) {
    Partition parts;
    std::vector<bool> taken(sample_count);
    auto rest = as_text(text);
    for (std::size_t line_number = 1; !rest.empty(); ++line_number) {
        auto line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(rest.size(), line.size() + 1));
        line = line.substr(0, line.find('#'));
        auto bad = [&](const std::string& what) {
            return fail(ErrorCode::kDataPartition,
                        name + ": line " + std::to_string(line_number) + ": " + what);
        };
        Rows rows;
        for (;;) {
            auto begin = line.find_first_not_of(" ,\t\r");
            if (begin == std::string_view::npos) break;
            line.remove_prefix(begin);
            std::uint32_t row = 0;
            auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), row);
            auto length = static_cast<std::size_t>(end - line.data());
            bool whole = length == line.size() ||
                         std::string_view(" ,\t\r").find(*end) != std::string_view::npos;
            if (error != std::errc{} || !whole) return bad("row numbers are expected");
            if (row >= sample_count)
                return bad("row " + std::to_string(row) + " of " + std::to_string(sample_count));
            if (taken[row]) return bad("row " + std::to_string(row) + " is in a part already");
            taken[row] = true;
            rows.push_back(row);
            line.remove_prefix(length);
        }
        if (rows.empty()) continue;
        std::sort(rows.begin(), rows.end());
        parts.push_back(std::move(rows));
    }
    if (parts.empty()) return fail(ErrorCode::kDataPartition, name + ": no parts");
    return parts;
}

}  // namespace gossamer::data
