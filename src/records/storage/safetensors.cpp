#include "records/storage/safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>

#include <nlohmann/json.hpp>

#include "gossamer/base/assert.hpp"

namespace gossamer::storage {
namespace {

struct TypeSize {
    std::string_view name;
    std::uint64_t bytes;
};
constexpr TypeSize kTypes[] = {{"F32", 4}, {"U8", 1},  {"F16", 2},  {"BF16", 2},    {"F64", 8},
                               {"I64", 8}, {"I32", 4}, {"I16", 2},  {"I8", 1},      {"U64", 8},
                               {"U32", 4}, {"U16", 2}, {"BOOL", 1}, {"F8_E5M2", 1}, {"F8_E4M3", 1}};
constexpr std::size_t kRankMax = 16;
constexpr std::uint64_t kElementsMax = std::uint64_t{1} << 48;

tl::unexpected<Error> malformed(std::string what) {
    return fail(ErrorCode::kCheckpointFormat, "safetensors: " + std::move(what));
}

// A name out of a file, fit for a message.
std::string shown(std::string_view name) {
    std::string out = "\"";
    for (char c : name.substr(0, 64))
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return out + '"';
}

// Takes the header token by token, so that a hostile one never becomes a tree in memory.
// Depth 1: tensors by name and __metadata__; depth 2: their fields; depth 3: shape, data_offsets.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
public:
    explicit HeaderReader(SafetensorsHeader& out) : out_(out) {}
    std::string problem;

    bool null() override { return wrong("a null"); }
    bool boolean(bool) override { return wrong("a boolean"); }
    bool number_integer(number_integer_t) override { return wrong("a negative number"); }
    bool number_float(number_float_t, const string_t&) override { return wrong("a fraction"); }
    bool binary(binary_t&) override { return wrong("binary data"); }

    bool number_unsigned(number_unsigned_t value) override {
        if (!list_) return wrong("a number");
        if (list_->size() >= kRankMax) return wrong("a list too long");
        list_->push_back(value);
        return true;
    }
    bool string(string_t& value) override {
        if (depth_ == 2 && in_metadata_) {
            if (!out_.metadata.emplace(field_, std::move(value)).second)
                return wrong("metadata twice: " + shown(field_));
            return true;
        }
        if (depth_ != 2 || list_ || field_ != "dtype") return wrong("a text");
        type_ = std::move(value);
        return true;
    }
    bool start_object(std::size_t) override {
        if (++depth_ > 2 || list_) return wrong("an object too deep");
        if (depth_ == 2) type_.reset(), shape_.reset(), range_.reset();
        return true;
    }
    bool key(string_t& name) override {
        if (depth_ == 2) {
            field_ = std::move(name);
            return true;
        }
        in_metadata_ = name == "__metadata__";
        if (!names_.insert(name).second) return wrong("tensor twice: " + shown(name));
        if (names_.size() > kSafetensorsTensorsMax) return wrong("too many tensors");
        tensor_ = std::move(name);
        return true;
    }
    bool end_object() override { return depth_-- != 2 || in_metadata_ || finish_tensor(); }
    bool start_array(std::size_t) override {
        if (depth_ != 2 || list_ || in_metadata_) return wrong("a list");
        if (field_ == "shape")
            list_ = &shape_.emplace();
        else if (field_ == "data_offsets")
            list_ = &range_.emplace();
        else
            return wrong("a list in field " + shown(field_));
        return true;
    }
    bool end_array() override {
        list_ = nullptr;
        return true;
    }
    bool parse_error(std::size_t at, const std::string&,
                     const nlohmann::detail::exception&) override {
        return wrong("no valid JSON at byte " + std::to_string(at));
    }

private:
    bool wrong(std::string what) {
        if (problem.empty()) problem = "header: " + std::move(what);
        return false;
    }
    bool finish_tensor() {
        if (!type_ || !shape_ || !range_ || range_->size() != 2)
            return wrong("tensor " + shown(tensor_) + " lacks dtype, shape or data_offsets");
        auto type = std::ranges::find(kTypes, std::string_view(*type_), &TypeSize::name);
        if (type == std::end(kTypes)) return wrong("unknown dtype " + shown(*type_));
        std::uint64_t bytes = type->bytes, extents = 1;
        for (auto extent : *shape_) {
            bool overflow = __builtin_mul_overflow(bytes, extent, &bytes);
            // Even beside an extent of zero, so that no order of them overflows.
            overflow |=
                __builtin_mul_overflow(extents, std::max<std::uint64_t>(extent, 1), &extents);
            if (overflow || extents > kElementsMax)
                return wrong("tensor " + shown(tensor_) + " has a shape that overflows");
        }
        auto [begin, end] = std::pair((*range_)[0], (*range_)[1]);
        if (end < begin || end - begin != bytes)
            return wrong("tensor " + shown(tensor_) + ": dtype and shape need " +
                         std::to_string(bytes) + " bytes, data_offsets give another number");
        out_.tensors.push_back({tensor_, std::move(*type_), std::move(*shape_), begin, end});
        return true;
    }

