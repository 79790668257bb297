#include "gossamer/federated/strategy.hpp"

#include <algorithm>

#include "gossamer/base/assert.hpp"

namespace gossamer::federated {
namespace {

// ceil(x · n) in [1, n]; a share that is a whole number but for rounding is that number.
std::size_t share_of(double x, std::size_t n) {
    auto exact = x * static_cast<double>(n);
    auto whole = static_cast<std::size_t>(exact);
    if (exact - static_cast<double>(whole) > 1e-9) ++whole;
    return std::clamp<std::size_t>(whole, 1, n);
}

}  // namespace

Cohort select_at_random(const Selection& in) {
    auto count = in.candidates.size();
    GOSSAMER_ASSERT(count > 0, "a selection without candidates");
    auto least = static_cast<std::size_t>(std::min<std::uint64_t>(in.clients_min, count));
    auto wanted = std::max(share_of(in.fraction, count), least);
    auto exact = in.over_provision * static_cast<double>(wanted);
    auto invited = exact >= static_cast<double>(count)
                       ? count
                       : std::max(wanted, share_of(exact / static_cast<double>(count), count));
    Cohort cohort;
    cohort.wanted = wanted;
    for (const auto& candidate : in.candidates) cohort.peers.push_back(candidate.peer);
    if (invited < count) {
        auto draw = stream(in.seed, Purpose::selection, in.round, std::uint64_t{in.attempt});
        draw.shuffle(std::span(cohort.peers));
        cohort.peers.resize(invited);
    }
    std::sort(cohort.peers.begin(), cohort.peers.end());
    return cohort;
}

Result<job::State> Strategy::load_state(ByteView saved, std::size_t) const {
    if (saved.empty()) return job::State{};
    return fail(ErrorCode::kCheckpointFormat, "the checkpoint holds state of a strategy, but " +
                                                  std::string(traits().name) + " keeps none");
}

Bytes VectorState::save() const {
    ByteWriter out;
    out.put(static_cast<std::uint32_t>(vectors_.size()));
    for (const auto& v : vectors_) out.put_bytes(v.bytes());
    return out.take();
}

Result<job::State> VectorState::load(ByteView saved, std::size_t vector_count,
                                     std::size_t parameter_count) {
    ByteReader in(saved);
    auto byte_count = parameter_count * sizeof(float);
    if (in.get<std::uint32_t>() != vector_count || in.left() != vector_count * byte_count)
        return fail(ErrorCode::kCheckpointFormat, "the strategy's state has another size");
    auto pool = tensor::BufferPool::create(0);
    std::vector<tensor::Buffer> vectors;
    for (std::size_t k = 0; k < vector_count; ++k) {
        auto from = in.get_bytes(byte_count);
        auto buffer = pool->take(byte_count);
        std::copy(from.begin(), from.end(), buffer.bytes().begin());
        vectors.push_back(std::move(buffer));
    }
    return std::make_shared<VectorState>(std::move(vectors));
}

std::vector<tensor::Buffer> VectorState::copy_or_zeros(const job::State& state,
                                                       std::size_t vector_count,
                                                       std::size_t parameter_count,
                                                       const tensor::PoolRef& pool) {
    auto* old = dynamic_cast<const VectorState*>(state.get());
    GOSSAMER_ASSERT(!state || (old && old->size() == vector_count), "state of another strategy");
    std::vector<tensor::Buffer> vectors;
    for (std::size_t k = 0; k < vector_count; ++k) {
        auto buffer = pool->take_floats(parameter_count);
        if (old) {
            std::ranges::copy((*old)[k], buffer.floats().begin());
        } else {
            std::ranges::fill(buffer.floats(), 0.0F);
        }
        vectors.push_back(std::move(buffer));
    }
    return vectors;
}

std::vector<StrategyEntry> built_in_strategies() {
    using K = OptionKind;
    OptionTable avg = {{"federated.fed_avg.server_rate",
                        K::real,
                        1.0,
                        "",
                        "Multiplies the mean delta; below 1 damps, above 1 extrapolates.",
                        {},
                        1e-6,
                        100}};
    OptionTable avg_m = {
        {"federated.fed_avg_m.momentum",
         K::real,
         0.9,
         "",
         "Share of the last step that is kept; helps when clients' data differ much.",
         {},
         0,
         0.9999},
        {"federated.fed_avg_m.server_rate",
         K::real,
         1.0,
         "",
         "Multiplies the step; with momentum m the steady step is server_rate / (1 - m) times as "
         "long.",
         {},
         1e-6,
         100}};
    return {{"fed_avg", "mean of the clients' deltas, weighted by samples", avg,
             [](const OptionSource& o) -> Result<StrategyRef> {
                 return fed_avg(o.real("federated.fed_avg.server_rate"));
             }},
            {"fed_avg_m", "FedAvg with momentum at the server", avg_m,
             [](const OptionSource& o) -> Result<StrategyRef> {
                 return fed_avg_m(o.real("federated.fed_avg_m.momentum"),
                                  o.real("federated.fed_avg_m.server_rate"));
             }}};
}

Result<StrategyRef> make_strategy(std::string_view name, const OptionSource& options,
                                  std::span<const StrategyEntry> more) {
    auto entries = built_in_strategies();
    entries.insert(entries.end(), more.begin(), more.end());
    std::string names;
    for (const auto& entry : entries) {
        if (entry.name == name) return entry.make(options);
        names += (names.empty() ? "" : ", ") + entry.name;
    }
    return fail(ErrorCode::kAlgorithmUnknown, "no strategy is named \"" + std::string(name) + "\"",
                "Known: " + names + ".");
}

}  // namespace gossamer::federated
