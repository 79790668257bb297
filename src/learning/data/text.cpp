#include <array>

#include "gossamer/data/readers.hpp"

namespace gossamer::data {
namespace {

constexpr std::size_t kCharactersMax = 255;  // one more is the unknown one, and all fit a byte
constexpr std::size_t kValuesMax = std::size_t{1} << 33;

tl::unexpected<Error> too_many(const std::string& name, std::size_t count) {
    return fail(ErrorCode::kDataFormat,
                name + ": " + std::to_string(count) + " different characters, at most " +
                    std::to_string(kCharactersMax),
                "this is no plain text; or name the characters that count in "
                "data.text_vocabulary");
}

}  // namespace

Result<std::string> vocabulary_of(ByteView text, const std::string& name) {
    std::array<bool, 256> seen{};
    for (std::byte b : text) seen[std::to_integer<std::size_t>(b)] = true;
    std::string vocabulary;
    for (std::size_t c = 0; c < seen.size(); ++c)
        if (seen[c]) vocabulary += static_cast<char>(c);
    if (vocabulary.size() > kCharactersMax) return too_many(name, vocabulary.size());
    return vocabulary;
}

Result<Dataset::Parts> parse_text(ByteView text, const TextOptions& options,
                                  const std::string& name) {
    const std::size_t known = options.vocabulary.size();
    if (known == 0) return fail(ErrorCode::kDataFormat, name + ": no characters are known");
    if (known > kCharactersMax) return too_many("data.text_vocabulary", known);
    std::array<std::uint8_t, 256> number;
    number.fill(static_cast<std::uint8_t>(known));
    for (std::size_t i = 0; i < known; ++i) {
        auto& entry = number[static_cast<std::uint8_t>(options.vocabulary[i])];
        if (entry != known)
            return fail(ErrorCode::kDataFormat, "data.text_vocabulary: its characters " +
                                                    std::to_string(entry) + " and " +
                                                    std::to_string(i) + " are the same");
        entry = static_cast<std::uint8_t>(i);
    }
    const std::size_t length = options.length;
    const std::size_t stride = options.stride != 0 ? options.stride : length;
    if (length == 0) return fail(ErrorCode::kDataShape, name + ": samples of no characters");
    if (text.size() <= length)
        return fail(ErrorCode::kDataTruncated,
                    name + ": " + std::to_string(text.size()) +
                        " characters, but a sample and the one after it take " +
                        std::to_string(length + 1),
                    "lower data.text_length, or use a longer text");
    const std::size_t count = (text.size() - 1 - length) / stride + 1;
    if (count > kValuesMax / length)
        return fail(ErrorCode::kDataShape,
                    name + ": " + std::to_string(count) + " samples of " + std::to_string(length) +
                        " characters are too much",
                    "raise data.text_stride");
    Dataset::Parts parts{.name = name, .shape = {static_cast<std::uint32_t>(length)}};
    parts.byte_scale = 1;
    parts.class_count = static_cast<std::uint32_t>(known) + 1;
    parts.label_count = options.every_position ? static_cast<std::uint32_t>(length) : 1;
    parts.bytes.reserve(count * length);
    parts.labels.reserve(count * parts.label_count);
    auto number_at = [&](std::size_t i) { return number[std::to_integer<std::size_t>(text[i])]; };
    for (std::size_t start = 0, i = 0; i < count; ++i, start += stride) {
        for (std::size_t k = 0; k < length; ++k) parts.bytes.push_back(number_at(start + k));
        for (std::size_t k = length - parts.label_count; k < length; ++k)
            parts.labels.push_back(number_at(start + k + 1));
    }
    return parts;
}

}  // namespace gossamer::data
