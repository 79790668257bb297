// IDX: two zero bytes, the element type, the number of dimensions, each dimension as a big-endian
// u32, then the elements, big-endian. http://yann.lecun.com/exdb/mnist/
#include <algorithm>
#include <optional>

#include "gossamer/data/readers.hpp"
#include "learning/data/array.hpp"
#include "learning/data/gzip.hpp"

namespace gossamer::data {
namespace {

constexpr std::size_t kMagicBytes = 4, kDimensionsMax = 8;

std::optional<Element> element_of(std::byte code) {
    switch (std::to_integer<int>(code)) {
        case 0x08: return Element::u8;
        case 0x09: return Element::i8;
        case 0x0b: return Element::i16;
        case 0x0c: return Element::i32;
        case 0x0d: return Element::f32;
        case 0x0e: return Element::f64;
        default: return {};
    }
}

struct Header {
    Element element = Element::u8;
    std::vector<std::size_t> shape;
    std::size_t data_bytes = 0;
};

Result<std::size_t> parse_magic(ByteView magic, const std::string& name) {
    if (magic[0] != std::byte{0} || magic[1] != std::byte{0} || !element_of(magic[2]))
        return fail(ErrorCode::kDataFormat,
                    name + ": no IDX file (it begins with " + to_hex(magic) + ")");
    auto dimensions = std::to_integer<std::size_t>(magic[3]);
    if (dimensions == 0 || dimensions > kDimensionsMax)
        return fail(ErrorCode::kDataFormat,
                    name + ": an IDX file of " + std::to_string(dimensions) + " dimensions");
    return dimensions;
}

Result<Header> parse_header(ByteView magic, ByteView sizes, const std::string& name) {
    Header header{*element_of(magic[2]), {}, 0};
    for (std::size_t i = 0; i < sizes.size(); i += 4) {
        std::size_t extent = 0;
        for (std::size_t k = 0; k < 4; ++k)
            extent = extent << 8 | std::to_integer<std::size_t>(sizes[i + k]);
        header.shape.push_back(extent);
    }
    auto bytes = array_bytes(header.shape, header.element);
    if (!bytes) return fail(ErrorCode::kDataFormat, name + ": a header of absurd sizes");
    header.data_bytes = *bytes;
    return header;
}

tl::unexpected<Error> truncated(const std::string& name, std::size_t there, std::size_t expected,
                                const char* what = "bytes") {
    return fail(ErrorCode::kDataTruncated, name + ": " + std::to_string(there) + " " + what +
                                               ", its header says " + std::to_string(expected));
}

tl::unexpected<Error> trailing(const std::string& name, std::size_t expected) {
    return fail(ErrorCode::kDataFormat,
                name + ": longer than the " + std::to_string(expected) + " bytes its header says");
}

Result<Array> parse_plain(ByteView file, const std::string& name) {
    if (file.size() < kMagicBytes) return truncated(name, file.size(), kMagicBytes);
    auto magic = file.first(kMagicBytes);
    GOSSAMER_TRY(auto dimensions, parse_magic(magic, name));
    auto header_bytes = kMagicBytes + 4 * dimensions;
    if (file.size() < header_bytes) return truncated(name, file.size(), header_bytes);
    GOSSAMER_TRY(auto header, parse_header(magic, file.subspan(kMagicBytes, 4 * dimensions), name));
    auto data = file.subspan(header_bytes);
    if (data.size() < header.data_bytes)
        return truncated(name, data.size(), header.data_bytes, "bytes of data");
    if (data.size() > header.data_bytes) return trailing(name, header_bytes + header.data_bytes);
    return make_array(std::move(header.shape), data, header.element, true);
}

Result<Array> parse_compressed(ByteView file, const std::string& name) {
    Inflater inflater(file, name);
    Bytes magic(kMagicBytes);
    GOSSAMER_TRY(auto got, inflater.read(magic));
    if (got < magic.size()) return truncated(name, got, kMagicBytes);
    GOSSAMER_TRY(auto dimensions, parse_magic(magic, name));
    Bytes sizes(4 * dimensions);
    GOSSAMER_TRY(got, inflater.read(sizes));
    if (got < sizes.size()) return truncated(name, kMagicBytes + got, kMagicBytes + sizes.size());
    GOSSAMER_TRY(auto header, parse_header(magic, sizes, name));
    if (header.data_bytes / kDeflateRatioMax > file.size())
        return truncated(name, file.size(), header.data_bytes, "compressed bytes");
    std::vector<std::uint8_t> data(header.data_bytes);
    const auto bytes = std::as_writable_bytes(std::span(data));
    GOSSAMER_TRY(got, inflater.read(bytes));
    if (got < data.size()) return truncated(name, got, header.data_bytes, "bytes of data");
    std::byte extra{};
    GOSSAMER_TRY(got, inflater.read({&extra, 1}));  // also verifies the checksum
    if (got > 0) return trailing(name, kMagicBytes + sizes.size() + data.size());
    if (header.element == Element::u8) return Array{std::move(header.shape), std::move(data)};
    return make_array(std::move(header.shape), bytes, header.element, true);
}

}  // namespace

Result<Array> parse_idx(ByteView file, const std::string& name) {
    return is_gzip(file) ? parse_compressed(file, name) : parse_plain(file, name);
}

}  // namespace gossamer::data
