#include "gossamer/topology/graph.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <span>

#include "gossamer/base/bytes.hpp"
#include "gossamer/topology/roster.hpp"

namespace gossamer::topology {

Roster Roster::of(std::uint64_t epoch, std::vector<PeerId> members) {
    std::sort(members.begin(), members.end());
    members.erase(std::unique(members.begin(), members.end()), members.end());
    ByteWriter out;
    out.put(epoch);
    out.put_bytes(std::as_bytes(std::span(members)));
    const auto digest = std::max<std::uint64_t>(digest128(out.view()).low, 1);
    return {epoch, std::move(members), digest};
}

std::optional<std::uint32_t> Roster::place_of(const PeerId& id) const {
    auto at = std::lower_bound(members.begin(), members.end(), id);
    if (at == members.end() || *at != id) return std::nullopt;
    return static_cast<std::uint32_t>(at - members.begin());
}

namespace {

constexpr std::array<std::string_view, 11> kKindNames = {
    "ring",           "torus",       "complete",    "star",
    "chain",          "hypercube",   "exponential", "one-peer-exponential",
    "random-regular", "small-world", "edges"};

// Collects arcs of one phase; doubles and loops vanish in take().
class Arcs {
public:
    explicit Arcs(std::uint32_t n) : n_(n) {}
    void one_way(std::uint64_t from, std::uint64_t to) {
        from %= n_, to %= n_;
        if (from != to) arcs_.push_back({std::uint32_t(from), std::uint32_t(to)});
    }
    void both_ways(std::uint64_t a, std::uint64_t b) { one_way(a, b), one_way(b, a); }
    std::vector<Arc> take() {
        std::sort(arcs_.begin(), arcs_.end());
        arcs_.erase(std::unique(arcs_.begin(), arcs_.end()), arcs_.end());
        return std::move(arcs_);
    }

private:
    std::uint64_t n_;
    std::vector<Arc> arcs_;
};

Graph single(std::uint32_t n, Arcs& arcs) { return {n, {arcs.take()}}; }

std::uint32_t ceil_log2(std::uint32_t n) {
    std::uint32_t k = 0;
    while ((std::uint64_t{1} << k) < n) ++k;
    return k;
}

tl::unexpected<Error> cannot(GraphKind kind, std::string why, std::string hint = {}) {
    return fail(ErrorCode::kTopology, std::string(to_string(kind)) + ": " + std::move(why),
                std::move(hint));
}

Result<Graph> make_torus(const GraphOptions& options, std::uint32_t n) {
    std::uint32_t rows = options.rows;
    if (rows == 0) {
        for (std::uint32_t a = 1; std::uint64_t{a} * a <= n; ++a)
            if (n % a == 0) rows = a;
        if (rows < 2)
            return cannot(options.kind, std::to_string(n) + " peers do not fill a grid",
                          "use ring or one-peer-exponential, or another number of peers");
    }
    if (n % rows != 0)
        return cannot(options.kind, std::to_string(n) + " peers are not a multiple of " +
                                        std::to_string(rows) + " rows");
    const std::uint32_t columns = n / rows;
    Arcs arcs(n);
    for (std::uint32_t r = 0; r < rows; ++r)
        for (std::uint32_t c = 0; c < columns; ++c) {
            arcs.both_ways(r * columns + c, r * columns + (c + 1) % columns);
            arcs.both_ways(r * columns + c, (r + 1) % rows * columns + c);
        }
    return single(n, arcs);
}

Graph make_one_peer(std::uint32_t n) {
    Graph graph{n, {}};
    const std::uint32_t period = std::max(1u, ceil_log2(n));
    for (std::uint32_t k = 0; k < period; ++k) {
        Arcs arcs(n);
        for (std::uint32_t i = 0; i < n; ++i) arcs.one_way(i, i + (std::uint64_t{1} << k));
        graph.phases.push_back(arcs.take());
    }
    return graph;
}

Arc ordered(std::uint32_t a, std::uint32_t b) { return a < b ? Arc{a, b} : Arc{b, a}; }

// Pairs random stubs, keeps the pairs that are new and not loops, and pairs the rest again (the
// practical form of Steger and Wormald); empty when it got stuck.
std::optional<Graph> draw_regular(std::uint32_t n, std::uint32_t degree, RngStream& rng) {
    std::vector<std::uint32_t> stubs;
    for (std::uint32_t i = 0; i < n; ++i) stubs.insert(stubs.end(), degree, i);
    std::set<Arc> pairs;
    int idle = 0;
    while (!stubs.empty()) {
        rng.shuffle(std::span(stubs));
        std::vector<std::uint32_t> left;
        for (std::size_t k = 0; k + 1 < stubs.size(); k += 2) {
            const Arc pair = ordered(stubs[k], stubs[k + 1]);
            if (pair.from == pair.to || !pairs.insert(pair).second)
                left.insert(left.end(), {pair.from, pair.to});
        }
        idle = left.size() == stubs.size() ? idle + 1 : 0;
        if (idle > 20) return std::nullopt;
        stubs = std::move(left);
    }
    Arcs arcs(n);
    for (const Arc& pair : pairs) arcs.both_ways(pair.from, pair.to);
    return single(n, arcs);
}

Graph draw_small_world(std::uint32_t n, std::uint32_t degree, double rewire, RngStream& rng) {
    std::set<Arc> pairs;
    for (std::uint32_t i = 0; i < n; ++i)
        for (std::uint32_t k = 1; k <= degree / 2; ++k) pairs.insert(ordered(i, (i + k) % n));
    for (std::uint32_t k = 1; k <= degree / 2; ++k)
        for (std::uint32_t i = 0; i < n; ++i) {
            if (rng.uniform() >= rewire) continue;
            const Arc old = ordered(i, (i + k) % n);
            const Arc shortcut = ordered(i, static_cast<std::uint32_t>(rng.below(n)));
            if (shortcut.from == shortcut.to || !pairs.contains(old)) continue;
            if (pairs.insert(shortcut).second) pairs.erase(old);
        }
    Arcs arcs(n);
    for (const Arc& pair : pairs) arcs.both_ways(pair.from, pair.to);
    return single(n, arcs);
}

Result<Graph> draw_connected(const GraphOptions& options, std::uint32_t n, RunSeed seed) {
    const std::uint32_t degree = options.degree;
    const bool regular = options.kind == GraphKind::random_regular;
    if (degree == 0 || degree >= n)
        return cannot(options.kind, "degree " + std::to_string(degree) + " among " +
                                        std::to_string(n) + " peers");
    if (regular && std::uint64_t{degree} * n % 2 != 0)
        return cannot(options.kind, "peers times degree must be even");
    if (!regular && degree % 2 != 0) return cannot(options.kind, "the degree must be even");
    constexpr std::uint64_t kAttempts = 100;
    for (std::uint64_t attempt = 0; attempt < kAttempts; ++attempt) {
        auto rng = stream(seed, Purpose::topology, attempt);
        std::optional<Graph> graph;
        if (regular)
            graph = draw_regular(n, degree, rng);
        else
            graph = draw_small_world(n, degree, options.rewire, rng);
        if (graph && is_connected(*graph)) return *std::move(graph);
    }
    return cannot(options.kind, "no connected graph in 100 draws", "raise topology.degree");
}

Result<Graph> read_edges(const GraphOptions& options, std::uint32_t n) {
    Arcs arcs(n);
    for (const std::string& text : options.edges) {
        const char* end = text.data() + text.size();
        std::uint32_t a = 0, b = 0;
        auto first = std::from_chars(text.data(), end, a);
        const bool separated =
            first.ec == std::errc() && first.ptr != end && (*first.ptr == '-' || *first.ptr == '>');
        auto second = separated ? std::from_chars(first.ptr + 1, end, b) : first;
        if (!separated || second.ec != std::errc() || second.ptr != end)
            return cannot(options.kind, "\"" + text + "\" is not of the form \"0-3\" or \"0>3\"");
        if (a >= n || b >= n || a == b)
            return cannot(options.kind, "\"" + text + "\" does not join two of the " +
                                            std::to_string(n) + " places, which count from 0");
        if (*first.ptr == '-')
            arcs.both_ways(a, b);
        else
            arcs.one_way(a, b);
    }
    return single(n, arcs);
}

bool reaches_all(std::uint32_t n, const std::vector<std::vector<std::uint32_t>>& next) {
    std::vector<bool> seen(n, false);
    std::vector<std::uint32_t> queue{0};
    seen[0] = true;
    for (std::size_t k = 0; k < queue.size(); ++k)
        for (std::uint32_t to : next[queue[k]])
            if (!seen[to]) seen[to] = true, queue.push_back(to);
    return queue.size() == n;
}

}  // namespace

std::string_view to_string(GraphKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

Result<Graph> make_graph(const GraphOptions& options, std::uint32_t n, RunSeed seed) {
    if (n == 0) return cannot(options.kind, "no peers");
    Arcs arcs(n);
    switch (options.kind) {
        case GraphKind::ring:
            for (std::uint32_t i = 0; i < n; ++i) arcs.both_ways(i, std::uint64_t{i} + 1);
            return single(n, arcs);
        case GraphKind::chain:
            for (std::uint32_t i = 0; i + 1 < n; ++i) arcs.both_ways(i, i + 1);
            return single(n, arcs);
        case GraphKind::star:
            for (std::uint32_t i = 1; i < n; ++i) arcs.both_ways(0, i);
            return single(n, arcs);
        case GraphKind::complete:
            for (std::uint32_t i = 0; i < n; ++i)
                for (std::uint32_t k = i + 1; k < n; ++k) arcs.both_ways(i, k);
            return single(n, arcs);
        case GraphKind::torus: return make_torus(options, n);
        case GraphKind::hypercube:
            if ((n & (n - 1)) != 0)
                return cannot(options.kind, std::to_string(n) + " peers are not a power of two");
            for (std::uint32_t i = 0; i < n; ++i)
                for (std::uint32_t bit = 1; bit < n; bit <<= 1) arcs.one_way(i, i ^ bit);
            return single(n, arcs);
        case GraphKind::exponential:
            for (std::uint32_t i = 0; i < n; ++i)
                for (std::uint32_t k = 0; k < ceil_log2(n); ++k)
                    arcs.one_way(i, i + (std::uint64_t{1} << k));
            return single(n, arcs);
        case GraphKind::one_peer_exponential: return make_one_peer(n);
        case GraphKind::random_regular:
        case GraphKind::small_world: return draw_connected(options, n, seed);
        case GraphKind::edges: return read_edges(options, n);
    }
    return cannot(options.kind, "unknown kind");
}

bool is_connected(const Graph& graph) {
    if (graph.place_count == 0) return true;
    std::vector<std::vector<std::uint32_t>> forth(graph.place_count), back(graph.place_count);
    for (const auto& phase : graph.phases)
        for (const Arc& arc : phase) {
            forth[arc.from].push_back(arc.to);
            back[arc.to].push_back(arc.from);
        }
    return reaches_all(graph.place_count, forth) && reaches_all(graph.place_count, back);
}

}  // namespace gossamer::topology
