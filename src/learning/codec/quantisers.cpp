// int8 and sign: a scale for each block of 1,024 values, so that one large value costs its own
// block alone.
#include <algorithm>
#include <bit>
#include <cstring>

#include "gossamer/base/assert.hpp"
#include "learning/codec/built_in.hpp"
#include "learning/codec/loops.hpp"

namespace gossamer::codec {
namespace {

constexpr std::int32_t kInfinity = 0x7f800000;  // as bits
constexpr std::size_t kScaleBytes = sizeof(float);

std::size_t blocks_of(std::size_t count) { return (count + kBlock - 1) / kBlock; }

// For the message: the first of `values`, which begin at `at`, that is not finite.
tl::unexpected<Error> refuse(std::span<const float> values, std::size_t at) {
    std::size_t i = 0;
    while (i + 1 < values.size() &&
           (std::bit_cast<std::int32_t>(values[i]) & 0x7fffffff) < kInfinity)
        ++i;
    return not_finite(values[i], at + i);
}

// Each value becomes one of the two multiples of largest / 127 beside it, by chance, so that its
// mean is exact (QSGD, Alistarh et al. 2017, with the largest for the length). The error of a value
// is below one step, and the largest has none: of a block's squares at most 1,023 / 127² are lost.
class Int8Codec final : public Codec {
public:
    CodecTraits traits() const override {
        return {.name = "int8",
                .wire_id = kInt8Id,
                .block_bytes = kScaleBytes + kBlock,
                .needs_base = true,
                .unbiased = true,
                .contraction = 1 - 1023.0 / (127.0 * 127.0)};
    }
    std::size_t bytes_max(std::size_t count) const override {
        return kScaleBytes * blocks_of(count) + count;
    }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const EncodeState& state) const override {
        GOSSAMER_ASSERT(out.size() >= bytes_max(values.size()), "room for the encoded update");
        GOSSAMER_ASSERT(state.first % kBlock == 0, "a part begins with a block");
        const auto key = rounding_key(state);
        std::int8_t room[kBlock];
        auto* to = out.data();
        for (std::size_t at = 0; at < values.size(); at += kBlock) {
            const auto part = values.subspan(at, std::min(kBlock, values.size() - at));
            const auto bits = largest_in_block(part.data(), part.size());
            if (bits >= kInfinity) return refuse(part, state.first + at);
            if (bits >= kTooLarge)
                return fail(ErrorCode::kUpdateTooLarge,
                            "a value between " + std::to_string(state.first + at) + " and " +
                                std::to_string(state.first + at + part.size()) + " is " +
                                std::to_string(std::bit_cast<float>(bits)) +
                                ", beyond the range of int8",
                            "Use codec f32.");
            // Below, 127 / largest has no float: such a block is as good as zero.
            const float largest = bits >= kLeast ? std::bit_cast<float>(bits) : 0.0f;
            const float scale = largest / 127.0f, factor = largest > 0 ? 127.0f / largest : 0.0f;
            round_by_chance(room, part.data(), part.size(), factor,
                            block_key(key, (state.first + at) / kBlock));
            std::memcpy(to, &scale, sizeof scale);
            std::memcpy(to + kScaleBytes, room, part.size());
            to += kScaleBytes + part.size();
        }
        return bytes_max(values.size());
    }
    Status check(ByteView encoded, std::size_t count) const override {
        return check_size(encoded, count, *this);
    }
    void decode(std::span<float> out, ByteView encoded, std::size_t,
                std::size_t first) const override {
        std::int8_t room[kBlock];
        const auto* from = encoded.data() + first / kBlock * (kScaleBytes + kBlock);
        for (std::size_t at = 0; at < out.size(); at += kBlock, from += kScaleBytes + kBlock) {
            const auto part = out.subspan(at, std::min(kBlock, out.size() - at));
            float scale = 0;
            std::memcpy(&scale, from, sizeof scale);
            std::memcpy(room, from + kScaleBytes, part.size());
            scale_bytes(part.data(), room, part.size(), scale);
        }
    }

private:
    static constexpr std::int32_t kLeast = 0x03800000;     // 2^-120
    static constexpr std::int32_t kTooLarge = 0x7f000000;  // 2^127: times 127 / 127 may overflow
};

// Each value becomes its block's mean magnitude with its own sign (EF-SignSGD, Karimireddy et al.
// 2019, per block). Of a block's squares |x|₁² / (d |x|₂²) are kept: all where magnitudes are
// equal, 2 / pi where they are normal, 1 / d at worst.
class SignCodec final : public Codec {
public:
    CodecTraits traits() const override {
        return {.name = "sign",
                .wire_id = kSignId,
                .block_bytes = kScaleBytes + kBlock / 8,
                .needs_base = true,
                .error_feedback = true,
                .contraction = 1.0 / kBlock};
    }
    std::size_t bytes_max(std::size_t count) const override {
        return kScaleBytes * blocks_of(count) + count / kBlock * (kBlock / 8) +
               (count % kBlock + 7) / 8;
    }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const EncodeState& state) const override {
        GOSSAMER_ASSERT(out.size() >= bytes_max(values.size()), "room for the encoded update");
        float sum[kBlock];
        std::uint8_t bits[kBlock / 8];
        auto* to = out.data();
        for (std::size_t at = 0; at < values.size(); at += kBlock) {
            const auto size = std::min(kBlock, values.size() - at);
            const auto* residual = state.residual.empty() ? nullptr : state.residual.data() + at;
            if (at + 2 * kBlock <= values.size()) {
                ask_for(values.data() + at + kBlock);
                if (residual) ask_for(residual + kBlock);
            }
            if (sum_block(sum, values.data() + at, residual, size) >= kInfinity)
                return refuse({sum, size}, state.first + at);
            const auto scale =
                static_cast<float>(magnitude_of_block(sum, size) / static_cast<double>(size));
            pack_signs(bits, sum, size);
            std::memcpy(to, &scale, sizeof scale);
            std::memcpy(to + kScaleBytes, bits, (size + 7) / 8);
            to += kScaleBytes + (size + 7) / 8;
            if (!state.next_residual.empty())
                beyond_signs(state.next_residual.data() + at, sum, size, scale);
        }
        return bytes_max(values.size());
    }
    Status check(ByteView encoded, std::size_t count) const override {
        return check_size(encoded, count, *this);
    }
    void decode(std::span<float> out, ByteView encoded, std::size_t,
                std::size_t first) const override {
        std::uint8_t bits[kBlock / 8];
        const auto* from = encoded.data() + first / kBlock * (kScaleBytes + kBlock / 8);
        for (std::size_t at = 0; at < out.size(); at += kBlock, from += kScaleBytes + kBlock / 8) {
            const auto part = out.subspan(at, std::min(kBlock, out.size() - at));
            float scale = 0;
            std::memcpy(&scale, from, sizeof scale);
            std::memcpy(bits, from + kScaleBytes, (part.size() + 7) / 8);
            unpack_signs(part.data(), bits, part.size(), scale);
        }
    }
};

}  // namespace

std::uint64_t rounding_key(const EncodeState& state) {
    return stream(state.seed, Purpose::codec, state.round, state.who).next_u64();
}

CodecRef int8_codec() { return std::make_shared<Int8Codec>(); }
CodecRef sign_codec() { return std::make_shared<SignCodec>(); }

}  // namespace gossamer::codec
