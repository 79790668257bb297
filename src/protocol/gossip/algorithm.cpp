#include "gossamer/gossip/algorithm.hpp"

#include "gossamer/base/assert.hpp"

namespace gossamer::gossip {

MixWeights Algorithm::weights(const StepView& view, std::span<const Received> heard,
                              const job::State&) const {
    MixWeights out{.self = view.self_weight, .heard = {}};
    std::size_t next = 0;
    for (const auto& edge : view.in) {
        if (next < heard.size() && heard[next].from == edge.peer) {
            out.heard.push_back(edge.weight);
            ++next;
        } else {
            out.self += edge.weight;  // exact: both are multiples of 2^-24
        }
    }
    GOSSAMER_ASSERT(next == heard.size(), "heard peers are in-neighbours, in PeerId order");
    return out;
}

std::optional<Arithmetic> Algorithm::combine(const StepView&, std::span<const Received>) const {
    return std::nullopt;
}

std::vector<AlgorithmEntry> built_in_algorithms() {
    return {
        {"d-psgd",
         "step, then average: x' = W (x - eta g)",
         {},
         [](const OptionSource&) -> Result<AlgorithmRef> { return d_psgd(); }},
        {"d-psgd-awc",
         "average and step: x' = W x - eta g; sends while it trains",
         {},
         [](const OptionSource&) -> Result<AlgorithmRef> { return d_psgd_awc(); }},
    };
}

Result<AlgorithmRef> make_algorithm(std::string_view name, const OptionSource& options,
                                    std::span<const AlgorithmEntry> more) {
    auto entries = built_in_algorithms();
    entries.insert(entries.end(), more.begin(), more.end());
    std::string known;
    for (const auto& entry : entries) {
        if (entry.name == name) return entry.make(options);
        known += (known.empty() ? "" : ", ") + entry.name;
    }
    return fail(ErrorCode::kAlgorithmUnknown,
                "gossip algorithm \"" + std::string(name) + "\"; known: " + known);
}

}  // namespace gossamer::gossip
