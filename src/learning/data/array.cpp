#include "learning/data/array.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "gossamer/base/assert.hpp"

namespace gossamer::data {
namespace {

template <class From, class To>
std::vector<To> convert(ByteView raw, bool big_endian) {
    std::vector<To> out(raw.size() / sizeof(From));
    for (std::size_t i = 0; i < out.size(); ++i) {
        std::byte bytes[sizeof(From)];
        std::memcpy(bytes, raw.data() + i * sizeof(From), sizeof(From));
        if (big_endian) std::reverse(std::begin(bytes), std::end(bytes));
        From value;
        std::memcpy(&value, bytes, sizeof value);
        out[i] = static_cast<To>(value);
    }
    return out;
}

std::vector<float> as_floats(const Array& array) {
    return std::visit([](const auto& v) { return std::vector<float>(v.begin(), v.end()); },
                      array.values);
}

// Labels of any element type; reals must be whole.
Result<std::vector<std::int32_t>> as_labels(const Array& array, const std::string& name) {
    std::vector<std::int32_t> labels(array.value_count());
    auto read = [&](const auto& values) -> Status {
        for (std::size_t i = 0; i < values.size(); ++i) {
            auto value = static_cast<double>(values[i]);
            if (!(value >= 0 && value < kClassesMax && value == std::floor(value)))
                return fail(ErrorCode::kDataLabel, name + ": label " + std::to_string(value) +
                                                       " of sample " + std::to_string(i) +
                                                       " is no class number");
            labels[i] = static_cast<std::int32_t>(value);
        }
        return {};
    };
    GOSSAMER_CHECK(std::visit(read, array.values));
    return labels;
}

}  // namespace

std::size_t Array::value_count() const {
    return std::visit([](const auto& v) { return v.size(); }, values);
}

std::size_t size_of(Element element) {
    switch (element) {
        case Element::u8:
        case Element::i8: return 1;
        case Element::i16:
        case Element::u16: return 2;
        case Element::i32:
        case Element::f32: return 4;
        case Element::i64:
        case Element::f64: return 8;
    }
    return 1;
}

std::optional<std::size_t> array_bytes(const std::vector<std::size_t>& shape, Element element) {
    auto count = size_of(element);
    for (auto extent : shape) {
        if (extent != 0 && count > std::numeric_limits<std::size_t>::max() / extent) return {};
        count *= extent;
    }
    return count;
}

Array make_array(std::vector<std::size_t> shape, ByteView raw, Element element, bool big_endian) {
    GOSSAMER_ASSERT(array_bytes(shape, element) == raw.size(), "an array and its bytes agree");
    Array array{std::move(shape), {}};
    const auto* first = reinterpret_cast<const std::uint8_t*>(raw.data());
    switch (element) {
        case Element::u8:
            array.values = std::vector<std::uint8_t>(first, first + raw.size());
            break;
        case Element::i8: array.values = convert<std::int8_t, std::int64_t>(raw, big_endian); break;
        case Element::i16:
            array.values = convert<std::int16_t, std::int64_t>(raw, big_endian);
            break;
        case Element::u16:
            array.values = convert<std::uint16_t, std::int64_t>(raw, big_endian);
            break;
        case Element::i32:
            array.values = convert<std::int32_t, std::int64_t>(raw, big_endian);
            break;
        case Element::i64:
            array.values = convert<std::int64_t, std::int64_t>(raw, big_endian);
            break;
        case Element::f32: array.values = convert<float, float>(raw, big_endian); break;
        case Element::f64: array.values = convert<double, float>(raw, big_endian); break;
    }
    return array;
}

Result<Dataset::Parts> join_arrays(Array features, const Array& labels, Task task,
                                   const std::string& name) {
    auto disagree = [&](const std::string& what) {
        return fail(ErrorCode::kDataShape, name + ": " + what);
    };
    if (features.shape.empty() || labels.shape.empty()) return disagree("an array of no samples");
    if (features.shape[0] != labels.shape[0])
        return disagree(std::to_string(features.shape[0]) + " samples, but " +
                        std::to_string(labels.shape[0]) + " labels");
    Dataset::Parts parts{.name = name};
    for (std::size_t i = 1; i < features.shape.size(); ++i) {
        if (features.shape[i] > std::numeric_limits<std::uint32_t>::max())
            return disagree("samples of absurd size");
        parts.shape.push_back(static_cast<std::uint32_t>(features.shape[i]));
    }
    if (parts.shape.empty()) parts.shape = {1};
    if (auto* bytes = std::get_if<std::vector<std::uint8_t>>(&features.values))
        parts.bytes = std::move(*bytes);
    else if (auto* floats = std::get_if<std::vector<float>>(&features.values))
        parts.floats = std::move(*floats);
    else
        parts.floats = as_floats(features);

    auto per_sample = labels.shape[0] == 0 ? 0 : labels.value_count() / labels.shape[0];
    if (task == Task::classes) {
        if (per_sample != 1) return disagree("one label a sample is expected");
        GOSSAMER_TRY(parts.labels, as_labels(labels, name));
    } else {
        if (per_sample == 0 || per_sample > std::numeric_limits<std::uint32_t>::max())
            return disagree("samples without target values");
        parts.targets = as_floats(labels);
        parts.target_count = static_cast<std::uint32_t>(per_sample);
    }
    return parts;
}

}  // namespace gossamer::data
