// top1 and top10: the values of largest magnitude, exactly, ties to the lowest place, as the card
// picks them (learning/cuda/top.hpp).
//
// Sorting would cost ten times what reading does. A sample tells about where the smallest value to
// keep lies; one pass gathers all that lie above, some more than are wanted, and only those are
// compared. Where the sample misleads, counting passes over the bits of the magnitudes find the
// exact limit. So the sample decides how long it takes, never what is chosen.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

#include "gossamer/base/assert.hpp"
#include "learning/codec/built_in.hpp"
#include "learning/codec/loops.hpp"

namespace gossamer::codec {
namespace {

constexpr std::uint32_t kInfinity = 0x7f800000;
constexpr std::size_t kHead = sizeof(std::uint32_t), kEntry = sizeof(std::uint32_t) + sizeof(float);

std::uint32_t place_at(ByteView encoded, std::uint32_t entry) {
    std::uint32_t place = 0;
    std::memcpy(&place, encoded.data() + kHead + entry * sizeof place, sizeof place);
    return place;
}

std::uint32_t magnitude(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7fffffffu; }

// All of magnitude above `least` are chosen, and the first `ties` of those equal to it.
struct Limit {
    std::uint32_t least = 0;
    std::size_t ties = 0;
};

// Bins of the leading bits, then of those that follow among the values in that bin, and once more.
Limit limit_among(std::span<const float> values, std::size_t wanted) {
    Limit limit{0, wanted};
    int upper = 31;  // bits of `least` from here on are known
    for (int bits : {11, 10, 10}) {
        std::array<std::uint32_t, std::size_t{1} << 11> bins{};
        const int shift = upper - bits;
        const std::uint32_t mask = (1u << bits) - 1;
        const auto known = std::uint64_t{limit.least} >> upper;
        for (float v : values) {
            const auto m = magnitude(v);
            if (std::uint64_t{m} >> upper == known) ++bins[(m >> shift) & mask];
        }
        std::size_t bin = mask;
        while (bin > 0 && bins[bin] < limit.ties) limit.ties -= bins[bin--];
        limit.least |= static_cast<std::uint32_t>(bin) << shift;
        upper = shift;
    }
    return limit;
}

// What is chosen from: the values, or their sums with what was left unsent, made block by block
// where what is not chosen will stay.
struct Sums {
    std::span<const float> values, residual;
    std::span<float> made;  // empty: of the values themselves

    float at(std::size_t i) const { return residual.empty() ? values[i] : values[i] + residual[i]; }
    const float* make(std::size_t first, std::size_t count) const {
        const float* x = values.data() + first;
        if (made.empty()) return x;
        if (residual.empty())
            std::copy_n(x, count, made.data() + first);
        else
            add_residual(made.data() + first, x, residual.data() + first, count);
        return made.data() + first;
    }
};

// A magnitude that some more than `wanted` sums reach, if the sample does not mislead.
std::int32_t guess(const Sums& sums, std::size_t wanted) {
    constexpr std::size_t kSample = 8192;
    const auto count = sums.values.size(), size = std::min(count, kSample);
    std::vector<std::uint32_t> sample(size);
    // One of each stretch, at a place that does not go with the shapes of layers.
    const auto stretch = count / size;
    for (std::size_t i = 0; i < size; ++i)
        sample[i] = magnitude(sums.at(i * stretch + (i * 0x9e3779b1u >> 7) % stretch));
    // Three deviations more than its share: one in a thousand guesses is too high.
    const double share =
        static_cast<double>(wanted) / static_cast<double>(count) * static_cast<double>(size);
    const auto place = static_cast<std::size_t>(share + 3 * std::sqrt(share) + 2);
    if (place >= size) return 0;
    auto nth = sample.begin() + static_cast<std::ptrdiff_t>(place);
    std::nth_element(sample.begin(), nth, sample.end(), std::greater<>());
    return static_cast<std::int32_t>(*nth);
}

class TopCodec final : public Codec {
public:
    TopCodec(std::string_view name, std::uint8_t wire_id, std::size_t one_in)
        : name_(name), wire_id_(wire_id), one_in_(one_in) {}

