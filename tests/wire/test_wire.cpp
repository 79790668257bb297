#include <doctest/doctest.h>

#include "random_frames.hpp"

using namespace gossamer;
using namespace gossamer::wire;
using wire::testing::RandomFrames;

namespace {

struct Split {
    FrameHeader header;
    ByteView body;
};

Result<Split> split(const Bytes& bytes) {
    if (bytes.size() < kHeaderBytes) return fail(ErrorCode::kFrameMalformed, "short");
    GOSSAMER_TRY(auto header,
                 read_header(std::span<const std::byte, kHeaderBytes>(bytes.data(), kHeaderBytes)));
    return Split{header, ByteView(bytes).subspan(kHeaderBytes)};
}

Result<Frame> parse(const Bytes& bytes) {
    GOSSAMER_TRY(auto parts, split(bytes));
    return decode(parts.header, parts.body);
}

bool same(const Body& a, const Body& b) {
    if (a.index() != b.index()) return false;
    return std::visit(
        [&]<class T>(const T& x) {
            const auto& y = std::get<T>(b);
            if constexpr (std::is_same_v<T, TransferEnd>)
                return x.stream == y.stream && x.checksum == y.checksum;
            else if constexpr (std::is_same_v<T, Chunk>)
                return x.stream == y.stream && x.length == y.length;
            else
                return x == y;
        },
        a);
}

Bytes bytes_of(const Frame& frame) {
    Bytes out;
    encode(frame, out);
    return out;
}

}  // namespace

TEST_CASE("every frame comes back as it was, whatever it holds") {
    const std::uint64_t seed = 20261121;
    CAPTURE(seed);
    RandomFrames random(seed);
    for (int round = 0; round < 200; ++round)
        for (std::size_t kind = 0; kind < RandomFrames::kKinds; ++kind) {
            const auto frame = random.frame(kind);
            const auto bytes = bytes_of(frame);
            CHECK(encoded_bytes(frame) == bytes.size());
            const auto back = parse(bytes);
            CAPTURE(name_of(frame.body));
            REQUIRE(back);
            CHECK(back->lane == frame.lane);
            CHECK(same(back->body, frame.body));
        }
}

TEST_CASE("scales remember what each sort of frame weighs, and are right about it") {
    Scale scale;
    for (const bool sparse : {true, false}) {
        RandomFrames random(5, sparse);
        for (int round = 0; round < 400; ++round)
            for (std::size_t kind = 0; kind < RandomFrames::kKinds; ++kind) {
                const auto frame = random.frame(kind);
                CAPTURE(name_of(frame.body));
                REQUIRE(scale.weigh(frame) == encoded_bytes(frame));
            }
    }
}

TEST_CASE("a record takes no more of a heartbeat than cores count for it") {
    for (const bool sparse : {true, false}) {
        RandomFrames random(7, sparse);
        for (int round = 0; round < 2000; ++round) {
            message::Heartbeat beat{.sequence = 1, .news = random.news()};
            std::size_t counted = 0;
            for (const auto& record : beat.news) counted += message::wire_bytes_most(record);
            const auto whole = encoded_bytes({Lane::control, message::Message(beat)});
            beat.news.clear();
            CHECK(whole <= encoded_bytes({Lane::control, message::Message(beat)}) + counted);
        }
    }
}

TEST_CASE("a truncated frame is an error, at whatever byte it ends") {
    RandomFrames random(2);
    for (std::size_t kind = 0; kind < RandomFrames::kKinds; ++kind) {
        auto bytes = bytes_of(random.frame(kind));
        auto parts = split(bytes);
        REQUIRE(parts);
        for (std::size_t n = 0; n < parts->body.size(); n += 1 + n / 64) {
            auto header = parts->header;
            CHECK(!decode(header, parts->body.first(n)));  // shorter than the header says
            header.length = static_cast<std::uint32_t>(n);
            Bytes cut(parts->body.begin(), parts->body.begin() + static_cast<std::ptrdiff_t>(n));
            (void)decode(header, cut);  // may be a smaller valid table; must not read past the end
        }
    }
}

TEST_CASE("flipped bits and random bytes never do more than give an error") {
    const std::uint64_t seed = 3;
    CAPTURE(seed);
    RandomFrames random(seed);
    for (int round = 0; round < 4000; ++round) {
        auto bytes = bytes_of(random.frame(random.below(RandomFrames::kKinds)));
        for (std::size_t flips = 1 + random.below(8); flips > 0; --flips) {
            const auto at = kHeaderBytes + random.below(bytes.size() - kHeaderBytes);
            bytes[at] ^= static_cast<std::byte>(1u << random.below(8));
        }
        (void)parse(bytes);
        auto noise = random.blob(400);
        FrameHeader header;
        header.type = static_cast<std::uint8_t>(random.number());
        header.lane = static_cast<Lane>(random.below(3));
        header.length = static_cast<std::uint32_t>(noise.size());
        (void)decode(header, noise);
    }
}

