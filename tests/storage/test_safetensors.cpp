#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <ostream>

#include "records/storage/memory_disk.hpp"
#include "records/storage/safetensors.hpp"

using namespace gossamer;
using namespace gossamer::storage;

namespace {

tensor::Layout two_tensors() {
    tensor::Layout layout;
    layout.add("dense.weight", {2, 3});
    layout.add("dense.bias", {3});
    return layout;
}

// A file with this header and this many bytes of body.
Bytes file_of(std::string_view header, std::size_t body_bytes) {
    ByteWriter out;
    out.put(static_cast<std::uint64_t>(header.size()));
    out.put_bytes(as_bytes(header));
    auto bytes = out.take();
    bytes.resize(bytes.size() + body_bytes);
    return bytes;
}

void put_file(MemoryDisk& disk, const std::string& path, ByteView bytes) {
    ByteView parts[] = {bytes};
    REQUIRE(disk.replace_file(path, parts));
}

struct Contains {
    std::string_view part;
    friend bool operator==(const std::string& text, const Contains& wanted) {
        return text.find(wanted.part) != std::string::npos;
    }
    friend std::ostream& operator<<(std::ostream& out, const Contains& wanted) {
        return out << "…" << wanted.part << "…";
    }
};

std::string refusal(std::string_view header, std::size_t body_bytes) {
    auto bytes = file_of(header, body_bytes);
    auto parsed = parse_safetensors(bytes, bytes.size());
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::kCheckpointFormat);
    return parsed.error().what;
}

}  // namespace

TEST_CASE("a model is written and read back with its metadata") {
    MemoryDisk disk;
    auto layout = two_tensors();
    std::vector<float> values(layout.parameter_count());
    std::iota(values.begin(), values.end(), 0.5f);
    REQUIRE(save_model(disk, "m.safetensors", layout, values, {{"run", "de\"mo"}}));
    auto pool = tensor::BufferPool::create(1 << 20);
    auto model = load_model(disk, "m.safetensors", pool);
    REQUIRE(model);
    CHECK(*model->layout == layout);
    CHECK(std::ranges::equal(model->values.floats(), values));
    CHECK(model->metadata.at("run") == "de\"mo");
    auto header = read_safetensors_header(disk, "m.safetensors");
    REQUIRE(header);
    CHECK(header->body_offset % 8 == 0);
}

TEST_CASE("parameters are found by name, whatever their order, and differences are named") {
    MemoryDisk disk;
    auto bytes = file_of(R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
                         R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                         12);
    float body[] = {1, 2, 3};
    std::memcpy(bytes.data() + bytes.size() - 12, body, 12);
    put_file(disk, "m", bytes);
    auto pool = tensor::BufferPool::create(1 << 20);
    tensor::Layout layout;
    layout.add("b", {1});
    layout.add("a", {2});
    auto values = load_parameters(disk, "m", layout, pool);
    REQUIRE(values);
    CHECK(values->floats()[0] == 3);
    CHECK(values->floats()[2] == 2);
    layout.add("c", {1});
    auto missing = load_parameters(disk, "m", layout, pool);
    REQUIRE_FALSE(missing);
    CHECK(missing.error().code == ErrorCode::kModelLayout);
    CHECK(missing.error().what.find("c: not in the file") != std::string::npos);
    tensor::Layout other;
    other.add("a", {3});
    CHECK(load_parameters(disk, "m", other, pool).error().what.find("a: wanted 3") !=
          std::string::npos);
}

TEST_CASE("a hostile header is refused by name of the fault") {
    auto one = [](std::string shape, std::string range) {
        return R"({"a":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + range + "}}";
    };
    CHECK(refusal(one("[2]", "[0,4]"), 4) == Contains("need 8 bytes"));
    CHECK(refusal(one("[1]", "[4,0]"), 4) == Contains("need 4 bytes"));
    CHECK(refusal(one("[1]", "[4,8]"), 8) == Contains("leaves a gap"));
    CHECK(refusal(one("[1]", "[0,4]"), 8) == Contains("the file holds 8"));
    CHECK(refusal(one("[1]", "[0,4]"), 3) == Contains("the file holds 3"));
    CHECK(refusal(one("[4294967296,4294967296]", "[0,0]"), 0) == Contains("overflows"));
    CHECK(refusal(one("[2147483648,1073741824,0]", "[0,0]"), 0) == Contains("overflows"));
    CHECK(refusal(one("[18446744073709551615]", "[0,4]"), 4) == Contains("overflows"));
    CHECK(refusal(one("[-1]", "[0,4]"), 4) == Contains("negative"));
    CHECK(refusal(one("[1.5]", "[0,4]"), 4) == Contains("fraction"));
    CHECK(refusal(one("[[1]]", "[0,4]"), 4) == Contains("a list"));
    CHECK(refusal(one("[1]", "[0,4,4]"), 4) == Contains("lacks"));
    CHECK(refusal(R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4) ==
          Contains("unknown dtype"));
    CHECK(refusal(R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4) == Contains("lacks"));
    CHECK(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                  4) == Contains("overlaps"));
    CHECK(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                  R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                  8) == Contains("tensor twice"));
    CHECK(refusal(R"({"__metadata__":{"a":1}})", 0) == Contains("a number"));
    CHECK(refusal(R"({"a":{"dtype":"F32")", 0) == Contains("no valid JSON"));
    CHECK(refusal("[]", 0) == Contains("does not start"));
    CHECK(refusal("{" + std::string(100000, '['), 0) == Contains("header"));
}

TEST_CASE("a header that claims more than the file or the limit holds is refused unread") {
    auto refused = [](std::uint64_t claimed, std::size_t rest) {
        ByteWriter out;
        out.put(claimed);
        auto bytes = out.take();
        bytes.resize(8 + rest, std::byte{' '});
        return parse_safetensors(bytes, bytes.size());
    };
    CHECK_FALSE(refused(~0ull, 100));
    CHECK_FALSE(refused(101, 100));
    CHECK_FALSE(refused(0, 100));
    CHECK_FALSE(refused(kSafetensorsHeaderBytesMax + 1, 100));
    CHECK_FALSE(parse_safetensors({}, 0));
    CHECK_FALSE(parse_safetensors(Bytes(7), 7));
}

TEST_CASE("an empty model and one without dimensions are fine") {
    MemoryDisk disk;
    tensor::Layout layout;
    layout.add("scale", {});
    layout.add("nothing", {0, 3});
    std::vector<float> values{2.5f};
    REQUIRE(save_model(disk, "m", layout, values, {}));
    auto pool = tensor::BufferPool::create(1 << 20);
    auto model = load_model(disk, "m", pool);
    REQUIRE(model);
    CHECK(*model->layout == layout);
    CHECK(model->values.floats()[0] == 2.5f);
}
