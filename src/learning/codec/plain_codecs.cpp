#include "learning/codec/built_in.hpp"

#include <cmath>
#include <cstring>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/exact_sum.hpp"
#include "gossamer/tensor/kernels.hpp"

namespace gossamer::codec {

Status check_size(ByteView encoded, std::size_t count, const Codec& codec) {
    auto expected = codec.bytes_max(count);
    if (encoded.size() == expected) return {};
    return fail(ErrorCode::kUpdateSize, std::to_string(encoded.size()) + " bytes, where " +
                                            std::to_string(count) + " values in " +
                                            std::string(codec.traits().name) + " take " +
                                            std::to_string(expected));
}

tl::unexpected<Error> not_finite(float value, std::size_t at) {
    return fail(ErrorCode::kUpdateNotFinite,
                "element " + std::to_string(at) + " is " + std::to_string(value));
}

namespace {

class Float32Codec final : public Codec {
public:
    CodecTraits traits() const override {
        return {.name = "f32",
                .wire_id = kFloat32Id,
                .block_bytes = kBlock * sizeof(float),
                .identity = true,
                .unbiased = true,
                .contraction = 1};
    }
    std::size_t bytes_max(std::size_t count) const override { return count * sizeof(float); }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const EncodeState&) const override {
        GOSSAMER_ASSERT(out.size() >= values.size_bytes(), "room for the encoded update");
        if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
        return values.size_bytes();
    }
    Status check(ByteView encoded, std::size_t count) const override {
        return check_size(encoded, count, *this);
    }
    void decode(std::span<float> out, ByteView encoded, std::size_t,
                std::size_t first) const override {
        auto part = encoded.subspan(first * sizeof(float), out.size_bytes());
        if (!part.empty()) std::memcpy(out.data(), part.data(), part.size());
    }
};

// The two sixteen-bit forms differ in their kernels and their range.
struct Rounding {
    void (*to)(std::span<std::uint16_t>, std::span<const float>);
    void (*from)(std::span<float>, std::span<const std::uint16_t>);
    double finite_below;  // a magnitude from here on rounds to infinity
};

class SixteenBitCodec final : public Codec {
public:
    SixteenBitCodec(std::string_view name, std::uint8_t wire_id, Rounding rounding)
        : name_(name), wire_id_(wire_id), rounding_(rounding) {}

    CodecTraits traits() const override {
        return {.name = name_, .wire_id = wire_id_, .block_bytes = kBlock * sizeof(std::uint16_t)};
    }
    std::size_t bytes_max(std::size_t count) const override {
        return count * sizeof(std::uint16_t);
    }
    Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                               const EncodeState&) const override {
        GOSSAMER_ASSERT(out.size() >= bytes_max(values.size()), "room for the encoded update");
        auto most = std::nextafter(rounding_.finite_below, 0.0);
        std::uint16_t block[kBlock];
        for (std::size_t at = 0; at < values.size(); at += kBlock) {
            auto part = values.subspan(at, std::min(kBlock, values.size() - at));
            if (auto bad = tensor::first_bad(part, most); bad < part.size())
                return refuse(part[bad], at + bad);
            rounding_.to({block, part.size()}, part);
            std::memcpy(out.data() + at * sizeof(std::uint16_t), block,
                        part.size() * sizeof(std::uint16_t));
        }
        return bytes_max(values.size());
    }
    Status check(ByteView encoded, std::size_t count) const override {
        return check_size(encoded, count, *this);
    }
    void decode(std::span<float> out, ByteView encoded, std::size_t,
                std::size_t first) const override {
        std::uint16_t block[kBlock];
        for (std::size_t at = 0; at < out.size(); at += kBlock) {
            auto part = out.subspan(at, std::min(kBlock, out.size() - at));
            std::memcpy(block, encoded.data() + (first + at) * sizeof(std::uint16_t),
                        part.size() * sizeof(std::uint16_t));
            rounding_.from(part, {block, part.size()});
        }
    }

private:
    tl::unexpected<Error> refuse(float value, std::size_t at) const {
        if (!std::isfinite(value)) return not_finite(value, at);
        return fail(ErrorCode::kUpdateTooLarge,
                    "element " + std::to_string(at) + " is " + std::to_string(value) +
                        ", beyond the range of " + std::string(name_),
                    "Use codec bf16 or f32.");
    }
    std::string_view name_;
    std::uint8_t wire_id_;
    Rounding rounding_;
};

}  // namespace

CodecRef float32_codec() { return std::make_shared<Float32Codec>(); }

CodecRef half_codec() {
    return std::make_shared<SixteenBitCodec>("f16", kHalfId,
                                             Rounding{tensor::to_half, tensor::from_half, 65520.0});
}

CodecRef bfloat16_codec() {
    return std::make_shared<SixteenBitCodec>(
        "bf16", kBfloat16Id, Rounding{tensor::to_bfloat16, tensor::from_bfloat16, 0x1.ffp127});
}

}  // namespace gossamer::codec
