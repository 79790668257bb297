// Any bytes as a safetensors file: an error, or tensors that lie within it, without overlap, and a
// model that loads.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "records/storage/memory_disk.hpp"
#include "records/storage/safetensors.hpp"

using namespace gossamer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView bytes(reinterpret_cast<const std::byte*>(data), size);
    auto header = storage::parse_safetensors(bytes, size);
    if (!header) return 0;
    std::uint64_t at = 0;
    for (const auto& tensor : header->tensors) {
        if (tensor.begin != at || tensor.end < tensor.begin) std::abort();
        at = tensor.end;
    }
    if (header->body_offset + at != size) std::abort();
    storage::MemoryDisk disk;
    ByteView parts[] = {bytes};
    if (!disk.replace_file("fuzz", parts)) std::abort();
    auto pool = tensor::BufferPool::create(0);
    auto model = storage::load_model(disk, "fuzz", pool);
    if (model && model->values.size_bytes() > at) std::abort();
    return 0;
}