TEST_CASE("a table that is not aligned in memory is read all the same") {
    RandomFrames random(4);
    const auto frame = random.frame(4);
    const auto bytes = bytes_of(frame);
    Bytes shifted(1);
    shifted.insert(shifted.end(), bytes.begin() + kHeaderBytes, bytes.end());
    const auto header = split(bytes)->header;
    const auto back = decode(header, ByteView(shifted).subspan(1));
    REQUIRE(back);
    CHECK(same(back->body, frame.body));
}

TEST_CASE("a length above the lane's bound is refused from the header alone") {
    Bytes bytes = bytes_of({Lane::control, Goodbye{ErrorCode::kLinkClosed, ""}});
    auto set_length = [&](std::uint32_t n) { std::memcpy(bytes.data(), &n, 4); };
    set_length(kControlBytesMax + 1);
    auto refused = split(bytes);
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::kFrameTooLarge);
    bytes[4] = static_cast<std::byte>(Lane::round);
    CHECK(split(bytes));
    set_length(kRoundBytesMax + 1);
    CHECK(!split(bytes));
    bytes[4] = std::byte{3};
    set_length(0);
    CHECK(split(bytes).error().code == ErrorCode::kFrameMalformed);
}

TEST_CASE("an unknown type is skipped when it is optional and an error when it is not") {
    FrameHeader header{.length = 10, .lane = Lane::round, .type = 200};
    CHECK(kind_of(header).error().code == ErrorCode::kFrameUnknown);
    header.flags = kFlagOptional;
    CHECK(kind_of(header).value() == BodyKind::skip);
    header.type = kChunkType;
    CHECK(kind_of(header).error().code == ErrorCode::kFrameMalformed);  // a chunk on another lane
    header.lane = Lane::bulk;
    CHECK(kind_of(header).value() == BodyKind::chunk);
}

TEST_CASE("a join of the largest model fits, and a larger one is refused before it is sent") {
    message::Join join;
    tensor::Layout layout;
    for (int i = 0; i < 4000; ++i) layout.add("layer" + std::to_string(i) + ".weight", {64, 64});
    join.tensors = layout.tensors();
    CHECK(check(message::Message(join)));
    const auto bytes = bytes_of({Lane::round, message::Message(join)});
    CHECK(bytes.size() <= kRoundBytesMax);
    auto back = parse(bytes);
    REQUIRE(back);
    CHECK(std::get<message::Join>(std::get<message::Message>(back->body)) == join);

    for (int i = 0; i < 200; ++i) layout.add("more" + std::to_string(i), {1});
    join.tensors = layout.tensors();
    CHECK(check(message::Message(join)).error().code == ErrorCode::kFrameTooLarge);
}

TEST_CASE("a layout that overflows or names a tensor twice does not reach the cores") {
    message::Join join;
    join.tensors = {{"a", {0xffffffff, 0xffffffff, 0xffffffff}, 0, 0}};
    CHECK(!parse(bytes_of({Lane::round, message::Message(join)})));
    join.tensors = {{"a", {2}, 0, 2}, {"a", {2}, 2, 2}};
    CHECK(!parse(bytes_of({Lane::round, message::Message(join)})));
    join.tensors = {{"a", {2}, 0, 2}, {"b", {2}, 2, 2}};
    CHECK(parse(bytes_of({Lane::round, message::Message(join)})));
}

TEST_CASE("texts for people are cut to their bound and lose their control characters") {
    message::Leave leave{7, std::string(5000, 'x') + "\x1b[2J"};
    auto back = parse(bytes_of({Lane::control, message::Message(leave)}));
    REQUIRE(back);
    CHECK(std::get<message::Leave>(std::get<message::Message>(back->body)).reason.size() ==
          kTextMax);
    leave.reason = "red \x1b[31m\nline";
    back = parse(bytes_of({Lane::control, message::Message(leave)}));
    REQUIRE(back);
    CHECK(std::get<message::Leave>(std::get<message::Message>(back->body)).reason ==
          "red ?[31m\nline");
}

TEST_CASE("a payload of a user's algorithm has a bound of its own") {
    message::Manifest manifest;
    manifest.payload = Bytes(message::kPayloadBytesMax);
    CHECK(check(manifest));
    CHECK(parse(bytes_of({Lane::round, Offer{1, {1}, manifest}})));
    manifest.payload.resize(message::kPayloadBytesMax + 1);
    CHECK(check(manifest).error().code == ErrorCode::kFrameTooLarge);
    CHECK(!parse(bytes_of({Lane::round, Offer{1, {1}, manifest}})));
}
