// What the readers of IDX and .npy share: element types, and raw bytes to an Array.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gossamer/data/readers.hpp"

namespace gossamer::data {

enum class Element : std::uint8_t { u8, i8, i16, u16, i32, i64, f32, f64 };
std::size_t size_of(Element element);

// Bytes of an array, or nothing when their number does not fit.
std::optional<std::size_t> array_bytes(const std::vector<std::size_t>& shape, Element element);

// REQUIRES raw.size() == array_bytes(shape, element).
Array make_array(std::vector<std::size_t> shape, ByteView raw, Element element, bool big_endian);

}  // namespace gossamer::data
