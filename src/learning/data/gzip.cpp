#include "learning/data/gzip.hpp"

#include <zlib.h>

#include <algorithm>
#include <limits>

#include "gossamer/base/assert.hpp"
#include "gossamer/data/readers.hpp"

namespace gossamer::data {

struct Inflater::Stream {
    z_stream z{};
    ByteView left;  // not yet given to zlib
    std::size_t made_bytes = 0;
    bool ended = false;

    void feed() {
        auto part = std::min<std::size_t>(left.size(), std::numeric_limits<uInt>::max());
        z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(left.data()));
        z.avail_in = static_cast<uInt>(part);
        left = left.subspan(part);
    }
    bool more_input() const { return z.avail_in > 0 || !left.empty(); }
};

Inflater::Inflater(ByteView file, std::string name)
    : stream_(std::make_unique<Stream>()), name_(std::move(name)) {
    stream_->left = file;
    constexpr int kGzipOnly = 16 + MAX_WBITS;
    GOSSAMER_ASSERT(inflateInit2(&stream_->z, kGzipOnly) == Z_OK, "memory for zlib");
}

Inflater::~Inflater() { inflateEnd(&stream_->z); }

Result<std::size_t> Inflater::read(std::span<std::byte> out) {
    auto& s = *stream_;
    std::size_t filled = 0;
    while (filled < out.size() && !s.ended) {
        if (s.z.avail_in == 0) s.feed();
        auto room = std::min<std::size_t>(out.size() - filled, std::numeric_limits<uInt>::max());
        s.z.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
        s.z.avail_out = static_cast<uInt>(room);
        auto answer = inflate(&s.z, Z_NO_FLUSH);
        auto made = room - s.z.avail_out;
        filled += made;
        s.made_bytes += made;
        if (answer == Z_STREAM_END) {
            if (!s.more_input())
                s.ended = true;
            else
                inflateReset(&s.z);  // the next member
        } else if (answer == Z_BUF_ERROR || (answer == Z_OK && made == 0 && !s.more_input())) {
            return fail(ErrorCode::kDataTruncated,
                        name_ + ": the compressed data breaks off after " +
                            std::to_string(s.made_bytes) + " bytes of content");
        } else if (answer != Z_OK) {
            return fail(ErrorCode::kDataFormat,
                        name_ + ": not sound gzip data (" +
                            std::string(s.z.msg ? s.z.msg : "no reason given") + ")");
        }
    }
    return filled;
}

bool is_gzip(ByteView file) {
    return file.size() >= 2 && file[0] == std::byte{0x1f} && file[1] == std::byte{0x8b};
}

Result<Bytes> gunzip(ByteView file, std::size_t size_max, const std::string& name) {
    Inflater inflater(file, name);
    Bytes out;
    for (;;) {
        auto before = out.size();
        if (before > size_max)
            return fail(ErrorCode::kDataFormat,
                        name + ": more than " + std::to_string(size_max) + " bytes of content");
        out.resize(before + std::max<std::size_t>(before / 2, 64 * 1024));
        GOSSAMER_TRY(auto made, inflater.read(std::span(out).subspan(before)));
        if (before + made < out.size()) {
            out.resize(before + made);
            return out;
        }
    }
}

}  // namespace gossamer::data
