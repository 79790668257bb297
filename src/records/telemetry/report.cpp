#include "records/telemetry/report.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

#include "gossamer/base/assert.hpp"

namespace gossamer::telemetry {
namespace {

// The quantile by linear interpolation between the two nearest of the sorted values.
double quantile(std::span<const double> sorted, double share) {
    const double place = share * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const auto above = std::min(below + 1, sorted.size() - 1);
    const double part = place - static_cast<double>(below);
    return sorted[below] + part * (sorted[above] - sorted[below]);
}

}  // namespace

Spread Spread::of(std::span<const double> values) {
    std::vector<double> sorted;
    sorted.reserve(values.size());
    double sum = 0;
    for (const double value : values)
        if (!std::isnan(value)) sorted.push_back(value), sum += value;
    if (sorted.empty()) return {};
    std::ranges::sort(sorted);
    return {.mean = sum / static_cast<double>(sorted.size()),
            .lower_quartile = quantile(sorted, 0.25),
            .upper_quartile = quantile(sorted, 0.75),
            .least = sorted.front(),
            .greatest = sorted.back()};
}

void Series::add(const Moment& at, const Spread& value) {
    if (points_.size() >= kPointsKept) points_ = thinned(points_, kPointsKept / 2);
    points_.push_back({at, value});
}

std::vector<SeriesPoint> thinned(std::span<const SeriesPoint> points, std::size_t point_max) {
    GOSSAMER_ASSERT(point_max >= 16, "too few points for their extremes");
    if (points.size() <= point_max) return {points.begin(), points.end()};
    const auto mean = [](const SeriesPoint& p) { return p.value.mean; };
    const auto least = [](const SeriesPoint& p) { return p.value.least; };
    const auto greatest = [](const SeriesPoint& p) { return p.value.greatest; };
    const std::size_t stretch_count = (point_max - 2) / 4;
    std::vector<std::size_t> kept{0, points.size() - 1};
    for (std::size_t s = 0; s < stretch_count; ++s) {
        const auto begin = points.size() * s / stretch_count;
        const auto end = points.size() * (s + 1) / stretch_count;
        const auto keep = [&](const auto& of, auto better) {
            std::optional<std::size_t> best;
            for (auto i = begin; i < end; ++i)
                if (!std::isnan(of(points[i])) &&
                    (!best || better(of(points[i]), of(points[*best]))))
                    best = i;
            if (best) kept.push_back(*best);
        };
        keep(mean, std::less<>());
        keep(mean, std::greater<>());
        keep(least, std::less<>());
        keep(greatest, std::greater<>());
    }
    std::ranges::sort(kept);
    kept.erase(std::ranges::unique(kept).begin(), kept.end());
    std::vector<SeriesPoint> out;
    out.reserve(kept.size());
    for (const auto i : kept) out.push_back(points[i]);
    return out;
}

Series predicted_consensus(const Series& measured, double spectral_gap, double drift) {
    Series out("predicted by the spectral gap");
    if (measured.points().empty() || !(spectral_gap >= 0 && spectral_gap <= 1)) return out;
    const double shrink = 1 - spectral_gap;
    // After n rounds: d_n^2 = shrink^2n d_0^2 + drift^2 (shrink^2 + shrink^4 + ... + shrink^2n).
    const auto& first = measured.points().front();
    const double squared = shrink * shrink, start = first.value.mean * first.value.mean;
    for (const auto& point : measured.points()) {
        const double rounds = point.at.round - first.at.round;
        if (!(rounds >= 0)) continue;
        const double left = std::pow(squared, rounds);
        const double sum = squared < 1 ? squared * (1 - left) / (1 - squared) : rounds;
        out.add(point.at, std::sqrt(left * start + drift * drift * sum));
    }
    return out;
}

void Timeline::add(std::size_t peer, Activity what, double begin, double end) {
    if (!wants(peer) || !(end > begin)) return;
    if (rows_.size() <= peer) rows_.resize(peer + 1);
    auto& row = rows_[peer];
    const double small = 1e-9 * std::max(1.0, std::abs(begin));
    if (!row.empty() && row.back().what == what && begin <= row.back().end + small) {
        row.back().end = std::max(row.back().end, end);
        return;
    }
    if (row.size() >= kSpansKept) {
        if (!(cut_at_ <= begin)) cut_at_ = begin;
        return;
    }
    row.push_back({begin, end, what});
}

}  // namespace gossamer::telemetry