    SafetensorsHeader& out_;
    std::set<std::string> names_;
    std::string tensor_, field_;
    bool in_metadata_ = false;
    int depth_ = 0;
    std::optional<std::string> type_;
    std::optional<std::vector<std::uint64_t>> shape_, range_;
    std::vector<std::uint64_t>* list_ = nullptr;
};

Status check_ranges(SafetensorsHeader& header, std::uint64_t body_bytes) {
    std::ranges::stable_sort(header.tensors, {},
                             [](const StoredTensor& t) { return std::pair(t.begin, t.end); });
    std::uint64_t at = 0;
    for (const auto& tensor : header.tensors) {
        if (tensor.begin != at)
            return malformed("tensor " + shown(tensor.name) +
                             (tensor.begin < at ? " overlaps another" : " leaves a gap before it"));
        at = tensor.end;
    }
    if (at != body_bytes)
        return malformed("the tensors have " + std::to_string(at) + " bytes, the file holds " +
                         std::to_string(body_bytes));
    return {};
}

Status read_floats(const Disk& disk, const std::string& path, const SafetensorsHeader& header,
                   const StoredTensor& tensor, std::span<float> into) {
    return disk.read_at(path, header.body_offset + tensor.begin, std::as_writable_bytes(into));
}

}  // namespace

const StoredTensor* SafetensorsHeader::find(std::string_view name) const {
    auto found = std::ranges::find(tensors, name, &StoredTensor::name);
    return found == tensors.end() ? nullptr : &*found;
}

Result<std::uint64_t> safetensors_start_bytes(ByteView first_8, std::uint64_t file_bytes) {
    ByteReader reader(first_8);
    auto header_bytes = reader.get<std::uint64_t>();
    if (!reader.ok() || file_bytes < 8) return malformed("the file is shorter than 8 bytes");
    if (header_bytes > kSafetensorsHeaderBytesMax)
        return malformed("the header says " + std::to_string(header_bytes) +
                         " bytes, allowed are " + std::to_string(kSafetensorsHeaderBytesMax));
    if (header_bytes < 2 || header_bytes > file_bytes - 8)
        return malformed("the header does not fit into the file");
    return header_bytes + 8;
}

Result<SafetensorsHeader> parse_safetensors(ByteView start, std::uint64_t file_bytes) {
    GOSSAMER_TRY(
        auto start_bytes,
        safetensors_start_bytes(start.first(std::min<std::size_t>(8, start.size())), file_bytes));
    if (start.size() < start_bytes) return malformed("the header is cut off");
    auto text = as_text(start.subspan(8, start_bytes - 8));
    if (text.front() != '{') return malformed("the header does not start with {");
    SafetensorsHeader header{.body_offset = start_bytes};
    HeaderReader reader(header);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader))
        return malformed(reader.problem);
    GOSSAMER_CHECK(check_ranges(header, file_bytes - start_bytes));
    return header;
}

Result<SafetensorsHeader> read_safetensors_header(const Disk& disk, const std::string& path) {
    auto read = [&]() -> Result<SafetensorsHeader> {
        GOSSAMER_TRY(auto file_bytes, disk.size_of(path));
        Bytes start(std::min<std::uint64_t>(8, file_bytes));
        GOSSAMER_CHECK(disk.read_at(path, 0, start));
        GOSSAMER_TRY(auto start_bytes, safetensors_start_bytes(start, file_bytes));
        start.resize(start_bytes);
        GOSSAMER_CHECK(disk.read_at(path, 0, start));
        return parse_safetensors(start, file_bytes);
    };
    auto header = read();
    if (!header && header.error().code == ErrorCode::kCheckpointFormat)
        header.error().what.insert(0, path + ": ");
    return header;
}

