// Codecs: a weight vector or delta to compact bytes and back.
//
// A codec is immutable and may be used from any thread; what it must remember between updates (the
// residual of error feedback) is a value that the caller owns, so that it advances only when the
// update was delivered. Values are worked on in blocks of 1,024. Where every block has the same
// size (traits().block_bytes > 0), a span of whole blocks encodes to the bytes it would have inside
// the whole, so the first chunk can leave before the last block is encoded.
//
// Bytes from a peer are never trusted: check() looks at sizes and structure once, after that
// decode() cannot go astray. Whether the values are finite is asked with codec/accumulate.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/peer_id.hpp"
#include "gossamer/base/result.hpp"
#include "gossamer/base/rng.hpp"

namespace gossamer::codec {

inline constexpr std::size_t kBlock = 1024;
inline constexpr std::size_t kCodecsMax = 32;  // of one program: HELLO lists them all

struct CodecTraits {
    std::string_view name;        // "f16", in configuration and logs
    std::uint8_t wire_id = 0;     // 1..127 built in, 128..255 users'
    std::size_t block_bytes = 0;  // of each whole block; 0 when blocks differ in size
    bool identity = false;        // the bytes are the floats: share the buffer, copy nothing
    bool needs_base = false;      // loses too much for anything but a delta, from a base both have
    bool error_feedback = false;  // keeps a residual
    bool unbiased = false;        // the expected decoded value is the encoded one
    // ‖decode(encode(x)) − x‖² <= (1 − contraction)·‖x‖²; 1 = exact, 0 = no such promise.
    double contraction = 0;
};

// What an encoding step remembers and makes. Spans are empty, or as long as the values; a codec
// without error feedback leaves them alone.
struct EncodeState {
    std::span<const float> residual;  // what earlier updates left unsent; empty at first
    std::span<float> next_residual;   // receives what this one leaves unsent; not `residual`
    RunSeed seed;                     // with round and who: the stream of stochastic rounding
    std::uint64_t round = 0;
    PeerId who;
    std::size_t first = 0;  // place of the first value in the whole, a multiple of kBlock
};

class Codec {
public:
    virtual ~Codec() = default;
    virtual CodecTraits traits() const = 0;
    // Upper bound of the encoded size of `count` values; the exact one when block_bytes > 0.
    virtual std::size_t bytes_max(std::size_t count) const = 0;
    // Returns the bytes written. REQUIRES out.size() >= bytes_max(values.size()).
    // Errors: kUpdateNotFinite, kUpdateTooLarge (a finite value beyond the codec's range).
    virtual Result<std::size_t> encode(std::span<std::byte> out, std::span<const float> values,
                                       const EncodeState& state) const = 0;
    // Is this an encoding of `count` values? Errors: kUpdateSize.
    virtual Status check(ByteView encoded, std::size_t count) const = 0;
    // out = the values [first, first + out.size()) of `count`.
    // REQUIRES check(encoded, count), first a multiple of kBlock, first + out.size() <= count.
    virtual void decode(std::span<float> out, ByteView encoded, std::size_t count,
                        std::size_t first) const = 0;
};
using CodecRef = std::shared_ptr<const Codec>;

// The codecs a program knows: the built-in ones and a user's own. Built in are
//   f32    the floats;  f16, bf16    rounded to sixteen bits: also for whole models
//   int8   a byte a value, of the largest in its block, rounded up or down by chance: unbiased
//   sign   a bit a value and the block's mean magnitude, with error feedback (Karimireddy 2019)
//   top1, top10    the largest hundredth or tenth of the values, with error feedback
class CodecTable {
public:
    CodecTable();
    // Errors: kConfigConflict when the name or id is taken, the id is below 128, or there are
    // kCodecsMax already.
    Status add(CodecRef codec);
    Result<CodecRef> find(std::string_view name) const;  // kCodecUnknown, listing the names
    Result<CodecRef> find(std::uint8_t wire_id) const;   // kCodecUnknown
    std::vector<std::string> names() const;              // in the order of their ids
    std::vector<std::uint8_t> ids() const;

private:
    std::vector<CodecRef> codecs_;
};

// Among the built-in ones.
Result<CodecRef> find_codec(std::string_view name);
Result<CodecRef> find_codec(std::uint8_t wire_id);

// Encodes all values into `out`, shrunk to fit: for tests and small vectors.
Result<Bytes> encode_all(const Codec& codec, std::span<const float> values,
                         const EncodeState& state = {});
// Errors: kUpdateSize.
Result<std::vector<float>> decode_all(const Codec& codec, ByteView encoded, std::size_t count);

}  // namespace gossamer::codec
