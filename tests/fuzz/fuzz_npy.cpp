// Any bytes as a .npy file, and what follows from them. Worth starting from: numpy.save of small
// arrays of each type, of no, one and three dimensions.
#include "gossamer/base/assert.hpp"
#include "gossamer/data/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace gossamer;
    using namespace gossamer::data;
    ByteView file(reinterpret_cast<const std::byte*>(bytes), size);
    auto array = parse_npy(file, "fuzz");
    if (!array) return 0;
    std::size_t count = 1;
    for (auto extent : array->shape) count *= extent;
    GOSSAMER_ASSERT(array->value_count() == count, "an array has the values its shape says");
    auto labels = *array;
    auto parts = join_arrays(std::move(*array), labels, Task::classes, "fuzz");
    if (parts) (void)Dataset::make(std::move(*parts));
    return 0;
}
