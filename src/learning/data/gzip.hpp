// Inflates gzip step by step, so that a header can be read before room is made for the rest.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "gossamer/base/bytes.hpp"
#include "gossamer/base/result.hpp"

namespace gossamer::data {

// Deflate cannot make more of a byte than this.
inline constexpr std::size_t kDeflateRatioMax = 1032;

class Inflater {
public:
    Inflater(ByteView file, std::string name);
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    // Fills as much of `out` as there is; less only at the end of the data, whose checksum is then
    // verified. Errors: kDataTruncated, kDataFormat.
    Result<std::size_t> read(std::span<std::byte> out);

private:
    struct Stream;
    std::unique_ptr<Stream> stream_;
    std::string name_;
};

}  // namespace gossamer::data
