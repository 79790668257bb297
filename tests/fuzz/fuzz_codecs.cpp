// Any bytes as an encoded update: a byte that picks the codec, two that say how many values, then
// the payload. What a codec's check lets pass must decode within its bounds, in parts as in whole;
// what is not finite or too large must leave a sum as it was; and what was decoded can be sent on.
#include <cmath>
#include <cstring>

#include "gossamer/base/assert.hpp"
#include "gossamer/codec/accumulate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace gossamer;
    using namespace gossamer::codec;
    if (size < 3) return 0;
    static const CodecTable table;
    const auto ids = table.ids();
    const auto codec = table.find(ids[bytes[0] % ids.size()]).value();
    const std::size_t count = (bytes[1] | bytes[2] << 8) % 5000u;
    // In memory of its own size, so that a sanitizer sees what lies beyond.
    const auto* payload = reinterpret_cast<const std::byte*>(bytes + 3);
    const Bytes encoded(payload, payload + (size - 3));
    if (!codec->check(encoded, count)) return 0;
    GOSSAMER_ASSERT(encoded.size() <= codec->bytes_max(count), "bounded by what a codec says");

    const auto whole = decode_all(*codec, encoded, count).value();
    for (std::size_t at = 0; at < count; at += kBlock) {
        std::vector<float> part(std::min(kBlock, count - at));
        codec->decode(part, encoded, count, at);
        GOSSAMER_ASSERT(std::memcmp(part.data(), &whole[at], part.size() * sizeof(float)) == 0,
                        "a part decodes as in the whole");
    }

    constexpr double kBound = 1e6;
    bool good = true;
    for (float v : whole) good = good && std::abs(static_cast<double>(v)) <= kBound;
    GOSSAMER_ASSERT(check_values(*codec, encoded, count, kBound).has_value() == good,
                    "values are looked at one by one");
    std::vector<std::int64_t> sum(count, 7);
    const auto added =
        add_encoded(sum, *codec, encoded, 2, tensor::ExactScale::choose(2, 4, kBound));
    GOSSAMER_ASSERT(added.has_value() == good, "a sum refuses the same");
    if (!good) GOSSAMER_ASSERT(sum == std::vector<std::int64_t>(count, 7), "whole, or not at all");
    if (!good) return 0;
    const auto again = encode_all(*codec, whole);
    GOSSAMER_ASSERT(again && codec->check(*again, count), "what was decoded can be encoded");
    return 0;
}
