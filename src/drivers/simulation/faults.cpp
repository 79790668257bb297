#include "drivers/simulation/faults.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "gossamer/base/bytes.hpp"

namespace gossamer::simulation {

namespace {

struct KindText {
    std::string_view name, meaning;
    bool two_groups;
};
constexpr std::array<KindText, kFaultKinds> kKinds = {{
    {"kill", "kill -9; starts again after `for`: \"10s kill 3 for 5s\"", false},
    {"power", "the machine goes dark, nobody is told: \"10s power 25% for 1m\"", false},
    {"leave", "leaves cleanly: \"1m leave 0-9\"", false},
    {"sleep", "the machine sleeps, its links stay: \"1m sleep 25% for 2m\"", false},
    {"freeze", "the process stands still: \"10s freeze 3 for 4s\"", false},
    {"partition", "no packets between two groups: \"30s partition 0-4 | 5-9 for 30s\"", true},
    {"oneway", "no packets from the first to the second: \"5s oneway 0 > all for 9s\"", true},
    {"clog", "data between them is held back: \"5s clog 0-3 | aggregator for 9s\"", true},
    {"reset", "their connections break: \"5s reset 0 | all\"", true},
    {"slow", "computes so many times slower: \"5s slow 10% by 10 for 1m\"", false},
    {"clock", "the wall clock jumps by so many seconds: \"5s clock 3 by -3600\"", false},
    {"disk-full", "writes fail: \"5s disk-full aggregator for 10s\"", false},
    {"disk-lost", "all that was written is gone: \"5s disk-lost 3\"", false},
    {"hang", "training begins and never ends: \"5s hang 10% for 1m\"", false},
    {"echo", "offers each model again, soon: \"5s echo 3 by 2 for 1m\", up to 2 s later", false},
    {"cut", "breaks connections amid models: \"5s cut 0-3 | all by 0.1 for 9s\"", true},
    {"corrupt", "packets are altered, TLS tells: \"5s corrupt 0 | all by 0.01 for 9s\"", true},
    {"damage", "models are altered, checksums tell: \"5s damage 0 | all by 0.2 for 9s\"", true},
}};

struct Words {
    std::vector<std::string> all;
    std::size_t next = 0;
    std::string take() { return next < all.size() ? all[next++] : std::string(); }
    bool skip(std::string_view word) {
        if (next >= all.size() || all[next] != word) return false;
        ++next;
        return true;
    }
};

Words split(std::string_view text) {
    Words words;
    std::string word;
    for (char c : text) {
        if (c == ' ' || c == '\t' || c == '|' || c == '>') {
            if (!word.empty()) words.all.push_back(std::exchange(word, {}));
            if (c == '|' || c == '>') words.all.emplace_back(1, c);
        } else {
            word += c;
        }
    }
    if (!word.empty()) words.all.push_back(word);
    return words;
}

template <class T>
std::optional<T> number(std::string_view text) {
    T value{};
    auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (read.ec != std::errc() || read.ptr != text.data() + text.size()) return std::nullopt;
    if constexpr (std::is_floating_point_v<T>)
        if (!std::isfinite(value)) return std::nullopt;
    return value;
}

struct Everybody {
    std::uint32_t peers;
    bool aggregator;
    RunSeed seed;
    std::uint64_t name;  // of the fault, for draws
};

// One item of a group into `who`; what is wrong with it otherwise.
std::optional<std::string> add_item(std::string_view item, const Everybody& e,
                                    std::vector<std::uint32_t>& who) {
    if (item == "aggregator") {
        if (!e.aggregator) return "there is no aggregator in a gossip run";
        who.push_back(e.peers);
        return std::nullopt;
    }
    if (item == "all") {
        for (std::uint32_t i = 0; i < e.peers; ++i) who.push_back(i);
        return std::nullopt;
    }
    if (item.ends_with('%')) {
        auto part = number<double>(item.substr(0, item.size() - 1));
        if (!part || *part < 0 || *part > 100) return "is no part in percent";
        std::vector<std::uint32_t> order(e.peers);
        std::iota(order.begin(), order.end(), 0u);
        stream(e.seed, Purpose::scenario, e.name).shuffle(std::span(order));
        order.resize(static_cast<std::size_t>(*part / 100 * e.peers + 0.5));
        who.insert(who.end(), order.begin(), order.end());
        return std::nullopt;
    }
    auto dash = item.find('-');
    auto first = number<std::uint32_t>(item.substr(0, dash));
    auto last = dash == item.npos ? first : number<std::uint32_t>(item.substr(dash + 1));
    if (!first || !last || *first > *last)
        return "is neither an index, a range, \"aggregator\", \"all\" nor a part in percent";
    if (*last >= e.peers) return "is beyond the " + std::to_string(e.peers) + " peers";
    for (auto i = *first; i <= *last; ++i) who.push_back(i);
    return std::nullopt;
}

std::optional<std::string> read_group(std::string_view text, const Everybody& e,
                                      std::vector<std::uint32_t>& who) {
    if (text.empty()) return "says not with whom";
    while (!text.empty()) {
        auto comma = std::min(text.find(','), text.size());
        const auto item = text.substr(0, comma);
        if (auto wrong = add_item(item, e, who)) return "\"" + std::string(item) + "\" " + *wrong;
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    std::ranges::sort(who);
    who.erase(std::unique(who.begin(), who.end()), who.end());
    return std::nullopt;
}

}  // namespace

std::string_view to_string(FaultKind kind) { return kKinds[static_cast<std::size_t>(kind)].name; }
std::string_view meaning_of(FaultKind kind) {
    return kKinds[static_cast<std::size_t>(kind)].meaning;
}

Result<Fault> parse_fault(std::string_view text, std::uint32_t peers, bool aggregator,
                          RunSeed seed) {
    auto wrong = [&](const std::string& what) {
        return fail(ErrorCode::kConfigType,
                    "simulation.faults: \"" + std::string(text) + "\": " + what,
                    "write \"<when> <kind> <whom> [for <time>]\"; `gossamer-sim faults` lists the "
                    "kinds");
    };
    auto words = split(text);
    Fault fault;
    fault.text = std::string(text);
    const auto when = words.take();
    auto at = parse_duration(when);
    if (!at || *at < Duration::zero()) return wrong("\"" + when + "\" is no time, such as \"10s\"");
    fault.at = *at;
    const auto name = words.take();
    auto kind = std::ranges::find(kKinds, name, &KindText::name);
    if (kind == kKinds.end()) return wrong("\"" + name + "\" is no kind of fault");
    fault.kind = static_cast<FaultKind>(kind - kKinds.begin());

    const Everybody everybody{peers, aggregator, seed, digest128(as_bytes(text)).low};
    if (auto bad = read_group(words.take(), everybody, fault.who)) return wrong(*bad);
    if (kind->two_groups) {
        if (!words.skip("|") && !words.skip(">")) return wrong("needs two groups, parted by |");
        if (auto bad = read_group(words.take(), everybody, fault.other)) return wrong(*bad);
    }
    const bool needs_value = fault.kind == FaultKind::slow || fault.kind == FaultKind::clock;
    if (words.skip("by")) {
        const auto given = words.take();
        auto value = number<double>(given);
        if (!value) return wrong("\"" + given + "\" is no number");
        fault.value = *value;
    }
    if (needs_value && fault.value == 0) return wrong("needs \"by\" and a number");
    if (fault.kind == FaultKind::slow && fault.value < 0) return wrong("needs a number above 0");
    if (const bool part = fault.kind >= FaultKind::cut; part || fault.kind == FaultKind::echo) {
        if (fault.value == 0) fault.value = part ? 0.1 : 1;
        if (fault.value < 0 || (part && fault.value > 1))
            return wrong(part ? "needs a part from 0 to 1" : "needs a number above 0");
    }
    if (words.skip("for")) {
        const auto given = words.take();
        auto lasting = parse_duration(given);
        if (!lasting) return wrong("\"" + given + "\" is no time, such as \"10s\"");
        if (*lasting <= Duration::zero())
            return wrong("\"for " + given + "\" is no time at all; without \"for\" it is for good");
        fault.lasting = *lasting;
    }
    if (const auto more = words.take(); !more.empty()) return wrong("\"" + more + "\" is too much");
    return fault;
}

}  // namespace gossamer::simulation