    CodecTraits traits() const override {
        return {.name = name_,
                .wire_id = wire_id_,
                .needs_base = true,
                .error_feedback = true,
                .contraction = 1.0 / static_cast<double>(one_in_)};
    }
    std::size_t wanted(std::size_t count) const { return (count + one_in_ - 1) / one_in_; }
    std::size_t bytes_max(std::size_t count) const override {
        return kHead + kEntry * wanted(count);
    }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const EncodeState& state) const override;
    Status check(ByteView encoded, std::size_t count) const override;
    void decode(std::span<float> out, ByteView encoded, std::size_t count,
                std::size_t first) const override;

private:
    std::string_view name_;
    std::uint8_t wire_id_;
    std::size_t one_in_;
};

Result<std::size_t> TopCodec::encode(std::span<std::byte> out, std::span<const float> values,
                                     const EncodeState& state) const {
    GOSSAMER_ASSERT(out.size() >= bytes_max(values.size()), "room for the encoded update");
    GOSSAMER_ASSERT(values.size() < (std::size_t{1} << 32), "places fit 32 bits");
    const auto count = static_cast<std::uint32_t>(wanted(values.size()));
    std::memcpy(out.data(), &count, kHead);
    if (count == 0) return kHead;
    std::vector<float> own;
    Sums sums{values, state.residual, state.next_residual};
    if (!sums.residual.empty() && sums.made.empty()) own.resize(values.size()), sums.made = own;
    const auto room = 2 * std::size_t{count} + kBlock;
    const auto places = std::make_unique_for_overwrite<std::uint32_t[]>(room);
    const auto candidates = std::make_unique_for_overwrite<float[]>(room);
    const auto least = guess(sums, count);
    std::size_t found = 0;
    for (std::size_t at = 0; at < values.size(); at += kBlock) {
        const auto size = std::min(kBlock, values.size() - at);
        const float* block = sums.make(at, size);
        if (found > room) continue;  // the guess was too low
        found += gather_above({places.get() + found, candidates.get() + found, room - found}, block,
                              size, at, least);
    }
    const bool guessed = found >= count && found <= room;
    const auto among = guessed             ? std::span<const float>(candidates.get(), found)
                       : sums.made.empty() ? values
                                           : sums.made;
    auto limit = limit_among(among, count);
    auto* to = out.data() + kHead;
    auto* kept = to + sizeof(std::uint32_t) * count;
    for (std::size_t i = 0, taken = 0; taken < count; ++i) {
        const auto place = guessed ? places[i] : static_cast<std::uint32_t>(i);
        const float value = among[i];
        const auto size = magnitude(value);
        if (size < limit.least || (size == limit.least && limit.ties == 0)) continue;
        if (size >= kInfinity) return not_finite(value, place);  // it is larger than all others
        limit.ties -= size == limit.least;
        std::memcpy(to + taken * sizeof place, &place, sizeof place);
        std::memcpy(kept + taken * sizeof value, &value, sizeof value);
        if (!state.next_residual.empty()) state.next_residual[place] = 0;
        ++taken;
    }
    return bytes_max(values.size());
}

// Fewer than are wanted would do no harm; places that come twice, or lie outside, would.
Status TopCodec::check(ByteView encoded, std::size_t count) const {
    std::uint32_t kept = 0, before = 0;
    if (encoded.size() >= kHead) std::memcpy(&kept, encoded.data(), kHead);
    if (encoded.size() < kHead || encoded.size() != kHead + kEntry * std::size_t{kept} ||
        kept > wanted(count))
        return fail(ErrorCode::kUpdateSize,
                    std::to_string(encoded.size()) + " bytes for " + std::to_string(kept) +
                        " values, where " + std::to_string(count) + " values in " +
                        std::string(name_) + " take at most " + std::to_string(bytes_max(count)));
    for (std::uint32_t i = 0; i < kept; ++i) {
        const auto place = place_at(encoded, i);
        if (place >= count || (i > 0 && place <= before))
            return fail(ErrorCode::kUpdateSize, "place " + std::to_string(place) + " of entry " +
                                                    std::to_string(i) + " is out of order");
        before = place;
    }
    return {};
}

void TopCodec::decode(std::span<float> out, ByteView encoded, std::size_t,
                      std::size_t first) const {
    std::uint32_t kept = 0;
    std::memcpy(&kept, encoded.data(), kHead);
    std::ranges::fill(out, 0.0f);
    // The first entry at or behind `first`.
    std::uint32_t low = 0, high = kept;
    while (low < high) {
        const auto middle = low + (high - low) / 2;
        if (place_at(encoded, middle) < first)
            low = middle + 1;
        else
            high = middle;
    }
    const auto* values = encoded.data() + kHead + sizeof(std::uint32_t) * std::size_t{kept};
    for (auto i = low; i < kept; ++i) {
        const auto at = place_at(encoded, i) - first;
        if (at >= out.size()) break;
        std::memcpy(&out[at], values + i * sizeof(float), sizeof(float));
    }
}

constexpr std::size_t one_in(std::uint8_t wire_id) { return wire_id == kTop1Id ? 100 : 10; }

}  // namespace

std::uint32_t top_count(std::uint8_t wire_id, std::size_t count) {
    return static_cast<std::uint32_t>((count + one_in(wire_id) - 1) / one_in(wire_id));
}

CodecRef top1_codec() { return std::make_shared<TopCodec>("top1", kTop1Id, one_in(kTop1Id)); }
CodecRef top10_codec() { return std::make_shared<TopCodec>("top10", kTop10Id, one_in(kTop10Id)); }

}  // namespace gossamer::codec
