// NumPy's format: magic, version, header length, a Python dictionary as text, then the elements.
// numpy.lib.format; the dictionary has exactly the keys descr, fortran_order and shape.
#include <charconv>
#include <optional>

#include "gossamer/data/readers.hpp"
#include "learning/data/array.hpp"

namespace gossamer::data {
namespace {

constexpr std::size_t kHeaderMax = 64 * 1024, kDimensionsMax = 32;

struct Header {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<std::size_t>> shape;
};

// Reads the few Python literals that may stand in a header; after the first surprise ok() is false.
class LiteralReader {
public:
    explicit LiteralReader(std::string_view text) : text_(text) {}
    bool ok() const { return ok_; }

    bool accept(char c) {
        skip_blanks();
        if (text_.empty() || text_.front() != c) return false;
        text_.remove_prefix(1);
        return true;
    }
    void expect(char c) { ok_ = accept(c) && ok_; }
    bool at_end() {
        skip_blanks();
        return text_.empty();
    }
    std::string quoted() {
        skip_blanks();
        if (text_.empty() || (text_.front() != '\'' && text_.front() != '"')) return give_up();
        auto end = text_.find(text_.front(), 1);
        if (end == std::string_view::npos) return give_up();
        std::string value(text_.substr(1, end - 1));
        text_.remove_prefix(end + 1);
        return value;
    }
    bool truth() {
        skip_blanks();
        for (std::string_view word : {"True", "False"})
            if (text_.starts_with(word)) {
                text_.remove_prefix(word.size());
                return word == "True";
            }
        ok_ = false;
        return false;
    }
    std::vector<std::size_t> tuple() {
        std::vector<std::size_t> numbers;
        expect('(');
        while (ok_ && !accept(')')) {
            numbers.push_back(number());
            if (numbers.size() > kDimensionsMax) ok_ = false;
            if (accept(',')) continue;
            expect(')');
            break;
        }
        return numbers;
    }

private:
    std::size_t number() {
        skip_blanks();
        std::size_t value = 0;
        auto [end, error] = std::from_chars(text_.data(), text_.data() + text_.size(), value);
        if (error != std::errc{}) ok_ = false;
        text_.remove_prefix(static_cast<std::size_t>(end - text_.data()));
        return value;
    }
    void skip_blanks() {
        while (!text_.empty() && (text_.front() == ' ' || text_.front() == '\n'))
            text_.remove_prefix(1);
    }
    std::string give_up() {
        ok_ = false;
        return {};
    }
    std::string_view text_;
    bool ok_ = true;
};

std::optional<Header> parse_dictionary(std::string_view text) {
    LiteralReader reader(text);
    Header header;
    reader.expect('{');
    while (reader.ok() && !reader.accept('}')) {
        auto key = reader.quoted();
        reader.expect(':');
        if (key == "descr" && !header.descr)
            header.descr = reader.quoted();
        else if (key == "fortran_order" && !header.fortran_order)
            header.fortran_order = reader.truth();
        else if (key == "shape" && !header.shape)
            header.shape = reader.tuple();
        else
            return {};
        if (reader.accept(',')) continue;
        reader.expect('}');
        break;
    }
    if (!reader.ok() || !reader.at_end()) return {};
    if (!header.descr || !header.fortran_order || !header.shape) return {};
    return header;
}

std::optional<Element> element_of(std::string_view descr) {
    constexpr std::pair<std::string_view, Element> kKnown[] = {
        {"|u1", Element::u8},  {"|b1", Element::i8},  {"|i1", Element::i8},
        {"<i2", Element::i16}, {"<u2", Element::u16}, {"<i4", Element::i32},
        {"<i8", Element::i64}, {"<f4", Element::f32}, {"<f8", Element::f64},
    };
    for (auto [name, element] : kKnown)
        if (name == descr) return element;
    return {};
}

std::string printable(std::string_view text) {
    std::string out;
    for (char c : text.substr(0, 24)) out += c >= ' ' && c <= '~' ? c : '?';
    return out;
}

}  // namespace

Result<Array> parse_npy(ByteView file, const std::string& name) {
    auto bad = [&](const std::string& what) {
        return fail(ErrorCode::kDataFormat, name + ": " + what);
    };
    auto truncated = [&](std::size_t there, std::size_t expected) {
        return fail(ErrorCode::kDataTruncated, name + ": " + std::to_string(there) +
                                                   " bytes, its header says " +
                                                   std::to_string(expected));
    };
    ByteReader reader(file);
    if (as_text(reader.get_bytes(6)) != "\x93NUMPY") return bad("no .npy file");
    auto major = reader.get<std::uint8_t>();
    reader.get<std::uint8_t>();
    if (!reader.ok()) return truncated(file.size(), 10);
    if (major < 1 || major > 3) return bad(".npy version " + std::to_string(major));
    std::size_t length = major == 1 ? reader.get<std::uint16_t>() : reader.get<std::uint32_t>();
    if (!reader.ok()) return truncated(file.size(), major == 1 ? 10 : 12);
    if (length > kHeaderMax) return bad("a header of " + std::to_string(length) + " bytes");
    if (reader.left() < length) return truncated(file.size(), file.size() - reader.left() + length);
    auto header = parse_dictionary(as_text(reader.get_bytes(length)));
    if (!header) return bad("the header is no dictionary of descr, fortran_order and shape");
    auto element = element_of(*header->descr);
    if (!element)
        return bad("elements of type '" + printable(*header->descr) +
                   "'; b1, u1, i1, i2, u2, i4, i8, f4, f8 (little-endian) can be read");
    if (*header->fortran_order && header->shape->size() > 1)
        return bad("Fortran order; save it with numpy.ascontiguousarray");
    auto bytes = array_bytes(*header->shape, *element);
    if (!bytes) return bad("a header of absurd sizes");
    auto header_bytes = file.size() - reader.left();
    if (reader.left() < *bytes) {
        if (*bytes > SIZE_MAX - header_bytes) return bad("a header of absurd sizes");
        return truncated(file.size(), header_bytes + *bytes);
    }
    if (reader.left() > *bytes)
        return bad("longer than the " + std::to_string(header_bytes + *bytes) +
                   " bytes its header says");
    return make_array(std::move(*header->shape), reader.get_bytes(*bytes), *element, false);
}

}  // namespace gossamer::data
