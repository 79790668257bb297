// Any bytes as a plain text; the first three choose length, stride and form, and how much of the
// rest is the vocabulary (0: the text's own). Worth starting from: a few words.
#include "gossamer/base/assert.hpp"
#include "gossamer/data/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace gossamer;
    using namespace gossamer::data;
    if (size < 3) return 0;
    ByteView file(reinterpret_cast<const std::byte*>(bytes + 3), size - 3);
    TextOptions options;
    options.length = bytes[0];
    options.stride = bytes[1] & 31;
    options.every_position = bytes[1] & 32;
    options.vocabulary =
        std::string(as_text(file.first(std::min<std::size_t>(bytes[2], size - 3))));
    if (options.vocabulary.empty()) {
        auto own = vocabulary_of(file, "fuzz");
        if (!own) return 0;
        options.vocabulary = *own;
    }
    const auto known = options.vocabulary.size();
    auto parts = parse_text(file, options, "fuzz");
    if (!parts) return 0;
    for (auto character : parts->bytes)
        GOSSAMER_ASSERT(character <= known, "a character's number is in the vocabulary");
    GOSSAMER_ASSERT(Dataset::make(std::move(*parts)), "what the reader lets through is a dataset");
    return 0;
}
