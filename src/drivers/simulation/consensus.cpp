#include "drivers/simulation/consensus.hpp"

#include <algorithm>
#include <cmath>

namespace gossamer::simulation {

ConsensusMeter::ConsensusMeter(std::size_t parameter_count, std::size_t peer_count)
    : parameter_count_(parameter_count), peer_count_(peer_count) {
    const auto whole = (parameter_count + kBlock - 1) / kBlock;
    const auto count = std::min(whole, kBlocksMax);
    for (std::size_t i = 0; i < count; ++i) blocks_.push_back(whole * i / count * kBlock);
}

std::vector<float> ConsensusMeter::sample(const tensor::Model& model) const {
    if (!model.exists() || !model.filled()) return {};
    if (model.size_bytes() != parameter_count_ * sizeof(float)) return {};
    std::vector<float> sample(std::min(blocks_.size() * kBlock, parameter_count_));
    std::size_t at = 0;
    for (const auto from : blocks_) {
        const auto count = std::min(kBlock, parameter_count_ - from);
        model.read(from, std::span(sample).subspan(at, count));
        at += count;
    }
    return sample;
}

void ConsensusMeter::add(std::uint64_t step, std::span<const float> sample) {
    if (sample.empty() || distances_.contains(step)) return;
    auto& open = open_[step];
    if (open.count++ == 0) {
        open.sums.resize(sample.size());
        open.first.assign(sample.begin(), sample.end());
    } else {
        for (std::size_t k = 0; k < sample.size(); ++k) {
            const double difference = double{sample[k]} - double{open.first[k]};
            open.sums[k] += difference;
            open.squares += difference * difference;
        }
    }
    if (open.count == peer_count_) close(open_.find(step));
    while (open_.size() > kOpenMax) close(open_.begin());
}

void ConsensusMeter::close(std::map<std::uint64_t, Open>::iterator at) {
    const auto& open = at->second;
    if (open.count > 1 && !open.sums.empty()) {
        const auto count = static_cast<double>(open.count);
        double squares = open.squares / count;
        for (const double sum : open.sums) squares -= sum / count * (sum / count);
        distances_[at->first] =
            std::sqrt(std::max(0.0, squares) / static_cast<double>(open.sums.size()));
    }
    open_.erase(at);
    if (distances_.size() <= kStepsMax) return;
    every_ *= 2;
    std::erase_if(distances_, [&](const auto& entry) { return !wants(entry.first); });
}

void ConsensusMeter::finish() {
    while (!open_.empty()) close(open_.begin());
}

}  // namespace gossamer::simulation