Bytes safetensors_start(const tensor::Layout& layout, std::span<const BlobSpec> blobs,
                        const std::map<std::string, std::string>& metadata) {
    nlohmann::ordered_json header;
    auto& map = header["__metadata__"] = nlohmann::ordered_json::object();
    for (const auto& [key, value] : metadata) map[key] = value;
    for (const auto& t : layout.tensors()) {
        auto begin = t.offset * sizeof(float);
        header[t.name] = {{"dtype", "F32"},
                          {"shape", t.shape},
                          {"data_offsets", {begin, begin + t.count * sizeof(float)}}};
    }
    std::uint64_t at = layout.byte_count();
    for (const auto& blob : blobs) {
        header[blob.name] = {{"dtype", "U8"},
                             {"shape", {blob.byte_count}},
                             {"data_offsets", {at, at + blob.byte_count}}};
        at += blob.byte_count;
    }
    auto text = header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    text.resize((text.size() + 7) / 8 * 8, ' ');  // the body starts aligned
    auto header_bytes = static_cast<std::uint64_t>(text.size());
    Bytes out(sizeof header_bytes + text.size());
    std::memcpy(out.data(), &header_bytes, sizeof header_bytes);
    std::ranges::copy(as_bytes(text), out.begin() + sizeof header_bytes);
    return out;
}

Result<LoadedModel> load_model(const Disk& disk, const std::string& path,
                               const tensor::PoolRef& pool) {
    GOSSAMER_TRY(auto header, read_safetensors_header(disk, path));
    auto layout = std::make_shared<tensor::Layout>();
    std::vector<const StoredTensor*> wanted;
    for (const auto& t : header.tensors) {
        if (t.type != "F32" || t.name.starts_with("gossamer.")) continue;
        for (auto extent : t.shape)
            if (extent > 0xffffffffu) return malformed("tensor " + shown(t.name) + " is too large");
        layout->add(t.name, std::vector<std::uint32_t>(t.shape.begin(), t.shape.end()));
        wanted.push_back(&t);
    }
    LoadedModel model{layout, pool->take(layout->byte_count()), header.metadata};
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto& spec = layout->tensors()[i];
        GOSSAMER_CHECK(read_floats(disk, path, header, *wanted[i],
                                   model.values.floats().subspan(spec.offset, spec.count)));
    }
    return model;
}

Result<tensor::Buffer> load_parameters(const Disk& disk, const std::string& path,
                                       const tensor::Layout& layout, const tensor::PoolRef& pool) {
    GOSSAMER_TRY(auto header, read_safetensors_header(disk, path));
    std::map<std::string_view, const StoredTensor*> by_name;
    for (const auto& t : header.tensors) by_name[t.name] = &t;
    std::string differing;
    for (const auto& spec : layout.tensors()) {
        auto found = by_name.find(spec.name);
        if (found == by_name.end())
            differing += "\n  " + spec.name + ": not in the file";
        else if (found->second->type != "F32" ||
                 !std::ranges::equal(found->second->shape, spec.shape))
            differing += "\n  " + spec.name + ": wanted " + tensor::shape_text(spec.shape);
        if (differing.size() > 1000) break;
    }
    if (!differing.empty()) return fail(ErrorCode::kModelLayout, path + ":" + differing);
    auto values = pool->take(layout.byte_count());
    for (const auto& spec : layout.tensors())
        GOSSAMER_CHECK(read_floats(disk, path, header, *by_name[spec.name],
                                   values.floats().subspan(spec.offset, spec.count)));
    return values;
}

Status save_model(Disk& disk, const std::string& path, const tensor::Layout& layout,
                  std::span<const float> values,
                  const std::map<std::string, std::string>& metadata) {
    GOSSAMER_ASSERT(values.size() == layout.parameter_count(), "values and layout differ");
    auto start = safetensors_start(layout, {}, metadata);
    ByteView parts[] = {start, std::as_bytes(values)};
    return disk.replace_file(path, parts);
}

}  // namespace gossamer::storage
