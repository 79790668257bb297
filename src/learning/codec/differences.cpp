#include "learning/codec/differences.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "gossamer/base/prefetch.hpp"

namespace gossamer::codec {

namespace {
constexpr std::size_t kLine = tensor::Line::kFloats;
}

Differences::Differences(std::size_t count, const tensor::Layout* layout) : count_(count) {
    if (count <= kAll) {
        for (std::size_t at = 0; at + kLine <= count; at += kLine) lines_.push_back({at, 1});
        values_ = static_cast<double>(count);
        return;
    }
    if (layout != nullptr)
        for (const auto& tensor : layout->tensors()) choose_from(tensor.offset, tensor.count);
    if (lines_.empty()) choose_from(0, count);
}

// Spread over the tensor, but not evenly: its rows would show the same columns.
void Differences::choose_from(std::size_t first, std::size_t count) {
    const auto begin = (first + kLine - 1) / kLine, end = (first + count) / kLine;
    if (begin >= end) return;
    const auto together = std::min(kTogether, end - begin);
    const auto whole = (end - begin) / together, taken = std::min(whole, kPlacesMost);
    for (std::size_t i = 0; i < taken; ++i) {
        const auto from = whole * i / taken, to = whole * (i + 1) / taken;
        const auto draw = static_cast<std::uint32_t>(i + first) * 2654435769u >> 16;
        for (std::size_t k = 0; k < together; ++k)
            lines_.push_back({(begin + (from + draw % (to - from)) * together + k) * kLine,
                              static_cast<double>(whole) / static_cast<double>(taken)});
    }
    values_ += static_cast<double>(whole * together * kLine);
}

void Differences::add(std::span<const tensor::Weighted> rows, std::size_t self, std::size_t at,
                      std::size_t length) {
    const auto begin = next_;
    while (next_ < lines_.size() && lines_[next_].first < at + length) ++next_;
    const auto lines = std::span(lines_).subspan(begin, next_ - begin);
    lanes_.resize(rows.size());
    // Lines that lie far apart: asked for all at once they take less than half of the time.
    const auto ask_for = [&](std::size_t k) {
        if (count_ <= kAll || k >= rows.size()) return;
        for (const auto& line : lines) prefetch(rows[k].values + (line.first - at), 1);
    };
    ask_for(self);
    ask_for(self == 0 ? 1 : 0);
    for (std::size_t k = 0; k < rows.size(); ++k) {
        if (k == self) continue;
        ask_for(k + 1 == self ? k + 2 : k + 1);
        const float *own = rows[self].values, *other = rows[k].values;
        tensor::add_squared_differences(lanes_[k], own, other, at, lines);
        if (count_ > kAll || at + length < count_) continue;
        for (auto i = count_ / kLine * kLine - at; i < length; ++i) {
            const double apart = static_cast<double>(own[i]) - static_cast<double>(other[i]);
            rest_ += apart * apart;
        }
    }
}

double Differences::root_mean() const {
    double sum = rest_;
    for (const auto& lanes : lanes_)
        for (const double lane : lanes) sum += lane;
    const double terms = values_ * (static_cast<double>(lanes_.size()) - 1);
    return terms > 0 ? std::sqrt(sum / terms) : 0;
}

}  // namespace gossamer::codec
