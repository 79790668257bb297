#include <algorithm>

#include "gossamer/base/assert.hpp"
#include "gossamer/codec/codec.hpp"
#include "learning/codec/built_in.hpp"

namespace gossamer::codec {

CodecTable::CodecTable()
    : codecs_{float32_codec(), half_codec(), bfloat16_codec(), int8_codec(),
              sign_codec(),    top1_codec(), top10_codec()} {}

Status CodecTable::add(CodecRef codec) {
    auto added = codec->traits();
    auto label = std::string(added.name) + " (id " + std::to_string(added.wire_id) + ")";
    if (added.wire_id < kFirstUserId)
        return fail(ErrorCode::kConfigConflict, "codec " + label + ": ids below 128 are built in");
    if (codecs_.size() >= kCodecsMax)
        return fail(ErrorCode::kConfigConflict,
                    "codec " + label + " is one too many: " + std::to_string(kCodecsMax) +
                        " are the most, built-in ones included");
    for (const auto& known : codecs_)
        if (known->traits().name == added.name || known->traits().wire_id == added.wire_id)
            return fail(ErrorCode::kConfigConflict, "codec " + label +
                                                        ": its name or id is taken by " +
                                                        std::string(known->traits().name));
    auto place = std::find_if(codecs_.begin(), codecs_.end(), [&](const CodecRef& known) {
        return known->traits().wire_id > added.wire_id;
    });
    codecs_.insert(place, std::move(codec));
    return {};
}

Result<CodecRef> CodecTable::find(std::string_view name) const {
    for (const auto& codec : codecs_)
        if (codec->traits().name == name) return codec;
    std::string known;
    for (const auto& n : names()) known += (known.empty() ? "" : ", ") + n;
    return fail(ErrorCode::kCodecUnknown, "codec \"" + std::string(name) + "\"; known: " + known);
}

Result<CodecRef> CodecTable::find(std::uint8_t wire_id) const {
    for (const auto& codec : codecs_)
        if (codec->traits().wire_id == wire_id) return codec;
    return fail(ErrorCode::kCodecUnknown, "codec id " + std::to_string(wire_id));
}

std::vector<std::string> CodecTable::names() const {
    std::vector<std::string> out;
    for (const auto& codec : codecs_) out.emplace_back(codec->traits().name);
    return out;
}

std::vector<std::uint8_t> CodecTable::ids() const {
    std::vector<std::uint8_t> out;
    for (const auto& codec : codecs_) out.push_back(codec->traits().wire_id);
    return out;
}

namespace {

const CodecTable& built_in() {
    static const CodecTable table;
    return table;
}

}  // namespace

Result<CodecRef> find_codec(std::string_view name) { return built_in().find(name); }
Result<CodecRef> find_codec(std::uint8_t wire_id) { return built_in().find(wire_id); }

Result<Bytes> encode_all(const Codec& codec, std::span<const float> values,
                         const EncodeState& state) {
    Bytes out(codec.bytes_max(values.size()));
    GOSSAMER_TRY(auto size, codec.encode(out, values, state));
    out.resize(size);
    return out;
}

Result<std::vector<float>> decode_all(const Codec& codec, ByteView encoded, std::size_t count) {
    GOSSAMER_CHECK(codec.check(encoded, count));
    std::vector<float> out(count);
    codec.decode(out, encoded, count, 0);
    return out;
}

}  // namespace gossamer::codec
