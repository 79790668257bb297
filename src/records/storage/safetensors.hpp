// The safetensors form: u64 header length, JSON header, tensors one after the other. Other programs
// write such files, so nothing in one is trusted: header size, counts, shapes, ranges and overlaps
// are checked before anything is allocated from them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "gossamer/tensor/buffer.hpp"
#include "gossamer/tensor/layout.hpp"
#include "records/storage/disk.hpp"

namespace gossamer::storage {

inline constexpr std::uint64_t kSafetensorsHeaderBytesMax = std::uint64_t{8} << 20;
inline constexpr std::size_t kSafetensorsTensorsMax = 10'000;

struct StoredTensor {
    std::string name;
    std::string type;  // "F32", "U8", ... as the file says
    std::vector<std::uint64_t> shape;
    std::uint64_t begin = 0, end = 0;  // bytes, from the start of the body
};
struct SafetensorsHeader {
    std::map<std::string, std::string> metadata;
    std::vector<StoredTensor> tensors;  // in the order of their bytes, without gaps or overlaps
    std::uint64_t body_offset = 0;      // of the file
    const StoredTensor* find(std::string_view name) const;
};

// `start` holds at least the first 8 bytes and the header. Errors: kCheckpointFormat.
Result<SafetensorsHeader> parse_safetensors(ByteView start, std::uint64_t file_bytes);
// What the first 8 bytes say: how long `start` must be. Errors: kCheckpointFormat.
Result<std::uint64_t> safetensors_start_bytes(ByteView first_8, std::uint64_t file_bytes);
Result<SafetensorsHeader> read_safetensors_header(const Disk& disk, const std::string& path);

// Everything before the body: the layout's tensors as F32 in their order, then the blobs as U8.
// The caller writes the parameters and the blobs behind it, in this order, from where they lie.
struct BlobSpec {
    std::string name;
    std::uint64_t byte_count = 0;
};
Bytes safetensors_start(const tensor::Layout& layout, std::span<const BlobSpec> blobs,
                        const std::map<std::string, std::string>& metadata);

struct LoadedModel {
    tensor::LayoutRef layout;
    tensor::Buffer values;
    std::map<std::string, std::string> metadata;
};
// All F32 tensors of a file, in the order of their bytes, but those whose name starts with
// "gossamer." or that are of another type. Errors: kCheckpointFormat, those of the disk.
Result<LoadedModel> load_model(const Disk& disk, const std::string& path,
                               const tensor::PoolRef& pool);
// The tensors a layout names, in its order, whatever their order in the file; more may be there.
// Errors: also kModelLayout, with the tensors that are missing or differ.
Result<tensor::Buffer> load_parameters(const Disk& disk, const std::string& path,
                                       const tensor::Layout& layout, const tensor::PoolRef& pool);
// Writes a model alone, atomically: `final.safetensors`, exports.
Status save_model(Disk& disk, const std::string& path, const tensor::Layout& layout,
                  std::span<const float> values,
                  const std::map<std::string, std::string>& metadata);

}  // namespace gossamer::storage
