#include "gossamer/codec/accumulate.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "gossamer/base/assert.hpp"
#include "gossamer/tensor/kernels.hpp"
#include "learning/codec/differences.hpp"

namespace gossamer::codec {
namespace {

// The values [at, at + count) of an encoded update: where they lie, or decoded into `room`.
class BlockReader {
public:
    BlockReader(const Codec& codec, ByteView encoded, std::size_t count)
        : codec_(codec), encoded_(encoded), count_(count) {
        auto address = reinterpret_cast<std::uintptr_t>(encoded.data());
        in_place_ = codec.traits().identity && address % alignof(float) == 0;
    }
    std::span<const float> read(std::size_t at, std::span<float> room) const {
        if (in_place_) return {reinterpret_cast<const float*>(encoded_.data()) + at, room.size()};
        codec_.decode(room, encoded_, count_, at);
        return room;
    }

private:
    const Codec& codec_;
    ByteView encoded_;
    std::size_t count_;
    bool in_place_ = false;
};

tl::unexpected<Error> refuse(float value, std::size_t at, double bound) {
    auto where = "element " + std::to_string(at) + " is " + std::to_string(value);
    if (!std::isfinite(value)) return fail(ErrorCode::kUpdateNotFinite, where);
    return fail(ErrorCode::kUpdateTooLarge, where + ", the bound " + std::to_string(bound));
}

}  // namespace

Status check_values(const Codec& codec, ByteView encoded, std::size_t count, double bound) {
    GOSSAMER_CHECK(codec.check(encoded, count));
    BlockReader reader(codec, encoded, count);
    float room[kBlock];
    for (std::size_t at = 0; at < count; at += kBlock) {
        auto part = reader.read(at, {room, std::min(kBlock, count - at)});
        if (auto bad = tensor::first_bad(part, bound); bad < part.size())
            return refuse(part[bad], at + bad, bound);
    }
    return {};
}

Status add_encoded(std::span<std::int64_t> sum, const Codec& codec, ByteView encoded, float weight,
                   tensor::ExactScale scale) {
    auto count = sum.size();
    GOSSAMER_CHECK(codec.check(encoded, count));
    BlockReader reader(codec, encoded, count);
    float room[kBlock];
    // The blocks before `end`, term by term: integers leave no trace. What threw once and throws
    // here too would leave a sum that nobody knows: that ends the process.
    auto take_out = [&](std::size_t end) noexcept {
        for (std::size_t back = 0; back < end; back += kBlock)
            tensor::exact_add(sum.subspan(back, kBlock), reader.read(back, {room, kBlock}), -weight,
                              scale);
    };
    for (std::size_t at = 0; at < count; at += kBlock) {
        auto length = std::min(kBlock, count - at);
        std::span<const float> part;
        try {
            part = reader.read(at, {room, length});
        } catch (...) {  // a codec of the user's own
            take_out(at);
            throw;
        }
        auto bad = tensor::exact_add_checked(sum.subspan(at, length), part, weight, scale);
        if (bad == length) continue;
        auto refused = refuse(part[bad], at + bad, scale.bound);
        take_out(at);
        return refused;
    }
    return {};
}

namespace {

// See the header; `look` is told of each block, its rows, and whether its mean is finite.
template <class Look>
Status mix_blocks(std::span<float> out, std::span<const MixInput> inputs, Look&& look) {
    auto count = out.size();
    std::vector<BlockReader> readers;
    readers.reserve(inputs.size());
    for (const auto& input : inputs) {
        GOSSAMER_CHECK(input.codec->check(input.encoded, count));
        GOSSAMER_ASSERT(input.base.empty() || input.base.size() == count, "a base of another size");
        readers.emplace_back(*input.codec, input.encoded, count);
    }
    const auto block = std::min(kBlock, count);
    std::vector<float> rooms(inputs.size() * block);
    std::vector<tensor::Weighted> rows(inputs.size());
    const auto writes = tensor::writes_of(out.size_bytes());
    for (std::size_t at = 0; at < count; at += kBlock) {
        auto length = std::min(kBlock, count - at);
        for (std::size_t k = 0; k < inputs.size(); ++k) {
            auto room = std::span(rooms).subspan(k * block, length);
            auto part = readers[k].read(at, room);
            if (!inputs[k].base.empty()) {
                tensor::add(room, part, inputs[k].base.subspan(at, length));
                part = room;
            }
            rows[k] = {part.data(), inputs[k].weight};
        }
        const bool finite = tensor::weighted_mean(out.subspan(at, length), rows, writes);
        GOSSAMER_CHECK(look(at, length, rows, finite));
    }
    return {};
}

}  // namespace

Status mix_encoded(std::span<float> out, std::span<const MixInput> inputs) {
    return mix_blocks(out, inputs, [](auto&&...) { return Status(); });
}

Status mix_encoded(std::span<float> out, std::span<const MixInput> inputs, MixCheck& check) {
    constexpr double kBound = std::numeric_limits<float>::max();
    Differences differences(out.size(), check.layout);
    auto look = [&](std::size_t at, std::size_t length, const auto& rows, bool finite) -> Status {
        for (std::size_t k = 0; !finite && k < rows.size(); ++k) {
            if (k == check.self) continue;
            const std::span part(rows[k].values, length);
            if (auto bad = tensor::first_bad(part, kBound); bad < length) {
                check.bad = k;
                return refuse(part[bad], at + bad, kBound);
            }
        }
        differences.add(rows, check.self, at, length);
        return {};
    };
    GOSSAMER_CHECK(mix_blocks(out, inputs, look));
    check.distance = differences.root_mean();
    return {};
}

double mix_distance(std::span<const tensor::Weighted> inputs, std::size_t self, std::size_t count,
                    const tensor::Layout* layout) {
    Differences differences(count, layout);
    differences.add(inputs, self, 0, count);
    return differences.root_mean();
}

}  // namespace gossamer::codec
