// Any bytes as a file of CIFAR; the first chooses which. Worth starting from: a record or two.
#include "gossamer/base/assert.hpp"
#include "gossamer/data/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace gossamer;
    using namespace gossamer::data;
    if (size == 0) return 0;
    ByteView file(reinterpret_cast<const std::byte*>(bytes + 1), size - 1);
    auto parts = parse_cifar(file, static_cast<CifarLabels>(bytes[0] % 3), "fuzz");
    if (!parts) return 0;
    GOSSAMER_ASSERT(parts->bytes.size() == 3072 * parts->labels.size(), "a picture a label");
    GOSSAMER_ASSERT(Dataset::make(std::move(*parts)), "what the reader lets through is a dataset");
    return 0;
}
