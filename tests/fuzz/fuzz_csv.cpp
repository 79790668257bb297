// Any bytes as a CSV file; the first chooses the options. The same bytes go to the reader of
// explicit partitions, which is a text of numbers as well. Worth starting from: "\0a,b,c\n1,2,0\n".
#include "gossamer/base/assert.hpp"
#include "gossamer/data/partition.hpp"
#include "gossamer/data/readers.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace gossamer;
    using namespace gossamer::data;
    if (size == 0) return 0;
    ByteView file(reinterpret_cast<const std::byte*>(bytes + 1), size - 1);
    CsvOptions options;
    options.task = bytes[0] & 1 ? Task::values : Task::classes;
    options.header = static_cast<CsvOptions::Header>((bytes[0] >> 1) % 3);
    options.label_column = bytes[0] & 8 ? "first" : bytes[0] & 16 ? "2" : "last";
    options.separator = bytes[0] & 32 ? ';' : ',';
    if (auto parts = parse_csv(file, options, "fuzz")) {
        auto made = Dataset::make(std::move(*parts));
        GOSSAMER_ASSERT(made, "what the reader lets through is a dataset");
    }
    if (auto parts = parse_partition(file, 1000, "fuzz"))
        for (const auto& part : *parts)
            for (auto row : part) GOSSAMER_ASSERT(row < 1000, "rows are in range");
    return 0;
}
